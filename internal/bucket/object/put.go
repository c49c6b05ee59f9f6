package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/fault"
)

const (
	slowest  = 128 << 10 // bytes a second: an upload may take so long, and a minute
	tidyTime = 30 * time.Second
)

// Put receives all of r first: only what is whole, and not too large, is sent on.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, o bucket.PutOptions) (bucket.Object, error) {
	if err := errors.Join(bucket.CheckKey(key), bucket.CheckMediaType(o.MediaType)); err != nil {
		return bucket.Object{}, err
	}
	if len(escape(o.MediaType, false)) > maxMediaTypeName {
		return bucket.Object{}, fault.New(fault.Invalid, "bucket_media_type", "the media type is too long")
	}
	f, err := os.CreateTemp(b.tempDir, "upload-*")
	if err != nil {
		return bucket.Object{}, diskError(err)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil { // it goes with the process
		return bucket.Object{}, diskError(err)
	}
	object := bucket.Object{Key: key, MediaType: o.MediaType, Latest: true}
	if object.Size, object.SHA256, err = bucket.Receive(ctx, disk{f}, r, key, o.MaxBytes); err != nil {
		return bucket.Object{}, err
	}
	if err := b.send(ctx, &object, f); err != nil {
		return bucket.Object{}, err
	}
	return object, nil
}

// Delete hides the key behind a marker.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	versions, err := b.Versions(ctx, key)
	if err != nil || len(versions) == 0 || versions[0].Deleted {
		return err
	}
	return b.send(ctx, &bucket.Object{Key: key, Deleted: true}, strings.NewReader(""))
}

// send gives an object a version later than all there are, and stores it under a name that nobody else makes.
func (b *Bucket) send(ctx context.Context, o *bucket.Object, from Content) error {
	versions, err := b.Versions(ctx, o.Key)
	if err != nil {
		return err
	}
	o.Modified = b.next()
	if len(versions) > 0 && !o.Modified.After(versions[0].Modified) {
		o.Modified = versions[0].Modified.Add(time.Microsecond) // also when a clock is wrong
	}
	o.Version = bucket.NewVersion(o.Modified)
	within, cancel := context.WithTimeout(ctx, requestTime+time.Duration(o.Size/slowest)*time.Second)
	defer cancel()
	if _, err = from.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read what was received: %w", err)
	}
	if err = b.store.Put(within, name(*o), from, o.Size, o.MediaType); err == nil {
		return nil
	}
	// It may have arrived all the same.
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if err := b.remove(tidy, name(*o)); err != nil {
		b.log.Warn("whether a failed upload left something is not known", "object", name(*o), "error", err)
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("store object: %w", cause)
	}
	return err
}

// next is a moment that no other version of this process has.
func (b *Bucket) next() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(b.last) {
		now = b.last.Add(time.Microsecond)
	}
	b.last = now
	return now
}

// disk is a temporary file whose errors are for users.
type disk struct{ f *os.File }

func (d disk) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	if err != nil {
		err = diskError(err)
	}
	return n, err
}

func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.New(fault.Unavailable, "disk_full", "the disk is full that uploads wait on: %w", err).Hinted("free space in the folder tmp of the data folder")
	}
	return fmt.Errorf("receive an upload: %w", err)
}
