package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/fault"
)

// maxMediaTypeName is what of a version's name, which has at most 255 bytes, is left for the media type.
const maxMediaTypeName = 150

// Put streams r into uploads and then gives it its place.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, o bucket.PutOptions) (bucket.Object, error) {
	if err := errors.Join(bucket.CheckKey(key), bucket.CheckMediaType(o.MediaType)); err != nil {
		return bucket.Object{}, err
	}
	if len(encode(o.MediaType)) > maxMediaTypeName {
		return bucket.Object{}, fault.New(fault.Invalid, "bucket_media_type", "the media type is too long")
	}
	upload := uploads + "/" + bucket.NewVersion(time.Now())
	f, err := b.root.OpenFile(upload, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return bucket.Object{}, writeError(err)
	}
	object := bucket.Object{Key: key, MediaType: o.MediaType, Latest: true}
	object.Size, object.SHA256, err = receive(ctx, f, r, key, o.MaxBytes)
	if err == nil {
		err = b.place(upload, &object)
	}
	if err != nil {
		if err2 := b.root.Remove(upload); err2 != nil && !errors.Is(err2, fs.ErrNotExist) {
			b.log.Warn("an unfinished upload could not be removed; the next sweep will try", "error", err2)
		}
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
	upload := uploads + "/" + bucket.NewVersion(time.Now())
	f, err := b.root.OpenFile(upload, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return writeError(err)
	}
	if err = f.Close(); err == nil {
		err = b.place(upload, &bucket.Object{Key: key, Deleted: true})
	}
	if err != nil {
		b.root.Remove(upload)
	}
	return err
}

// receive copies r to f, flushes and closes it.
func receive(ctx context.Context, f *os.File, r io.Reader, key string, limit int64) (size int64, sum string, err error) {
	size, sum, err = bucket.Receive(ctx, disk{f}, r, key, limit)
	if err == nil {
		if err = f.Sync(); err != nil {
			err = writeError(err)
		}
	}
	if err2 := f.Close(); err == nil && err2 != nil {
		err = writeError(err2)
	}
	return size, sum, err
}

// disk is a file whose errors are for users.
type disk struct{ f *os.File }

func (d disk) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	if err != nil {
		err = writeError(err)
	}
	return n, err
}

// place gives an upload its version and its name among the objects, durably.
func (b *Bucket) place(upload string, o *bucket.Object) error {
	dir := keyPath(o.Key)
	if err := b.rename(upload, dir, o); err != nil {
		return err
	}
	if err := b.syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // purged since
		return errors.Join(writeError(err), b.root.Remove(dir+"/"+versionName(*o)))
	}
	return nil
}

// rename moves an upload to its place under a version later than all there are.
func (b *Bucket) rename(upload, dir string, o *bucket.Object) error {
	b.commit.Lock()
	defer b.commit.Unlock()
	for try := 1; ; try++ {
		if err := b.makeDir(dir); err != nil {
			return writeError(err)
		}
		entries, err := b.readDir(dir)
		if err != nil {
			return err
		}
		o.Modified = time.Now().UTC().Truncate(time.Microsecond)
		for _, e := range entries {
			if v, ok := parseVersion(e.Name()); ok && !v.Modified.Before(o.Modified) {
				o.Modified = v.Modified.Add(time.Microsecond) // also when the clock was set back
			}
		}
		o.Version = bucket.NewVersion(o.Modified)
		err = b.root.Rename(upload, dir+"/"+versionName(*o))
		if err == nil {
			return nil
		}
		if _, gone := b.root.Stat(upload); errors.Is(gone, fs.ErrNotExist) {
			return fault.New(fault.Conflict, "upload_expired", "the upload of %q took so long that it was removed", o.Key).
				Hinted("send it faster, or raise bucket.lifecycle.abort_uploads_after")
		}
		if !errors.Is(err, fs.ErrNotExist) || try == 10 {
			return writeError(err)
		}
		// Another process purged the key and took its empty folder away: once more.
	}
}

// makeDir makes the folder and those above it, each durable in the one above.
func (b *Bucket) makeDir(dir string) error {
	err := b.root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && dir != objects {
		if err = b.makeDir(path.Dir(dir)); err == nil {
			err = b.root.Mkdir(dir, 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.syncDir(path.Dir(dir))
}

func (b *Bucket) syncDir(name string) error {
	d, err := b.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
