// Package ingest brings documents into collections: it accepts uploads and what sources find, and takes each version
// through durable steps (extract, validate, chunk, embed, store) until one transaction makes it live. The doors call
// it for collections, documents, files and dead letters; a worker gives it runs to do.
package ingest

import (
	"log/slog"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/telemetry"
)

// Parts is what a pipeline is built from.
type Parts struct {
	DB        *db.DB
	Bucket    bucket.Bucket
	Queue     Queue
	Extractor Extractor
	Embedder  Embedder
	Refresher Embedder // for generations that are built: behind everybody who waits
	Searcher  Searcher
	Prices    Prices
	Index     Searchable
	Audit     Audit
	Tracer    *telemetry.Tracer
	Beyond    func() []Retained // what may hold a deleted document's words beyond the reach of a purge; nil: nothing is said
	TempDir   string            // where bytes of a bucket that is not local are put for the extractor
	Log       *slog.Logger
}

// Pipeline is the ingest feature. Who may do what is decided in its methods, by the context's caller: what is not
// readable is not found.
type Pipeline struct {
	config Config
	Parts
	alone time.Time // when Recover said that no other process is at work; zero where one may be
}

// New makes a pipeline; nothing runs before Register and the queue's Run.
func New(config Config, parts Parts) *Pipeline {
	parts.Log = parts.Log.With("part", "ingest")
	return &Pipeline{config: config, Parts: parts}
}
