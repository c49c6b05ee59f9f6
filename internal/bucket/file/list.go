package file

import (
	"context"
	"io/fs"
	"slices"
	"strings"

	"airfield/internal/bucket"
)

// List walks the folders in the order of their keys and enters only those that can hold what is asked for.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Object, error) {
	var out []bucket.Object
	wanted := func(key string) bool { // whether key, or one that begins with it, may be listed
		return (strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key)) &&
			(key > after || strings.HasPrefix(after, key))
	}
	err := b.walk(ctx, objects, "", wanted, func(key string, entries []fs.DirEntry) (bool, error) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			return true, nil
		}
		versions, err := versionsIn(key, entries)
		if err == nil && len(versions) > 0 && !versions[0].Deleted && len(out) < limit {
			out = append(out, versions[0])
		}
		return len(out) < limit, err
	})
	return out, err
}

// errStop ends a walk; it never leaves this package.
type errStop struct{}

func (errStop) Error() string { return "stop" }

// walk calls visit with each key's folder, in byte order of the keys, until it says false. A folder is entered
// when the keys in it, all of which begin with its own, are wanted.
func (b *Bucket) walk(ctx context.Context, dir, key string, wanted func(key string) bool, visit func(key string, entries []fs.DirEntry) (bool, error)) error {
	err := b.enter(ctx, dir, key, wanted, visit)
	if err == (errStop{}) {
		return nil
	}
	return err
}

func (b *Bucket) enter(ctx context.Context, dir, key string, wanted func(key string) bool, visit func(key string, entries []fs.DirEntry) (bool, error)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	entries, err := b.readDir(dir)
	if err != nil {
		return err
	}
	if more, err := visit(key, entries); err != nil {
		return err
	} else if !more {
		return errStop{}
	}
	var below []string
	for _, e := range entries {
		if piece, ok := decode(e.Name()); ok && e.IsDir() && wanted(key+piece) {
			below = append(below, piece)
		}
	}
	entries = nil
	slices.Sort(below)
	for _, piece := range below {
		if err := b.enter(ctx, dir+"/"+encode(piece), key+piece, wanted, visit); err != nil {
			return err
		}
	}
	return nil
}
