// Package awstest gives tests a real S3 server: test/s3server, built from a module of its own and started once for each
// test process, on the loopback interface.
package awstest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"airfield/internal/aws"
	"airfield/internal/id"
	"airfield/internal/secret"
)

// Who may do all on the server.
const (
	KeyID  = "test"
	Secret = "testtest"
)

// Keys are those of the server.
func Keys() aws.Keys { return aws.Keys{ID: secret.New(KeyID), Secret: secret.New(Secret)} }

// Client is one for a place on the server.
func Client(t testing.TB, p aws.Place) *sdk.Client {
	t.Helper()
	client, err := p.Open(t.Context(), Keys())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// New makes a bucket. Where the server cannot be built the test is skipped, or fails if CI or AIRFIELD_REQUIRE_SERVERS is
// set. A bucket that keeps versions answers as S3 does with versioning switched on.
func New(t testing.TB, versions bool) aws.Place {
	t.Helper()
	address, err := server()
	if err != nil && errors.Is(err, errBuild) && os.Getenv("CI") == "" && os.Getenv("AIRFIELD_REQUIRE_SERVERS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := aws.Place{Bucket: strings.ReplaceAll(id.New("test"), "_", "-"), Region: "us-east-1", Endpoint: address, PathStyle: true}
	client := Client(t, p)
	if _, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &p.Bucket}); err != nil {
		t.Fatal(err)
	}
	if versions {
		if _, err := client.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{
			Bucket: &p.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

var errBuild = errors.New("the S3 server for tests cannot be built")

// hold is our end of the server's standard input. It is kept open, and from being collected, for as long as the process
// lives: the server ends when it closes, however that happens, and removes its folder.
var hold []*os.File

var server = sync.OnceValues(func() (string, error) {
	source, err := find()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "airfield-s3server-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "s3server")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = source
	if said, err := build.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("%w: %w: %s", errBuild, err, said)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer theirs.Close()
	hold = append(hold, ours)
	var stderr bytes.Buffer
	cmd := exec.Command(program, dir)
	cmd.Stdin, cmd.Stderr = theirs, &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cmd.Wait()
		return "", fmt.Errorf("the S3 server did not start: %w: %s", err, stderr.String())
	}
	return strings.TrimSpace(line), nil
})

// find looks for the server's module from the test's folder upwards.
func find() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		source := filepath.Join(dir, "test", "s3server")
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no test/s3server above this folder")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
