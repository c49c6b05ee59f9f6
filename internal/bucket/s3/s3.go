// Package s3 keeps documents in Amazon S3, or in what speaks like it. Where the store itself keeps versions, what is
// removed is removed from those too.
package s3

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/aws"
	"airfield/internal/bucket"
	"airfield/internal/bucket/object"
	"airfield/internal/fault"
)

// store is an object.Store.
type store struct {
	client    *sdk.Client
	place     aws.Place
	log       *slog.Logger
	partBytes int64 // larger objects go up in parts of this size

	removing [64]sync.Mutex // by name
}

// Open opens the bucket that c names, which must be there. Uploads wait in tempDir until they are whole.
func Open(ctx context.Context, c bucket.Config, tempDir string, log *slog.Logger) (*object.Bucket, error) {
	s, err := open(ctx, c, log)
	if err != nil {
		return nil, err
	}
	return object.New(s, c.Lifecycle, tempDir, log)
}

func open(ctx context.Context, c bucket.Config, log *slog.Logger) (*store, error) {
	if _, err := c.Check(); err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	place, err := aws.Parse(c.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "bucket_url", "bucket.url: %s", err)
	}
	client, err := place.Open(ctx, aws.Keys{ID: c.AccessKeyID, Secret: c.SecretAccessKey, Session: c.SessionToken})
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	return &store{client: client, place: place, log: log, partBytes: partBytes}, nil
}

// at is a name with the prefix.
func (s *store) at(name string) *string {
	name = s.place.Prefix + name
	return &name
}

// Open reads an object.
func (s *store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	out, err := s.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &s.place.Bucket, Key: s.at(name)})
	if aws.Gone(err) {
		return nil, object.ErrGone
	}
	if err != nil {
		return nil, s.place.Explain("open object", err)
	}
	return out.Body, nil
}

// List tells a page of names.
func (s *store) List(ctx context.Context, prefix, behind, page string, limit int) (names []object.Listed, next string, err error) {
	in := &sdk.ListObjectsV2Input{Bucket: &s.place.Bucket, Prefix: s.at(prefix), MaxKeys: new(int32(limit))}
	if behind != "" {
		in.StartAfter = s.at(behind)
	}
	if page != "" {
		in.ContinuationToken = &page
	}
	out, err := s.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, "", s.place.Explain("list the bucket", err)
	}
	for _, o := range out.Contents {
		if o.Key != nil && o.Size != nil {
			names = append(names, object.Listed{Name: strings.TrimPrefix(*o.Key, s.place.Prefix), Size: *o.Size})
		}
	}
	if out.IsTruncated != nil && *out.IsTruncated && out.NextContinuationToken != nil {
		next = *out.NextContinuationToken
	}
	return names, next, nil
}

// Remove deletes an object. A store that keeps versions itself says so then: those go too.
func (s *store) Remove(ctx context.Context, name string) error {
	at := s.at(name)
	// One at a time for a name: not every store bears that a version goes while another request names it.
	lock := &s.removing[crc32.ChecksumIEEE([]byte(*at))%uint32(len(s.removing))]
	lock.Lock()
	defer lock.Unlock()
	out, err := s.client.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &s.place.Bucket, Key: at})
	if aws.Gone(err) {
		return nil
	}
	if err != nil {
		return s.place.Explain("remove an object", err)
	}
	if out.VersionId == nil && (out.DeleteMarker == nil || !*out.DeleteMarker) {
		return nil
	}
	kept := sdk.NewListObjectVersionsPaginator(s.client, &sdk.ListObjectVersionsInput{Bucket: &s.place.Bucket, Prefix: at})
	for kept.HasMorePages() {
		page, err := kept.NextPage(ctx)
		if err != nil {
			return s.place.Explain("remove an object's versions", err)
		}
		var ids []*string
		for _, v := range page.Versions {
			if v.Key != nil && *v.Key == *at {
				ids = append(ids, v.VersionId)
			}
		}
		for _, m := range page.DeleteMarkers {
			if m.Key != nil && *m.Key == *at {
				ids = append(ids, m.VersionId)
			}
		}
		for _, id := range ids {
			if _, err := s.client.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &s.place.Bucket, Key: at, VersionId: id}); err != nil && !aws.Gone(err) {
				return s.place.Explain("remove an object's versions", err)
			}
		}
	}
	return nil
}
