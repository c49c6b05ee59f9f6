// Command gcsserver speaks as Google Cloud Storage for tests: fake-gcs-server, in memory. It is a module of its own, so that
// nothing of it is in Airfield.
//
//	gcsserver DIR    print the address; when standard input closes, remove DIR and end
//
// It asks nobody who they are. Buckets may be set to keep versions.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gcsserver DIR")
		os.Exit(2)
	}
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		fmt.Fprintln(os.Stderr, "gcsserver:", err)
		os.Exit(1)
	}
	fmt.Println(server.URL())
	io.Copy(io.Discard, os.Stdin)
	os.RemoveAll(os.Args[1])
}
