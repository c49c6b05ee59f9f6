package ingest

import (
	"context"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/ingest/extract"
	"airfield/internal/money"
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

// Searcher finds passages in one generation of a collection, live or not; retrieval satisfies it. The best come first.
type Searcher interface {
	SearchGeneration(ctx context.Context, collectionID, generationID, query string, limit int) ([]Found, error)
}

// Found is a passage that a generation gives for a query.
type Found struct {
	ChunkID, DocumentID, SourceKey string
}

// Prices says what embedding costs; the gateway's price list satisfies it.
type Prices interface {
	// EmbeddingCost is what so many tokens cost at the deployment of a model that is asked first. A model that there is
	// not is an error.
	EmbeddingCost(ctx context.Context, model string, tokens int64) (EmbeddingCost, error)
}

// EmbeddingCost is an estimate by the price list.
type EmbeddingCost struct {
	Deployment string
	Cost       money.Nanos
	Priced     bool
}

// Extractor reads a file's blocks, by what the collection says of records; extract.Extractor satisfies it.
type Extractor interface {
	ExtractRecords(ctx context.Context, path, name, declaredType string, records *extract.Records, each func(extract.Page) error) (extract.Result, error)
}

// Audit appends to the audit log in the transaction of the change; access.Audit satisfies it.
type Audit interface {
	Record(ctx context.Context, tx *db.Tx, e access.Entry) error
}
