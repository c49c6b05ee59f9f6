package ingest

import (
	"context"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/ingest/extract"
)

// Embedder turns texts into vectors, one each, in order. The gateway satisfies it, in process or over HTTP, so that
// ingestion's embeddings are limited, budgeted and metered like every other call.
type Embedder interface {
	Embed(ctx context.Context, model string, texts []string) ([][]float32, error)
}

// Searchable is the index as far as a deletion must prove something about it.
type Searchable interface {
	CatchUp(ctx context.Context, collectionID string) error
	Count(ctx context.Context, collectionID, documentID string) (int, error)
	// Compacted reports whether what the index had let go of by a moment is off the disk too; if not, it will be soon.
	Compacted(collectionID string, by time.Time) bool
}

// Extractor reads a file's blocks, by what the collection says of records; extract.Extractor satisfies it.
type Extractor interface {
	ExtractRecords(ctx context.Context, path, name, declaredType string, records *extract.Records, each func(extract.Page) error) (extract.Result, error)
}

// Audit appends to the audit log in the transaction of the change; access.Audit satisfies it.
type Audit interface {
	Record(ctx context.Context, tx *db.Tx, e access.Entry) error
}
