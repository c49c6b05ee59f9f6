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
	"regexp"
	"slices"
	"strconv"
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
	place   aws.Place
	client  *sdk.Client
	include []*regexp.Regexp
	exclude []*regexp.Regexp
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
	if s.include, err = ingest.Globs(c.Include); err != nil {
		return nil, err
	}
	s.exclude, err = ingest.Globs(c.Exclude)
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
	listing := source.Listing{Entries: map[string]source.Entry{}, Root: "s3://" + s.place.Bucket + "/" + s.place.Prefix}
	sidecars := map[string]string{}
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
				listing.Missed = append(listing.Missed, fmt.Sprintf("%.200q: its name cannot be read", *o.Key))
				continue
			}
			key := strings.TrimPrefix(name, s.place.Prefix)
			print := strconv.FormatInt(*o.Size, 10) + ":" + strings.Trim(*o.ETag, `"`)
			switch {
			case key == "" || strings.HasSuffix(key, "/"): // what consoles make for a folder
			case strings.HasSuffix(key, ingest.SidecarSuffix):
				sidecars[strings.TrimSuffix(key, ingest.SidecarSuffix)] = print
			case s.wants(key):
				listing.Entries[key] = source.Entry{Key: key, Fingerprint: print, Size: *o.Size}
			}
		}
	}
	for key, print := range sidecars {
		if e, ok := listing.Entries[key]; ok {
			e.Sidecar = print
			listing.Entries[key] = e
		}
	}
	return listing, nil
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

func (s *Source) wants(key string) bool {
	match := func(re *regexp.Regexp) bool { return re.MatchString(key) }
	return (len(s.include) == 0 || slices.ContainsFunc(s.include, match)) && !slices.ContainsFunc(s.exclude, match)
}

// Open reads an object as it was listed, or says that it is another by now.
func (s *Source) Open(ctx context.Context, e source.Entry) (io.ReadCloser, func() error, error) {
	r, err := s.open(ctx, e.Key, e.Fingerprint)
	return r, func() error { return nil }, err
}

// Sidecar reads the object beside it that tells its metadata.
func (s *Source) Sidecar(ctx context.Context, e source.Entry) ([]byte, error) {
	if e.Sidecar == "" {
		return nil, nil
	}
	r, err := s.open(ctx, e.Key+ingest.SidecarSuffix, e.Sidecar)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	const most = 1 << 20 // the parser refuses long before
	raw, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return nil, fmt.Errorf("its sidecar: %w", err)
	}
	return raw, nil
}

func (s *Source) open(ctx context.Context, key, fingerprint string) (io.ReadCloser, error) {
	_, tag, _ := strings.Cut(fingerprint, ":")
	name, quoted := s.place.Prefix+key, `"`+tag+`"`
	ctx, cancel := context.WithTimeout(ctx, readTime)
	out, err := s.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &s.place.Bucket, Key: &name, IfMatch: &quoted})
	if err == nil {
		return &reading{out.Body, cancel}, nil
	}
	cancel()
	var res *awshttp.ResponseError
	if aws.Gone(err) || errors.As(err, &res) && res.HTTPStatusCode() == http.StatusPreconditionFailed {
		return nil, source.ErrChanging
	}
	return nil, s.place.Explain("read the object", err)
}

type reading struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (r *reading) Close() error {
	defer r.cancel()
	return r.ReadCloser.Close()
}
