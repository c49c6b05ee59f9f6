// Package gcs keeps documents in Google Cloud Storage. Where the bucket itself keeps versions, what is removed is removed
// from those too.
package gcs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/bucket/object"
	"airfield/internal/fault"
	"airfield/internal/gcs"
)

const (
	partBytes   = 64 << 20
	noMediaType = "application/octet-stream"
	maxVersions = 1000 // of one name, told at once; each name is written once
)

// store is an object.Store.
type store struct {
	client    *gcs.Client
	place     gcs.Place
	partBytes int64 // larger objects go up in parts of this size
}

// Open opens the bucket that c names, which must be there. Uploads wait in tempDir until they are whole.
func Open(c bucket.Config, tempDir string, log *slog.Logger) (*object.Bucket, error) {
	s, err := open(c)
	if err != nil {
		return nil, err
	}
	return object.New(s, c.Lifecycle, tempDir, log)
}

func open(c bucket.Config) (*store, error) {
	if _, err := c.Check(); err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	place, err := gcs.Parse(c.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "bucket_url", "bucket.url: %s", err)
	}
	client, err := place.Open(c.Credentials)
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	return &store{client: client, place: place, partBytes: partBytes}, nil
}

// Put writes an object.
func (s *store) Put(ctx context.Context, name string, from object.Content, size int64, mediaType string) error {
	if mediaType == "" {
		mediaType = noMediaType
	}
	var err error
	if size > s.partBytes {
		err = s.client.PutParts(ctx, s.place.Prefix+name, from, size, s.partBytes, mediaType)
	} else {
		err = s.client.Put(ctx, s.place.Prefix+name, from, size, mediaType)
	}
	return s.place.Explain("store object", err)
}

// Open reads an object.
func (s *store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := s.client.Get(ctx, s.place.Prefix+name, 0)
	if gcs.Gone(err) {
		return nil, object.ErrGone
	}
	return r, s.place.Explain("open object", err)
}

// Remove deletes every generation of an object.
func (s *store) Remove(ctx context.Context, name string) error {
	at := s.place.Prefix + name
	for page := ""; ; {
		found, err := s.client.List(ctx, at, "", page, maxVersions, true)
		if err != nil {
			return s.place.Explain("remove an object", err)
		}
		for _, o := range found.Objects {
			if o.Name != at {
				continue
			}
			if err := s.client.Delete(ctx, at, o.Generation); err != nil && !gcs.Gone(err) {
				return s.place.Explain("remove an object", err)
			}
		}
		if page = found.Next; page == "" {
			return nil
		}
	}
}

// List tells a page of names.
func (s *store) List(ctx context.Context, prefix, behind, page string, limit int) (names []object.Listed, next string, err error) {
	from := ""
	if behind != "" {
		from = s.place.Prefix + behind // which is no name itself
	}
	found, err := s.client.List(ctx, s.place.Prefix+prefix, from, page, limit, false)
	if err != nil {
		return nil, "", s.place.Explain("list the bucket", err)
	}
	for _, o := range found.Objects {
		names = append(names, object.Listed{Name: strings.TrimPrefix(o.Name, s.place.Prefix), Size: o.Size})
	}
	return names, found.Next, nil
}

// AbortUploads has nothing to do: unfinished uploads are not told in listings, cost nothing, and end after a week.
func (s *store) AbortUploads(context.Context, string, time.Time, time.Duration, *bucket.Report) error {
	return nil
}
