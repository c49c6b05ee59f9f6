// Package index holds the words of search: what is put into an index, what is asked of it and what comes back.
// Ingestion feeds an Index from the ordered changes of the database, retrieval asks it. An index is derived: it can be
// dropped at any time and fed again, and every hit is checked against the database before it leaves the house.
package index

import (
	"context"
	"iter"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

// Document is everything an index holds of one document. Without chunks it says that the document is to be removed.
type Document struct {
	ID         string
	Tier       caller.Tier
	Attributes map[string]any // string, float64, bool or []string; what filters compare
	Chunks     []Chunk
}

// Chunk is one passage. An unchanged id together with unchanged texts and vector is not written again.
type Chunk struct {
	ID      string
	Title   string // of the document
	Heading string // the path of headings above the passage
	Text    string
	Vector  []float32 // any length above zero; empty, or all zeros: the passage is found by keywords only
}

// Query asks one space for passages. Tier and filter are applied before ranking, never after.
type Query struct {
	Space     string
	Text      string    // empty: no keyword list
	Vector    []float32 // empty: no vector list
	Clearance caller.Tier
	Filter    Filter
	Limit     int // hits per list, at most MaxLimit; zero or less: DefaultLimit
}

// Hit is one passage of a list, best first.
type Hit struct {
	ChunkID    string
	DocumentID string
	Score      float64 // BM25 in the keyword list, cosine in the vector list
}

// Hits are the two lists of an answer. How they are fused is the asker's business.
type Hits struct {
	Keyword []Hit
	Vector  []Hit
}

// Stats says how large a space is.
type Stats struct {
	Documents  int
	Chunks     int
	Vectors    int
	Dimensions int   // of the vectors; 0 while there is none
	Bytes      int64 // on disk, or as the store reports it
}

// Index is a store of passages, divided into spaces. A space is one independent set of entries: one generation of one
// collection. It comes into being with its first Replace; an unknown one is empty. Methods may be called concurrently.
type Index interface {
	// Replace makes the entries of each document exactly the given ones: for a search all of them at once, and
	// durable when it returns. The space then has applied the changes up to sequence; a lower one than recorded
	// does not take it back. It can be repeated with the same result. A document that Check refuses stops it, and
	// then nothing is changed. It waits while somebody else has the space claimed.
	Replace(ctx context.Context, space string, documents []Document, sequence int64) error
	// Sequence is the highest change that the space has applied durably; 0 for an unknown space.
	Sequence(ctx context.Context, space string) (int64, error)
	// Search returns the best passages of the documents that the clearance sees and the filter matches.
	Search(ctx context.Context, query Query) (Hits, error)
	// Claim gives the right to change a space to one feeder at a time, of all processes that share the index. What a
	// feeder reads of the database while it holds the claim is therefore not older than what the space has.
	Claim(ctx context.Context, space string) (Claim, error)
	// Drop removes a space. Nothing of it remains on disk. It waits like Replace.
	Drop(ctx context.Context, space string) error
	// Count says how many entries of a document are left: the proof of a deletion.
	Count(ctx context.Context, space, documentID string) (int, error)
	// Documents yields the ids of all documents of a space, in no order.
	Documents(ctx context.Context, space string) iter.Seq2[string, error]
	// Spaces lists the spaces that exist, sorted.
	Spaces(ctx context.Context) ([]string, error)
	// Stats measures a space.
	Stats(ctx context.Context, space string) (Stats, error)
	// Compact takes what was replaced or removed off the disk too. Search goes on meanwhile.
	Compact(ctx context.Context, space string) error
	Close() error
}

// Claim is the right to change one space. A claim that was lost, because its connection or its process hung, changes
// nothing any more: its methods fail.
type Claim interface {
	Replace(ctx context.Context, documents []Document, sequence int64) error
	Drop(ctx context.Context) error
	Release()
}

// ClaimWait is how long a claim is waited for at the most.
const ClaimWait = 30 * time.Second

// Busy says that another feeder has the space.
func Busy(space string) error {
	return fault.New(fault.Unavailable, "index_busy", "the index %s is being changed by another process", space)
}

// IsBusy reports whether an error is that of Busy.
func IsBusy(err error) bool { return err != nil && fault.As(err).Code == "index_busy" }

const (
	DefaultLimit = 10
	MaxLimit     = 1000
	MaxTextBytes = 64 << 10 // of a query
)
