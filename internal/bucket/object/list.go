package object

import (
	"context"
	"slices"
	"strings"

	"airfield/internal/bucket"
)

// maxPage is how many names a store tells at once.
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
func (b *Bucket) walk(ctx context.Context, start, behind string, limit int, visit func(versions []bucket.Object) bool) error {
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
	for page := ""; ; {
		names, next, err := b.page(ctx, start, behind, page, limit)
		if err != nil {
			return err
		}
		for _, listed := range names {
			o, ok := parse(listed.Name)
			if !ok {
				continue // not ours
			}
			if !o.Deleted {
				o.Size = listed.Size
			}
			if len(group) > 0 && group[0].Key != o.Key && !flush() {
				return nil
			}
			group = append(group, o)
		}
		if next == "" {
			flush()
			return nil
		}
		page = next
	}
}

func (b *Bucket) page(ctx context.Context, prefix, behind, page string, limit int) (names []Listed, next string, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return b.store.List(ctx, prefix, behind, page, limit)
}
