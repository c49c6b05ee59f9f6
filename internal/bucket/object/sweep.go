package object

import (
	"context"
	"errors"
	"time"

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
		if err := b.remove(ctx, name(gone[i])); err != nil {
			return err
		}
		done(gone[i])
	}
	return nil
}

func (b *Bucket) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return b.store.Remove(ctx, name)
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
	if err := errors.Join(err, failed, context.Cause(ctx)); err != nil {
		return report, err
	}
	return report, b.store.AbortUploads(ctx, objects, now, b.lifecycle.AbortUploadsAfter, &report)
}
