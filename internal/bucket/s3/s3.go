// Package s3 is a document bucket in Amazon S3, or in what speaks like it. Every version is an object of its own whose
// name tells all about it (name.go), and is never written again: so any S3 will do, with versioning or without, and
// versions, markers and the lifecycle are the same as those of a folder. Where the store itself keeps versions, what is
// purged is removed from those too. Several processes may use one bucket.
package s3

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/aws"
	"airfield/internal/bucket"
	"airfield/internal/fault"
)

const (
	requestTime = time.Minute      // for what moves no bytes
	stallTime   = time.Minute      // without a byte of an object
	probeEvery  = 30 * time.Second // a bucket that worked is believed for so long
)

// Bucket is a bucket.Bucket.
type Bucket struct {
	client    *sdk.Client
	place     aws.Place
	lifecycle bucket.Lifecycle
	tempDir   string
	log       *slog.Logger
	partBytes int64 // larger objects go up in parts of this size

	removing [64]sync.Mutex // by name

	mu     sync.Mutex
	last   time.Time // of the newest version made here
	probed time.Time
}

var _ bucket.Bucket = (*Bucket)(nil)

// Open opens the bucket that c names, which must be there. Uploads wait in tempDir until they are whole.
func Open(ctx context.Context, c bucket.Config, tempDir string, log *slog.Logger) (*Bucket, error) {
	if _, err := c.Check(); err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	place, err := aws.Parse(c.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "bucket_url", "bucket.url: %s", err)
	}
	client, err := place.Open(ctx, aws.Keys{ID: c.AccessKeyID, Secret: c.SecretAccessKey, Session: c.SessionToken})
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	if err := os.MkdirAll(tempDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder that uploads wait in: %w", err)
	}
	return &Bucket{client: client, place: place, lifecycle: c.Lifecycle, tempDir: tempDir, log: log, partBytes: partBytes}, nil
}

// Get opens a version.
func (b *Bucket) Get(ctx context.Context, key, version string) (io.ReadCloser, bucket.Object, error) {
	o, err := b.Stat(ctx, key, version)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	out, err := b.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &b.place.Bucket, Key: b.name(o)})
	if err != nil {
		cancel()
		if aws.Gone(err) { // purged since
			return nil, bucket.Object{}, bucket.NotFound(key, version)
		}
		return nil, bucket.Object{}, b.place.Explain("open object", err)
	}
	return newBody(out.Body, cancel), o, nil
}

// Stat describes a version.
func (b *Bucket) Stat(ctx context.Context, key, version string) (bucket.Object, error) {
	versions, err := b.Versions(ctx, key)
	if err != nil {
		return bucket.Object{}, err
	}
	i := slices.IndexFunc(versions, func(o bucket.Object) bool { return version == "" || o.Version == version })
	if i < 0 || versions[i].Deleted {
		return bucket.Object{}, bucket.NotFound(key, version)
	}
	return versions[i], nil
}

// Versions returns a key's versions and markers, newest first.
func (b *Bucket) Versions(ctx context.Context, key string) (versions []bucket.Object, err error) {
	if err := bucket.CheckKey(key); err != nil {
		return nil, err
	}
	err = b.walk(ctx, folder(key), "", maxPage, func(found []bucket.Object) bool {
		versions = found
		return false
	})
	return versions, err
}

// name is where an object is kept.
func (b *Bucket) name(o bucket.Object) *string {
	name := b.place.Prefix + folder(o.Key) + versionName(o)
	return &name
}

// Probe writes, reads and removes an object, unless that went well a moment ago: each time costs money.
func (b *Bucket) Probe(ctx context.Context) error {
	b.mu.Lock()
	fresh := time.Since(b.probed) < probeEvery
	b.mu.Unlock()
	if fresh {
		return nil
	}
	name := b.place.Prefix + "probe/" + bucket.NewVersion(time.Now())
	if err := b.send(ctx, name, strings.NewReader("probe"), 5, ""); err != nil {
		return err
	}
	read, err := b.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &b.place.Bucket, Key: &name})
	if err == nil {
		read.Body.Close()
	}
	if removing := b.remove(ctx, name); err == nil {
		err = removing
	}
	if err != nil {
		return b.place.Explain("probe the bucket", err)
	}
	b.mu.Lock()
	b.probed = time.Now()
	b.mu.Unlock()
	return nil
}

// body ends a request to which nothing comes any more.
type body struct {
	from   io.ReadCloser
	cancel context.CancelFunc
	stall  *time.Timer
}

func newBody(from io.ReadCloser, cancel context.CancelFunc) *body {
	stall := time.AfterFunc(stallTime, cancel)
	stall.Stop()
	return &body{from, cancel, stall}
}

func (b *body) Read(p []byte) (int, error) {
	b.stall.Reset(stallTime)
	defer b.stall.Stop()
	return b.from.Read(p)
}

func (b *body) Close() error {
	defer b.cancel()
	return b.from.Close()
}
