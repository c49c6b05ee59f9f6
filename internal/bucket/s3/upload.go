package s3

import (
	"context"
	"io"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"airfield/internal/aws"
	"airfield/internal/bucket"
	"airfield/internal/bucket/object"
)

const (
	partBytes   = 64 << 20
	maxParts    = 10000
	requestTime = time.Minute
	tidyTime    = 30 * time.Second
	noMediaType = "application/octet-stream"
)

// Put writes an object; in parts what is too large to be sent again whole when the line breaks.
func (s *store) Put(ctx context.Context, name string, from object.Content, size int64, mediaType string) error {
	if mediaType == "" {
		mediaType = noMediaType
	}
	if size > s.partBytes {
		return s.putParts(ctx, s.at(name), from, size, mediaType)
	}
	_, err := s.client.PutObject(ctx, &sdk.PutObjectInput{Bucket: &s.place.Bucket, Key: s.at(name), Body: from, ContentLength: &size, ContentType: &mediaType})
	return s.place.Explain("store object", err)
}

// putParts is Put in parts. An upload that nobody ends is aborted by AbortUploads.
func (s *store) putParts(ctx context.Context, at *string, from io.ReaderAt, size int64, mediaType string) error {
	upload, err := s.client.CreateMultipartUpload(ctx, &sdk.CreateMultipartUploadInput{Bucket: &s.place.Bucket, Key: at, ContentType: &mediaType})
	if err != nil {
		return s.place.Explain("begin an upload", err)
	}
	var parts []types.CompletedPart
	part := max(s.partBytes, size/maxParts+1)
	for done := int64(0); done < size && err == nil; done += part {
		n := min(part, size-done)
		number := int32(len(parts) + 1)
		var sent *sdk.UploadPartOutput
		sent, err = s.client.UploadPart(ctx, &sdk.UploadPartInput{
			Bucket: &s.place.Bucket, Key: at, UploadId: upload.UploadId, PartNumber: &number, Body: io.NewSectionReader(from, done, n), ContentLength: &n,
		})
		if err == nil {
			parts = append(parts, types.CompletedPart{ETag: sent.ETag, PartNumber: &number})
		}
	}
	if err == nil {
		_, err = s.client.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{
			Bucket: &s.place.Bucket, Key: at, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err == nil {
		return nil
	}
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if err := s.abort(tidy, *at, upload.UploadId); err != nil {
		s.log.Warn("an unfinished upload could not be aborted; the sweep will try", "object", *at, "error", err)
	}
	return s.place.Explain("store object", err)
}

// AbortUploads ends the uploads in parts that nobody goes on with.
func (s *store) AbortUploads(ctx context.Context, prefix string, now time.Time, idle time.Duration, report *bucket.Report) error {
	at := s.at(prefix)
	begun := sdk.NewListMultipartUploadsPaginator(s.client, &sdk.ListMultipartUploadsInput{Bucket: &s.place.Bucket, Prefix: at})
	for begun.HasMorePages() {
		page, err := begun.NextPage(ctx)
		if err != nil {
			return s.place.Explain("list unfinished uploads", err)
		}
		for _, u := range page.Uploads {
			if u.Key == nil || !strings.HasPrefix(*u.Key, *at) || u.Initiated == nil || now.Sub(*u.Initiated) < idle {
				continue // not ours, or alive
			}
			size, err := s.uploaded(ctx, *u.Key, u.UploadId)
			if err == nil {
				err = s.abort(ctx, *u.Key, u.UploadId)
			}
			if aws.Gone(err) { // finished since
				continue
			}
			if err != nil {
				return s.place.Explain("abort an upload", err)
			}
			report.Aborted++
			report.AbortedBytes += size
		}
	}
	return nil
}

// uploaded counts the bytes of an unfinished upload.
func (s *store) uploaded(ctx context.Context, at string, upload *string) (size int64, err error) {
	parts := sdk.NewListPartsPaginator(s.client, &sdk.ListPartsInput{Bucket: &s.place.Bucket, Key: &at, UploadId: upload})
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

func (s *store) abort(ctx context.Context, at string, upload *string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: &s.place.Bucket, Key: &at, UploadId: upload})
	return err
}
