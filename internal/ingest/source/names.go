package source

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"airfield/internal/ingest"
)

// Globs say which names of a source are documents.
type Globs struct{ include, exclude []*regexp.Regexp }

// NewGlobs reads those of a configuration.
func NewGlobs(c ingest.SourceConfig) (g Globs, err error) {
	if g.include, err = ingest.Globs(c.Include); err != nil {
		return g, err
	}
	g.exclude, err = ingest.Globs(c.Exclude)
	return g, err
}

// Want reports whether a name is that of a document.
func (g Globs) Want(key string) bool {
	match := func(re *regexp.Regexp) bool { return re.MatchString(key) }
	return (len(g.include) == 0 || slices.ContainsFunc(g.include, match)) && !slices.ContainsFunc(g.exclude, match)
}

// Names gathers the listing of an object store, which tells documents and sidecars name by name.
type Names struct {
	globs    Globs
	listing  Listing
	sidecars map[string]string
}

// NewNames begins a listing of a place.
func NewNames(root string, globs Globs) *Names {
	return &Names{globs: globs, listing: Listing{Root: root, Entries: map[string]Entry{}}, sidecars: map[string]string{}}
}

// Add takes a name below the place. mark is another one whenever the bytes may have changed.
func (n *Names) Add(key, mark string, size int64) {
	print := strconv.FormatInt(size, 10) + ":" + mark
	switch {
	case key == "" || strings.HasSuffix(key, "/"): // what consoles make for a folder
	case strings.HasSuffix(key, ingest.SidecarSuffix):
		n.sidecars[strings.TrimSuffix(key, ingest.SidecarSuffix)] = print
	case n.globs.Want(key):
		n.listing.Entries[key] = Entry{Key: key, Fingerprint: print, Size: size}
	}
}

// Miss takes note of a name that cannot be read.
func (n *Names) Miss(key string) {
	n.listing.Missed = append(n.listing.Missed, fmt.Sprintf("%.200q: its name cannot be read", key))
}

// Listing is what was gathered.
func (n *Names) Listing() Listing {
	for key, print := range n.sidecars {
		if e, ok := n.listing.Entries[key]; ok {
			e.Sidecar = print
			n.listing.Entries[key] = e
		}
	}
	return n.listing
}

// Mark is what Add was told, out of a fingerprint.
func Mark(fingerprint string) string {
	_, mark, _ := strings.Cut(fingerprint, ":")
	return mark
}

// ReadSidecar reads the object beside an entry that tells its metadata; nil where there is none.
func ReadSidecar(ctx context.Context, e Entry, open func(ctx context.Context, key, fingerprint string) (io.ReadCloser, error)) ([]byte, error) {
	if e.Sidecar == "" {
		return nil, nil
	}
	r, err := open(ctx, e.Key+ingest.SidecarSuffix, e.Sidecar)
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

// Reading ends what was begun for a reader when it is closed.
type Reading struct {
	io.ReadCloser
	Cancel context.CancelFunc
}

// Close closes the reader.
func (r *Reading) Close() error {
	defer r.Cancel()
	return r.ReadCloser.Close()
}
