package s3

import (
	"context"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/bucket"
)

// maxPage is how many names S3 tells at once.
const maxPage = 1000

// List goes through the names, which sort as their keys do.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Object, error) {
	var out []bucket.Object
	behind := ""
	if after != "" {
		behind = folder(after) + behindAll
	}
	err := b.walk(ctx, objects+escape(prefix, true), behind, min(max(limit+1, 10), maxPage), func(versions []bucket.Object) bool {
		if strings.HasPrefix(versions[0].Key, prefix) && !versions[0].Deleted && len(out) < limit {
			out = append(out, versions[0])
		}
		return len(out) < limit
	})
	return out, err
}

// walk calls visit with all versions of each key, newest first, in byte order of the keys, until it says false. It takes
// names that begin with start, and come after behind.
func (b *Bucket) walk(ctx context.Context, start, behind string, page int, visit func(versions []bucket.Object) bool) error {
	var group []bucket.Object
	flush := func() bool {
		if len(group) == 0 {
			return true
		}
		slices.SortFunc(group, func(x, y bucket.Object) int { return strings.Compare(y.Version, x.Version) })
		group[0].Latest = true
		more := visit(group)
		group = nil
		return more
	}
	in := &sdk.ListObjectsV2Input{Bucket: &b.place.Bucket, Prefix: new(b.place.Prefix + start), MaxKeys: new(int32(page))}
	if behind != "" {
		in.StartAfter = new(b.place.Prefix + behind)
	}
	for {
		out, err := b.listPage(ctx, in)
		if err != nil {
			return err
		}
		for _, object := range out.Contents {
			if object.Key == nil || object.Size == nil {
				continue
			}
			o, ok := parse(strings.TrimPrefix(*object.Key, b.place.Prefix))
			if !ok {
				continue // not ours
			}
			if !o.Deleted {
				o.Size = *object.Size
			}
			if len(group) > 0 && group[0].Key != o.Key && !flush() {
				return nil
			}
			group = append(group, o)
		}
		if out.IsTruncated == nil || !*out.IsTruncated || out.NextContinuationToken == nil {
			flush()
			return nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

func (b *Bucket) listPage(ctx context.Context, in *sdk.ListObjectsV2Input) (*sdk.ListObjectsV2Output, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	out, err := b.client.ListObjectsV2(ctx, in)
	return out, b.place.Explain("list the bucket", err)
}
