// Command s3server is an S3 server for tests: versitygw over a folder. It is a module of its own, so that nothing of it
// is in Airfield.
//
//	s3server DIR    keep buckets in DIR; print the address; when standard input closes, remove DIR and end
//
// Who asks is "test", with the secret "testtest". Buckets may be set to keep versions.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

const healthPath = "/ready"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: s3server DIR")
		os.Exit(2)
	}
	dir := os.Args[1]
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(tidy(dir, nil))
	}()
	os.Exit(tidy(dir, run(context.Background(), dir)))
}

// tidy removes what a test left; requests under way may add to it meanwhile.
func tidy(dir string, failed error) (code int) {
	for range 10 {
		if os.RemoveAll(dir) == nil {
			break
		}
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, "s3server:", failed)
		return 1
	}
	return 0
}

func run(ctx context.Context, dir string) error {
	out := os.Stdout
	os.Stdout = os.Stderr // the server writes to it too
	folders := map[string]string{}
	for _, name := range []string{"buckets", "versions", "said"} {
		folders[name] = filepath.Join(dir, name)
		if err := os.MkdirAll(folders[name], 0o700); err != nil {
			return err
		}
	}
	said, err := meta.NewSideCar(folders["said"])
	if err != nil {
		return err
	}
	files, err := posix.New(folders["buckets"], said, posix.PosixOpts{VersioningDir: folders["versions"], Concurrency: 64, SideCarDir: folders["said"]})
	if err != nil {
		return err
	}
	address, err := free()
	if err != nil {
		return err
	}
	go announce(ctx, out, address)
	return embedgw.RunVersityGW(ctx, files, &embedgw.Config{
		RootUserAccess: "test", RootUserSecret: "testtest", Region: "us-east-1", Ports: []string{address}, HealthPath: healthPath,
		MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10000, KeepAlive: true, Quiet: true,
	})
}

// free is a port that nobody listens on.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// announce prints the address once it answers.
func announce(ctx context.Context, out io.Writer, address string) {
	for ctx.Err() == nil {
		res, err := http.Get("http://" + address + healthPath)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				fmt.Fprintln(out, "http://"+address)
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}
