package s3

import (
	"context"
	"errors"
	"hash/crc32"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/aws"
	"airfield/internal/bucket"
)

// Purge removes versions for good.
func (b *Bucket) Purge(ctx context.Context, key, version string) (purged bucket.Purged, err error) {
	versions, err := b.Versions(ctx, key)
	if err != nil {
		return purged, err
	}
	err = b.removeAll(ctx, bucket.Chosen(versions, version), purged.Add)
	return purged, err
}

// removeAll takes versions of a key away, oldest first so that at no moment an older one is the latest.
func (b *Bucket) removeAll(ctx context.Context, gone []bucket.Object, done func(bucket.Object)) error {
	for i := len(gone) - 1; i >= 0; i-- {
		if err := b.remove(ctx, *b.name(gone[i])); err != nil {
			return err
		}
		done(gone[i])
	}
	return nil
}

// remove deletes an object. A store that keeps versions itself says so then: those go too.
func (b *Bucket) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	// One at a time for a name: not every store bears that a version goes while another request names it.
	lock := &b.removing[crc32.ChecksumIEEE([]byte(name))%uint32(len(b.removing))]
	lock.Lock()
	defer lock.Unlock()
	out, err := b.client.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &b.place.Bucket, Key: &name})
	if aws.Gone(err) {
		return nil
	}
	if err != nil {
		return b.place.Explain("remove an object", err)
	}
	if out.VersionId == nil && (out.DeleteMarker == nil || !*out.DeleteMarker) {
		return nil
	}
	kept := sdk.NewListObjectVersionsPaginator(b.client, &sdk.ListObjectVersionsInput{Bucket: &b.place.Bucket, Prefix: &name})
	for kept.HasMorePages() {
		page, err := kept.NextPage(ctx)
		if err != nil {
			return b.place.Explain("remove an object's versions", err)
		}
		var ids []*string
		for _, v := range page.Versions {
			if v.Key != nil && *v.Key == name {
				ids = append(ids, v.VersionId)
			}
		}
		for _, m := range page.DeleteMarkers {
			if m.Key != nil && *m.Key == name {
				ids = append(ids, m.VersionId)
			}
		}
		for _, id := range ids {
			if _, err := b.client.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &b.place.Bucket, Key: &name, VersionId: id}); err != nil && !aws.Gone(err) {
				return b.place.Explain("remove an object's versions", err)
			}
		}
	}
	return nil
}

// Sweep expires old versions and aborts uploads that were begun long ago.
func (b *Bucket) Sweep(ctx context.Context, now time.Time) (report bucket.Report, err error) {
	var failed error
	err = b.walk(ctx, objects, "", maxPage, func(versions []bucket.Object) bool {
		if len(b.lifecycle.Expired(versions, now)) == 0 {
			return true
		}
		// Once more: what was an old version may have become the latest.
		if versions, failed = b.Versions(ctx, versions[0].Key); failed != nil {
			return false
		}
		failed = b.removeAll(ctx, b.lifecycle.Expired(versions, now), report.Expire)
		return failed == nil
	})
	return report, errors.Join(err, failed, b.abortAll(ctx, now, &report))
}

// abortAll ends the uploads in parts that nobody goes on with.
func (b *Bucket) abortAll(ctx context.Context, now time.Time, report *bucket.Report) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	prefix := b.place.Prefix + objects
	begun := sdk.NewListMultipartUploadsPaginator(b.client, &sdk.ListMultipartUploadsInput{Bucket: &b.place.Bucket, Prefix: &prefix})
	for begun.HasMorePages() {
		page, err := begun.NextPage(ctx)
		if err != nil {
			return b.place.Explain("list unfinished uploads", err)
		}
		for _, u := range page.Uploads {
			if u.Key == nil || !strings.HasPrefix(*u.Key, prefix) || u.Initiated == nil || now.Sub(*u.Initiated) < b.lifecycle.AbortUploadsAfter {
				continue // not ours, or alive
			}
			size, err := b.uploaded(ctx, *u.Key, u.UploadId)
			if err == nil {
				err = b.abort(ctx, *u.Key, u.UploadId)
			}
			if aws.Gone(err) { // finished since
				continue
			}
			if err != nil {
				return b.place.Explain("abort an upload", err)
			}
			report.Aborted++
			report.AbortedBytes += size
		}
	}
	return nil
}

// uploaded counts the bytes of an unfinished upload.
func (b *Bucket) uploaded(ctx context.Context, name string, upload *string) (size int64, err error) {
	parts := sdk.NewListPartsPaginator(b.client, &sdk.ListPartsInput{Bucket: &b.place.Bucket, Key: &name, UploadId: upload})
	for parts.HasMorePages() {
		page, err := parts.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		for _, p := range page.Parts {
			if p.Size != nil {
				size += *p.Size
			}
		}
	}
	return size, nil
}

func (b *Bucket) abort(ctx context.Context, name string, upload *string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	_, err := b.client.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: &b.place.Bucket, Key: &name, UploadId: upload})
	return err
}
