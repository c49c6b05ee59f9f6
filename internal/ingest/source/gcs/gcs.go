// Package gcs is the source that is a bucket of Google Cloud Storage, or a part of one: it lists objects page by page and reads
// what is new.
package gcs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"airfield/internal/gcs"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
	"airfield/internal/secret"
)

const (
	pageTime = time.Minute
	page     = 1000
	readTime = 30 * time.Minute // an object that takes longer is read again
	settle   = time.Second      // events come in crowds
)

// Source is a source.Backend.
type Source struct {
	place  gcs.Place
	client *gcs.Client
	globs  source.Globs
}

// New makes a source of its configuration. It asks nothing of the bucket.
func New(c ingest.SourceConfig) (*Source, error) {
	place, err := gcs.Parse(c.GCS)
	if err != nil {
		return nil, fmt.Errorf("gcs: %w", err)
	}
	s := &Source{place: place}
	if s.client, err = place.Open(secret.Value{}); err != nil {
		return nil, err
	}
	s.globs, err = source.NewGlobs(c)
	return s, err
}

// Run keeps a collection in line with a bucket until ctx ends.
func Run(ctx context.Context, library source.Library, s ingest.Source, woken <-chan struct{}, log *slog.Logger) {
	log = log.With("collection", s.Collection, "source", s.Name)
	b, err := New(s.Config)
	if err != nil {
		log.Error("a source cannot be read", "err", err)
		return
	}
	source.Loop{Library: library, Backend: b, Source: s, Changed: woken, Settle: settle, Log: log}.Run(ctx)
}

// Reach reports whether the bucket of a configuration can be listed.
func Reach(ctx context.Context, c ingest.SourceConfig) error {
	s, err := New(c)
	if err != nil {
		return err
	}
	_, err = s.client.List(ctx, s.place.Prefix, "", "", 1, false)
	return s.place.Explain("list the bucket "+s.place.Bucket, err)
}

// List reads all pages. A page that fails fails the whole, so that nothing is taken for gone.
func (s *Source) List(ctx context.Context) (source.Listing, error) {
	names := source.NewNames("gs://"+s.place.Bucket+"/"+s.place.Prefix, s.globs)
	for next := ""; ; {
		within, cancel := context.WithTimeout(ctx, pageTime)
		found, err := s.client.List(within, s.place.Prefix, "", next, page, false)
		cancel()
		if err != nil {
			return source.Listing{}, s.place.Explain("list the bucket "+s.place.Bucket, err)
		}
		for _, o := range found.Objects {
			if !utf8.ValidString(o.Name) {
				names.Miss(o.Name)
				continue
			}
			names.Add(strings.TrimPrefix(o.Name, s.place.Prefix), strconv.FormatInt(o.Generation, 10), o.Size)
		}
		if next = found.Next; next == "" {
			return names.Listing(), nil
		}
	}
}

// Open reads an object as it was listed, or says that it is another by now.
func (s *Source) Open(ctx context.Context, e source.Entry) (io.ReadCloser, func() error, error) {
	r, err := s.open(ctx, e.Key, e.Fingerprint)
	return r, func() error { return nil }, err
}

// Sidecar reads the object beside it that tells its metadata.
func (s *Source) Sidecar(ctx context.Context, e source.Entry) ([]byte, error) {
	return source.ReadSidecar(ctx, e, s.open)
}

// open reads one generation. Where the bucket keeps versions, one that was overwritten can still be read; the next listing
// tells of the new one.
func (s *Source) open(ctx context.Context, key, fingerprint string) (io.ReadCloser, error) {
	generation, err := strconv.ParseInt(source.Mark(fingerprint), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is no mark of an object", fingerprint)
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	r, err := s.client.Get(ctx, s.place.Prefix+key, generation)
	if err == nil {
		return &source.Reading{ReadCloser: r, Cancel: cancel}, nil
	}
	cancel()
	if gcs.Gone(err) {
		return nil, source.ErrChanging
	}
	return nil, s.place.Explain("read the object", err)
}
