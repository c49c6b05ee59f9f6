// Package object is a document bucket in an object store: Amazon S3, Google Cloud Storage, or what speaks like one. Every
// version is an object of its own whose name tells all about it (name.go), and is never written again: so any store will
// do, with versioning or without, and versions, markers and the lifecycle are the same as those of a folder. Several
// processes may use one bucket.
package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"airfield/internal/bucket"
)

const (
	requestTime = time.Minute      // for what moves no bytes
	stallTime   = time.Minute      // without a byte of an object
	probeEvery  = 30 * time.Second // a bucket that worked is believed for so long
)

// ErrGone is what a Store says of an object that is not there.
var ErrGone = errors.New("the object is not there")

// Content can be sent again, and in parts.
type Content interface {
	io.ReadSeeker
	io.ReaderAt
}

// Listed is one name of a listing.
type Listed struct {
	Name string
	Size int64
}

// Store is what an object store does for a bucket. Names are below its prefix; each is written once. Errors are for users.
type Store interface {
	// Put stores size bytes, whole or not at all. mediaType may be empty.
	Put(ctx context.Context, name string, from Content, size int64, mediaType string) error
	// Open reads an object; ErrGone where it is not there.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Remove takes an object away for good, with the versions that the store itself keeps of it. One that is not there is no error.
	Remove(ctx context.Context, name string) error
	// List tells names in byte order that begin with prefix: up to limit that come after behind, or after the page before,
	// whose next is given then. No next means that there are no more.
	List(ctx context.Context, prefix, behind, page string, limit int) (names []Listed, next string, err error)
	// AbortUploads ends uploads below prefix that nobody has gone on with for so long.
	AbortUploads(ctx context.Context, prefix string, now time.Time, idle time.Duration, report *bucket.Report) error
}

// Bucket is a bucket.Bucket.
type Bucket struct {
	store     Store
	lifecycle bucket.Lifecycle
	tempDir   string
	log       *slog.Logger

	mu     sync.Mutex
	last   time.Time // of the newest version made here
	probed time.Time
}

var _ bucket.Bucket = (*Bucket)(nil)

// New makes a bucket of a store. Uploads wait in tempDir until they are whole.
func New(store Store, lifecycle bucket.Lifecycle, tempDir string, log *slog.Logger) (*Bucket, error) {
	if err := os.MkdirAll(tempDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder that uploads wait in: %w", err)
	}
	return &Bucket{store: store, lifecycle: lifecycle, tempDir: tempDir, log: log}, nil
}

// Get opens a version.
func (b *Bucket) Get(ctx context.Context, key, version string) (io.ReadCloser, bucket.Object, error) {
	o, err := b.Stat(ctx, key, version)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	from, err := b.store.Open(ctx, name(o))
	if err != nil {
		cancel()
		if errors.Is(err, ErrGone) { // purged since
			return nil, bucket.Object{}, bucket.NotFound(key, version)
		}
		return nil, bucket.Object{}, err
	}
	return newBody(from, cancel), o, nil
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

// Probe writes, reads and removes an object, unless that went well a moment ago: each time costs money.
func (b *Bucket) Probe(ctx context.Context) error {
	b.mu.Lock()
	fresh := time.Since(b.probed) < probeEvery
	b.mu.Unlock()
	if fresh {
		return nil
	}
	name := "probe/" + bucket.NewVersion(time.Now())
	if err := b.store.Put(ctx, name, strings.NewReader("probe"), 5, ""); err != nil {
		return err
	}
	read, err := b.store.Open(ctx, name)
	if err == nil {
		read.Close()
	}
	if removing := b.remove(ctx, name); err == nil {
		err = removing
	}
	if err != nil {
		return fmt.Errorf("probe the bucket: %w", err)
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
