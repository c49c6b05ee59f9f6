package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"airfield/internal/bucket"
	"airfield/internal/fault"
)

const (
	partBytes   = 64 << 20
	maxParts    = 10000
	slowest     = 128 << 10 // bytes a second: an upload may take so long, and a minute
	tidyTime    = 30 * time.Second
	noMediaType = "application/octet-stream"
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
	if err := b.store(ctx, &object, f); err != nil {
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
	return b.store(ctx, &bucket.Object{Key: key, Deleted: true}, strings.NewReader(""))
}

// content can be sent again, and in parts.
type content interface {
	io.ReadSeeker
	io.ReaderAt
}

// store gives an object a version later than all there are, and sends it.
func (b *Bucket) store(ctx context.Context, o *bucket.Object, from content) error {
	versions, err := b.Versions(ctx, o.Key)
	if err != nil {
		return err
	}
	o.Modified = b.next()
	if len(versions) > 0 && !o.Modified.After(versions[0].Modified) {
		o.Modified = versions[0].Modified.Add(time.Microsecond) // also when a clock is wrong
	}
	o.Version = bucket.NewVersion(o.Modified)
	name := *b.name(*o)
	within, cancel := context.WithTimeout(ctx, requestTime+time.Duration(o.Size/slowest)*time.Second)
	defer cancel()
	if o.Size > b.partBytes {
		err = b.sendParts(within, name, from, o.Size, o.MediaType)
	} else {
		err = b.send(within, name, from, o.Size, o.MediaType)
	}
	if err == nil {
		return nil
	}
	// It may have arrived all the same.
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if err := b.remove(tidy, name); err != nil {
		b.log.Warn("whether a failed upload left something is not known", "object", name, "error", err)
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

// send writes an object whose name nobody else makes.
func (b *Bucket) send(ctx context.Context, name string, from io.ReadSeeker, size int64, mediaType string) error {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read what was received: %w", err)
	}
	if mediaType == "" {
		mediaType = noMediaType
	}
	_, err := b.client.PutObject(ctx, &sdk.PutObjectInput{Bucket: &b.place.Bucket, Key: &name, Body: from, ContentLength: &size, ContentType: &mediaType})
	return b.place.Explain("store object", err)
}

// sendParts is send for what is too large to be sent again whole when the line breaks. An upload that nobody ends is
// aborted by Sweep.
func (b *Bucket) sendParts(ctx context.Context, name string, from io.ReaderAt, size int64, mediaType string) error {
	in := &sdk.CreateMultipartUploadInput{Bucket: &b.place.Bucket, Key: &name}
	if mediaType != "" {
		in.ContentType = &mediaType
	}
	upload, err := b.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return b.place.Explain("begin an upload", err)
	}
	var parts []types.CompletedPart
	part := max(b.partBytes, size/maxParts+1)
	for at := int64(0); at < size && err == nil; at += part {
		n := min(part, size-at)
		number := int32(len(parts) + 1)
		var sent *sdk.UploadPartOutput
		sent, err = b.client.UploadPart(ctx, &sdk.UploadPartInput{
			Bucket: &b.place.Bucket, Key: &name, UploadId: upload.UploadId, PartNumber: &number, Body: io.NewSectionReader(from, at, n), ContentLength: &n,
		})
		if err == nil {
			parts = append(parts, types.CompletedPart{ETag: sent.ETag, PartNumber: &number})
		}
	}
	if err == nil {
		_, err = b.client.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{
			Bucket: &b.place.Bucket, Key: &name, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err == nil {
		return nil
	}
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if err := b.abort(tidy, name, upload.UploadId); err != nil {
		b.log.Warn("an unfinished upload could not be aborted; the sweep will try", "object", name, "error", err)
	}
	return b.place.Explain("store object", err)
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
