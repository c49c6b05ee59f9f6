// Package s3 is the source that is an S3 bucket, or a part of one: it lists objects page by page and reads what is new.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"airfield/internal/aws"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

const (
	pageTime = time.Minute
	readTime = 30 * time.Minute // an object that takes longer is read again
	settle   = time.Second      // events come in crowds
)

// Source is a source.Backend.
type Source struct {
	place  aws.Place
	client *sdk.Client
	globs  source.Globs
}

// New makes a source of its configuration. It asks nothing of the bucket.
func New(ctx context.Context, c ingest.SourceConfig) (*Source, error) {
	place, err := aws.Parse(c.S3)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	s := &Source{place: place}
	if s.client, err = place.Open(ctx, aws.Keys{}); err != nil {
		return nil, err
	}
	s.globs, err = source.NewGlobs(c)
	return s, err
}

// Run keeps a collection in line with a bucket until ctx ends.
func Run(ctx context.Context, library source.Library, s ingest.Source, woken <-chan struct{}, log *slog.Logger) {
	log = log.With("collection", s.Collection, "source", s.Name)
	b, err := New(ctx, s.Config)
	if err != nil {
		log.Error("a source cannot be read", "err", err)
		return
	}
	source.Loop{Library: library, Backend: b, Source: s, Changed: woken, Settle: settle, Log: log}.Run(ctx)
}

// Reach reports whether the bucket of a configuration can be listed.
func Reach(ctx context.Context, c ingest.SourceConfig) error {
	s, err := New(ctx, c)
	if err != nil {
		return err
	}
	_, err = s.client.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: &s.place.Bucket, Prefix: &s.place.Prefix, MaxKeys: new(int32(1))})
	return s.place.Explain("list the bucket "+s.place.Bucket, err)
}

// List reads all pages. A page that fails fails the whole, so that nothing is taken for gone.
func (s *Source) List(ctx context.Context) (source.Listing, error) {
	names := source.NewNames("s3://"+s.place.Bucket+"/"+s.place.Prefix, s.globs)
	pages := sdk.NewListObjectsV2Paginator(s.client, &sdk.ListObjectsV2Input{Bucket: &s.place.Bucket, Prefix: &s.place.Prefix, EncodingType: types.EncodingTypeUrl})
	for pages.HasMorePages() {
		within, cancel := context.WithTimeout(ctx, pageTime)
		page, err := pages.NextPage(within)
		cancel()
		if err != nil {
			return source.Listing{}, s.place.Explain("list the bucket "+s.place.Bucket, err)
		}
		for _, o := range page.Contents {
			if o.Key == nil || o.Size == nil || o.ETag == nil {
				continue
			}
			name, ok := plain(*o.Key, page.EncodingType)
			if !ok {
				names.Miss(*o.Key)
				continue
			}
			names.Add(strings.TrimPrefix(name, s.place.Prefix), strings.Trim(*o.ETag, `"`), *o.Size)
		}
	}
	return names.Listing(), nil
}

// plain is a name as it is. Stores that can escape names in listings say so, as XML cannot hold all that a name can.
func plain(key string, encoding types.EncodingType) (name string, ok bool) {
	if encoding == types.EncodingTypeUrl {
		unescaped, err := url.QueryUnescape(key)
		if err != nil {
			return "", false
		}
		key = unescaped
	}
	return key, utf8.ValidString(key)
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

func (s *Source) open(ctx context.Context, key, fingerprint string) (io.ReadCloser, error) {
	name, quoted := s.place.Prefix+key, `"`+source.Mark(fingerprint)+`"`
	ctx, cancel := context.WithTimeout(ctx, readTime)
	out, err := s.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &s.place.Bucket, Key: &name, IfMatch: &quoted})
	if err == nil {
		return &source.Reading{ReadCloser: out.Body, Cancel: cancel}, nil
	}
	cancel()
	var res *awshttp.ResponseError
	if aws.Gone(err) || errors.As(err, &res) && res.HTTPStatusCode() == http.StatusPreconditionFailed {
		return nil, source.ErrChanging
	}
	return nil, s.place.Explain("read the object", err)
}
