// Package bucket is the word for the place where document bytes are kept: objects with versions, deletion
// markers and a lifecycle. Ingestion writes and reads it, the worker sweeps it, and each backend (file, s3) is a
// folder below with an Open of its own. Every backend passes buckettest.
package bucket

import (
	"context"
	"io"
	"time"
	"unicode/utf8"

	"airfield/internal/fault"
)

// MaxKeyBytes is the longest key a bucket takes: what fits into the 1024 bytes that object stores allow a name, escaped
// and with all that is to be said about a version.
const MaxKeyBytes = 200

// MaxMediaTypeBytes is the longest media type a bucket takes.
const MaxMediaTypeBytes = 127

// Object is one version of one key, or the marker that hides a key.
type Object struct {
	Key       string
	Version   string // sorts by age within a key; made by the bucket
	Size      int64
	SHA256    string // hex; empty for a marker
	Modified  time.Time
	MediaType string
	Latest    bool // the newest entry of its key, marker or not
	Deleted   bool // a marker: the key is hidden, older versions are still there
}

// PutOptions says what comes with the bytes and how many there may be.
type PutOptions struct {
	MediaType string
	MaxBytes  int64 // 0 is no limit
}

// Purged counts what a Purge took away for good.
type Purged struct {
	Versions int // markers not counted
	Bytes    int64
}

// Add counts an entry that was taken away.
func (p *Purged) Add(o Object) {
	if !o.Deleted {
		p.Versions++
		p.Bytes += o.Size
	}
}

// Chosen are the entries of a key that a Purge is about: that of a version, or with "" all.
func Chosen(versions []Object, version string) []Object {
	if version == "" {
		return versions
	}
	var chosen []Object
	for _, o := range versions {
		if o.Version == version {
			chosen = append(chosen, o)
		}
	}
	return chosen
}

// Report counts what a Sweep took away.
type Report struct {
	Expired      int // old versions
	ExpiredBytes int64
	Markers      int // markers that hid nothing any more, or were themselves superseded long ago
	Aborted      int // unfinished uploads
	AbortedBytes int64
}

// Expire counts an entry whose time was over.
func (r *Report) Expire(o Object) {
	if o.Deleted {
		r.Markers++
		return
	}
	r.Expired++
	r.ExpiredBytes += o.Size
}

// Bucket keeps objects. All methods may be called at once from many goroutines. A key or version that is not
// there is a fault.NotFound; a key that cannot be is a fault.Invalid; a full disk is a fault.Unavailable with
// the code "disk_full".
type Bucket interface {
	// Put stores what r yields as the newest version. It appears whole and durable, or not at all: an error of
	// r, a cancelled ctx or more than MaxBytes (fault.TooLarge) leaves nothing.
	Put(ctx context.Context, key string, r io.Reader, o PutOptions) (Object, error)
	// Get opens a version, or the latest for version "". A hidden key is not found; its older versions are, by name.
	Get(ctx context.Context, key, version string) (io.ReadCloser, Object, error)
	// Stat is Get without the bytes.
	Stat(ctx context.Context, key, version string) (Object, error)
	// Delete hides the key behind a marker. Deleting what is hidden or was never there changes nothing.
	Delete(ctx context.Context, key string) error
	// Purge removes the bytes of one version, or with version "" every version and marker of the key.
	// Purging what is not there counts zero and is no error.
	Purge(ctx context.Context, key, version string) (Purged, error)
	// List returns up to limit latest versions that are not hidden, in byte order of their keys, of the keys
	// that begin with prefix and come after the key after. Fewer than limit means that there are no more.
	List(ctx context.Context, prefix, after string, limit int) ([]Object, error)
	// Versions returns every version and marker of a key, newest first; none is no error.
	Versions(ctx context.Context, key string) ([]Object, error)
	// Sweep applies the lifecycle as of now. The latest version of a key is never touched.
	Sweep(ctx context.Context, now time.Time) (Report, error)
	// Probe reports whether the bucket can be written and read.
	Probe(ctx context.Context) error
}

// Local is implemented by a bucket whose objects are files on this machine. The path is good for reading until
// the version is purged.
type Local interface {
	Path(ctx context.Context, key, version string) (path string, o Object, err error)
}

// CheckKey refuses what no bucket takes as a key: every other string is a key, also "../etc/passwd".
func CheckKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, "bucket_key", "a key must not be empty")
	case len(key) > MaxKeyBytes:
		return fault.New(fault.Invalid, "bucket_key", "a key has %d bytes, more than the %d allowed", len(key), MaxKeyBytes)
	case !utf8.ValidString(key):
		return fault.New(fault.Invalid, "bucket_key", "a key must be valid UTF-8")
	}
	return nil
}

// CheckMediaType refuses a media type that could not be kept or sent in a header.
func CheckMediaType(mediaType string) error {
	if len(mediaType) > MaxMediaTypeBytes {
		return fault.New(fault.Invalid, "bucket_media_type", "a media type has %d bytes, more than the %d allowed", len(mediaType), MaxMediaTypeBytes)
	}
	for _, c := range []byte(mediaType) {
		if c < ' ' || c > '~' {
			return fault.New(fault.Invalid, "bucket_media_type", "a media type must be printable ASCII")
		}
	}
	return nil
}

// NotFound is the fault every backend returns for a key or version that is not there.
func NotFound(key, version string) error {
	if version == "" {
		return fault.New(fault.NotFound, "object_not_found", "there is no object %q", key)
	}
	return fault.New(fault.NotFound, "object_not_found", "there is no version %q of object %q", version, key)
}

// TooLarge is the fault every backend returns for an upload of more than limit bytes.
func TooLarge(key string, limit int64) error {
	return fault.New(fault.TooLarge, "object_too_large", "object %q has more than the %d bytes allowed", key, limit)
}
