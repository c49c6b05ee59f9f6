package retrieve

import (
	"context"
	"errors"

	"airfield/internal/caller"
	"airfield/internal/index"
)

// Mode says which lists a search draws on.
type Mode string

const (
	Hybrid  Mode = "hybrid" // both, fused
	Keyword Mode = "keyword"
	Vector  Mode = "vector"
)

// Request is a search. Its collections are named by name or id.
type Request struct {
	Collections []string
	Query       string
	Limit       int // 0: the configured default
	Filter      index.Filter
	Mode        Mode    // "" is hybrid
	MinScore    float64 // passages below it are left out
}

// Passage is one found chunk, as the database has it at this moment.
type Passage struct {
	ChunkID      string         `json:"chunk_id"`
	DocumentID   string         `json:"document_id"`
	VersionID    string         `json:"version_id"`
	Version      int            `json:"version"`
	CollectionID string         `json:"collection_id"`
	Collection   string         `json:"collection"`
	Title        string         `json:"title"`
	Name         string         `json:"name"` // the file's
	Source       string         `json:"source"`
	SourceKey    string         `json:"source_key"`
	Heading      []string       `json:"heading"` // the path of headings above it
	PageFrom     int            `json:"page_from,omitempty"`
	PageTo       int            `json:"page_to,omitempty"`
	Text         string         `json:"text"`
	Kind         string         `json:"kind,omitempty"`
	Tokens       int            `json:"tokens"`
	Tier         caller.Tier    `json:"tier"`
	Attributes   map[string]any `json:"attributes"`
	Score        float64        `json:"score"` // 0 to 1: the share of the best that could be had in this search
}

// Result is what a search found, best first.
type Result struct {
	Passages []Passage `json:"passages"`
	TraceID  string    `json:"trace_id"`
	Dropped  int       `json:"dropped,omitempty"` // hits of the index that the database did not confirm
	Behind   bool      `json:"behind,omitempty"`  // the index had not taken in every change when it was asked
}

// Search returns the passages that fit the query best, of documents that are live and that the caller may see.
func (r *Retriever) Search(ctx context.Context, q Request) (Result, error) {
	return Result{}, errors.ErrUnsupported
}
