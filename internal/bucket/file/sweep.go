package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"airfield/internal/bucket"
)

// Purge removes versions for good, and the folders that are empty then.
func (b *Bucket) Purge(ctx context.Context, key, version string) (bucket.Purged, error) {
	var purged bucket.Purged
	b.commit.Lock()
	defer b.commit.Unlock()
	versions, err := b.Versions(ctx, key)
	if err != nil {
		return purged, err
	}
	err = b.remove(key, bucket.Chosen(versions, version), purged.Add)
	return purged, err
}

// remove takes versions of a key away, oldest first so that at no moment an older one is the latest, and tells
// done of each. It needs commit.
func (b *Bucket) remove(key string, gone []bucket.Object, done func(bucket.Object)) error {
	if len(gone) == 0 {
		return nil
	}
	dir := keyPath(key)
	for i := len(gone) - 1; i >= 0; i-- {
		if err := b.root.Remove(dir + "/" + versionName(gone[i])); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("purge object: %w", err)
		}
		done(gone[i])
	}
	if err := b.syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("purge object: %w", err)
	}
	for ; dir != objects; dir = path.Dir(dir) {
		if b.root.Remove(dir) != nil { // not empty
			break
		}
	}
	return nil
}

// Sweep expires old versions and removes uploads to which nothing was added for long.
func (b *Bucket) Sweep(ctx context.Context, now time.Time) (bucket.Report, error) {
	var report bucket.Report
	everything := func(string) bool { return true }
	err := b.walk(ctx, objects, "", everything, func(key string, entries []fs.DirEntry) (bool, error) {
		versions, err := versionsIn(key, entries)
		if err != nil || len(b.lifecycle.Expired(versions, now)) == 0 {
			return true, err
		}
		b.commit.Lock()
		defer b.commit.Unlock()
		// Once more: what was an old version may have become the latest.
		if versions, err = b.Versions(ctx, key); err != nil {
			return false, err
		}
		return true, b.remove(key, b.lifecycle.Expired(versions, now), report.Expire)
	})
	return report, errors.Join(err, b.abort(now, &report))
}

// abort removes the uploads that stopped.
func (b *Bucket) abort(now time.Time, report *bucket.Report) error {
	entries, err := b.readDir(uploads)
	if err != nil {
		return err
	}
	for _, e := range entries {
		stat, err := e.Info()
		if err != nil || !stat.Mode().IsRegular() || now.Sub(stat.ModTime()) < b.lifecycle.AbortUploadsAfter {
			continue // finished since, or not ours, or alive
		}
		if err := b.root.Remove(uploads + "/" + e.Name()); err == nil {
			report.Aborted++
			report.AbortedBytes += stat.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an unfinished upload: %w", err)
		}
	}
	return nil
}
