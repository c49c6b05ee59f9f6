// Package awstest gives tests a real S3 server: test/s3server, built from a module of its own and started once for each
// test process, on the loopback interface.
package awstest

import (
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"airfield/internal/aws"
	"airfield/internal/id"
	"airfield/internal/secret"
	"airfield/test/program"
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
	address := program.Start(t, "s3server")
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
