// Package source keeps collections in line with the places their documents come from. A backend (folder, s3, postgres, web, api) lists what is
// there now; Scan compares that with what was seen last, and tells the pipeline what is new, changed, renamed or gone.
package source

import (
	"context"
	"io"
	"strings"

	"airfield/internal/ingest"
)

// Entry is one item as a source lists it.
type Entry struct {
	Key         string // its name: slash-separated, relative to the source
	Fingerprint string // changes when the bytes may have changed
	Identity    string // survives a rename; "" where the source knows none
	Sidecar     string // the fingerprint of its metadata file, "" where it has none
	Size        int64
	Unsettled   bool   // still being written: it is there, and is read later
	MediaType   string // as the source declares it, or ""
	From        string // the key it had before, where the source knows for certain that it moved
}

// Listing is what a source holds now.
type Listing struct {
	Entries map[string]Entry
	Root    string   // identity of the place itself, so that another one in its stead is noticed
	Mark    string   // how far the place had come before it was listed, for backends that also read what is new alone
	Missed  []string // what could not be listed or read, in words: then nothing is taken for gone
	More    bool     // a part of a long listing, with what is new in it: the next call goes on, and the last tells all
	Owes    bool     // among what was missed are items that were never seen: the place was not read whole
	Note    string   // what else is to be known, in words
}

// Backend reads one kind of source.
type Backend interface {
	// List fails where the place itself is not there.
	List(ctx context.Context) (Listing, error)
	// Open reads an item's bytes. verify reports, after reading, whether they were changed meanwhile.
	Open(ctx context.Context, e Entry) (r io.ReadCloser, verify func() error, err error)
	// Sidecar reads the item's metadata file; nil where there is none.
	Sidecar(ctx context.Context, e Entry) ([]byte, error)
}

// Gatherer is a backend that reads many items with one question. It is asked before they are opened.
type Gatherer interface {
	Gather(ctx context.Context, entries []Entry) error
}

// Summer is a backend whose fingerprints hold the SHA-256 of the bytes, so that nothing is read to compare them.
type Summer interface {
	Sum(e Entry) string
}

// Remembered takes a source's cursor apart: the identity of the place, and the mark of how far it had come.
func Remembered(cursor string) (root, mark string) {
	root, mark, _ = strings.Cut(cursor, "\n")
	return root, mark
}

// Remember is the cursor that Remembered takes apart.
func Remember(root, mark string) string {
	if mark == "" {
		return root
	}
	return root + "\n" + mark
}

// Recaller is a backend that asks its source for what is newer than what was seen last.
type Recaller interface {
	// Recall is called before List, with the items of the last scan by key, and the Root of the last listing that was whole.
	Recall(items map[string]ingest.Item, root string)
}

// Report counts what a scan found.
type Report struct {
	Added, Changed, Renamed, Removed int
	Touched                          int // seen as changed, with the same bytes
	Unsettled                        int // left for the next scan
	Failed                           int
	Away                             bool   // the source could not be read, or not to its end
	Missed                           bool   // something could not be read: it is worth another look soon
	State                            string // of the source after it
	Message                          string
}

// Library is what a scan needs of the pipeline; ingest.Pipeline satisfies it.
type Library interface {
	GetSource(ctx context.Context, collection, name string) (ingest.Source, error)
	SaveSource(ctx context.Context, s ingest.Source) error
	Items(ctx context.Context, sourceID string) (map[string]ingest.Item, error)
	ItemsOf(ctx context.Context, sourceID string, keys []string) (map[string]ingest.Item, error)
	CountItems(ctx context.Context, sourceID string) (int, error)
	SaveCursor(ctx context.Context, sourceID, cursor string) error
	SeeItems(ctx context.Context, items []ingest.Item) error
	RenameItem(ctx context.Context, s ingest.Source, from, to ingest.Item) error
	RemoveItems(ctx context.Context, s ingest.Source, items []ingest.Item) error
	UploadAll(ctx context.Context, collection string, uploads []ingest.Upload) ([]ingest.Receipt, error)
}
