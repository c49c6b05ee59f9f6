// Package gcstest gives tests a server that speaks as Google Cloud Storage: test/gcsserver, on the loopback interface.
package gcstest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"airfield/internal/gcs"
	"airfield/internal/id"
	"airfield/internal/secret"
	"airfield/test/program"
)

// New makes a bucket.
func New(t testing.TB, versions bool) gcs.Place {
	t.Helper()
	p := gcs.Place{Bucket: strings.ReplaceAll(id.New("test"), "_", "-"), Endpoint: program.Start(t, "gcsserver"), Anonymous: true}
	res, err := http.Post(p.Endpoint+"/storage/v1/b", "application/json", strings.NewReader(fmt.Sprintf(`{"name": %q, "versioning": {"enabled": %t}}`, p.Bucket, versions)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("make the bucket %s: %s", p.Bucket, res.Status)
	}
	return p
}

// Client is one for a place on the server.
func Client(t testing.TB, p gcs.Place) *gcs.Client {
	t.Helper()
	client, err := p.Open(secret.Value{})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
