// Package file is a document bucket in a folder of the local disk: the default, for one machine.
//
//	DIR/uploads/ID                         bytes on their way in; what a dead process left, Sweep removes
//	DIR/objects/PIECE/…/PIECE/~VERSION,…   one file for each version, its plain bytes; name.go says how keys and
//	                                       versions become names
//
// A version is written to uploads, flushed, and renamed to its place, whose folder is flushed: it is there whole,
// also after power loss, or not there at all. A file is never changed once it has its place, so that a copy of
// the folder taken at any time is a consistent backup. Folders are 0700, files 0600. Every access goes through an
// os.Root: no key and no planted link leads out of DIR. Several processes may use one folder.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/fault"
)

const (
	objects = "objects"
	uploads = "uploads"
)

// Bucket is a bucket.Bucket and bucket.Local.
type Bucket struct {
	dir       string
	root      *os.Root
	lifecycle bucket.Lifecycle
	log       *slog.Logger

	commit sync.Mutex // held while names in objects change
}

var (
	_ bucket.Bucket = (*Bucket)(nil)
	_ bucket.Local  = (*Bucket)(nil)
)

// Open opens the bucket in dir, making it if there is none.
func Open(dir string, c bucket.Config, log *slog.Logger) (*Bucket, error) {
	if _, err := c.Check(); err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	for _, d := range []string{dir, filepath.Join(dir, objects), filepath.Join(dir, uploads)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("create bucket: %w", err)
		}
		if err := syncPath(filepath.Dir(d)); err != nil {
			return nil, fmt.Errorf("create bucket: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return &Bucket{dir: dir, root: root, lifecycle: c.Lifecycle, log: log}, nil
}

// Close ends the use of the bucket. Objects that are open stay readable.
func (b *Bucket) Close() error { return b.root.Close() }

// Get opens a version; what it returns is an *os.File, so also an io.ReadSeeker and an io.ReaderAt.
func (b *Bucket) Get(ctx context.Context, key, version string) (io.ReadCloser, bucket.Object, error) {
	o, name, err := b.find(ctx, key, version)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	f, err := b.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) { // purged since
		return nil, bucket.Object{}, bucket.NotFound(key, version)
	}
	if err != nil {
		return nil, bucket.Object{}, fmt.Errorf("open object: %w", err)
	}
	return f, o, nil
}

// Stat describes a version.
func (b *Bucket) Stat(ctx context.Context, key, version string) (bucket.Object, error) {
	o, _, err := b.find(ctx, key, version)
	return o, err
}

// Path names the file of a version.
func (b *Bucket) Path(ctx context.Context, key, version string) (string, bucket.Object, error) {
	o, name, err := b.find(ctx, key, version)
	if err != nil {
		return "", bucket.Object{}, err
	}
	return filepath.Join(b.dir, filepath.FromSlash(name)), o, nil
}

// Versions returns a key's versions and markers, newest first.
func (b *Bucket) Versions(ctx context.Context, key string) ([]bucket.Object, error) {
	if err := bucket.CheckKey(key); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	entries, err := b.readDir(keyPath(key))
	if err != nil {
		return nil, err
	}
	return versionsIn(key, entries)
}

// find returns a version that is not a marker, and its file.
func (b *Bucket) find(ctx context.Context, key, version string) (bucket.Object, string, error) {
	versions, err := b.Versions(ctx, key)
	if err != nil {
		return bucket.Object{}, "", err
	}
	for _, o := range versions {
		if o.Version != version && version != "" {
			continue
		}
		if o.Deleted {
			break
		}
		return o, keyPath(key) + "/" + versionName(o), nil
	}
	return bucket.Object{}, "", bucket.NotFound(key, version)
}

// readDir returns what is in a folder, unsorted; a folder that is not there is empty.
func (b *Bucket) readDir(name string) (entries []fs.DirEntry, err error) {
	for range 100 {
		if entries, err = b.readDirOnce(name); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		// It was removed while it was read, and may be there again by now.
		if _, err := b.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list bucket: %w", err)
	}
	return entries, nil
}

func (b *Bucket) readDirOnce(name string) ([]fs.DirEntry, error) {
	d, err := b.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ReadDir(-1)
}

// versionsIn picks the versions of a key out of its folder's entries, newest first.
func versionsIn(key string, entries []fs.DirEntry) (versions []bucket.Object, err error) {
	for _, e := range entries {
		o, ok := parseVersion(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		stat, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // purged since
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list bucket: %w", err)
		}
		o.Key, o.Size = key, stat.Size()
		versions = append(versions, o)
	}
	slices.SortFunc(versions, func(a, b bucket.Object) int { return strings.Compare(b.Version, a.Version) })
	if len(versions) > 0 {
		versions[0].Latest = true
	}
	return versions, nil
}

// Probe writes, flushes and removes a file.
func (b *Bucket) Probe(context.Context) error {
	name := uploads + "/" + bucket.NewVersion(time.Now())
	f, err := b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return writeError(err)
	}
	_, err = f.Write([]byte("probe"))
	if err := errors.Join(err, f.Sync(), f.Close(), b.root.Remove(name)); err != nil {
		return writeError(err)
	}
	return nil
}

func syncPath(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeError is what a caller sees when the disk refuses.
func writeError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Unavailable, "disk_full", "the disk of the document bucket is full: %w", err).
			Hinted("free space, or shorten bucket.lifecycle.expire_old_after")
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Unavailable, "bucket_read_only", "the document bucket cannot be written: %w", err).
			Hinted("give this user the right to write in the bucket's folder")
	}
	return fmt.Errorf("write object: %w", err)
}
