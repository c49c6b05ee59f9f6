// Package retrieve finds passages and answers questions from them, always inside the clearance of the caller in the
// context. The doors and the command line call it; the index it asks is derived, so every hit is checked against the
// database before it leaves.
package retrieve

import (
	"log/slog"

	"airfield/internal/db"
	"airfield/internal/index"
	"airfield/internal/telemetry"
)

// Parts are what a Retriever is made of.
type Parts struct {
	DB        *db.DB
	Index     index.Index
	Feed      *Feed
	Embedder  Embedder
	Completer Completer
	Searched  func(collection string) // counts a search of a collection's index; nil: nobody counts
	Tracer    *telemetry.Tracer
	Log       *slog.Logger
}

// Retriever searches collections and answers from them.
type Retriever struct {
	Parts
	config Config
}

// New makes a retriever. The configuration has passed Check.
func New(config Config, parts Parts) *Retriever {
	return &Retriever{Parts: parts, config: config}
}
