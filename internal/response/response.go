// Package response keeps the conversations of the Responses API: it stores what was answered, continues from
// previous_response_id whoever serves the model, and runs file_search over collections. The OpenAI-compatible door calls
// it; the calls themselves are made by the gateway, one for each time that a model is asked.
package response

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/telemetry"
)

// Send makes one call of the responses surface with a body, for a caller in ctx, and writes its answer as the gateway does.
// It is the caller's own way to the gateway, with its headers: timeout bounds the call where it is not 0.
type Send func(ctx context.Context, body []byte, epochs string, timeout time.Duration, w http.ResponseWriter) error

// Searcher finds passages of collections, within the clearance of the caller in ctx; retrieve is it.
type Searcher interface {
	Search(ctx context.Context, q Query) ([]Source, error)
	// Epochs names the state of collections, so that no cached answer outlives it. A collection that the caller may not
	// read is not there.
	Epochs(ctx context.Context, collections []string) (string, error)
}

// Query is one search.
type Query struct {
	Collections []string
	Text        string
	Limit       int // passages; 0 leaves it to retrieval
	Filter      index.Filter
	MinScore    float64
}

// Source is a passage that was found.
type Source struct {
	Chunk      string // its id
	FileID     string
	Filename   string
	Title      string
	Heading    string
	Page       int
	Text       string
	Score      float64
	Attributes map[string]any
}

// Parts are what a Service is made of.
type Parts struct {
	DB       *db.DB
	Searcher Searcher
	Keeps    func(workflow string) bool // whether what a workflow is answered may be kept
	Tracer   *telemetry.Tracer
	Log      *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	Parts
	config Config
	plain  sync.Map // names of models whose provider refuses to encrypt thoughts
}

// New makes the service. The configuration has passed Check.
func New(c Config, p Parts) *Service {
	p.Log = p.Log.With("part", "response")
	return &Service{Parts: p, config: c}
}

// scope is whose responses a caller sees: its workflow's, or, without one, its key's own.
type scope struct {
	environment, workflow, key string
	clearance                  caller.Tier
}

func scopeOf(ctx context.Context) (scope, error) {
	who := caller.From(ctx)
	if who == nil {
		return scope{}, fault.New(fault.Unauthenticated, "key_missing", "responses belong to a key's workflow, and there is no key")
	}
	s := scope{environment: who.Environment, workflow: who.Workflow, clearance: who.Clearance}
	if s.workflow == "" {
		s.key = who.KeyID
	}
	return s, nil
}

// args are the values for inScope.
func (s scope) args(before ...any) []any {
	return append(before, s.environment, s.workflow, s.key, int64(s.clearance))
}

const inScope = "environment = ? AND workflow = ? AND key_id = ? AND clearance <= ?"

func unknown(id string) *fault.Fault {
	return fault.New(fault.NotFound, "response_not_found", "there is no response %q", clip(id)).
		Hinted("it may have been deleted, kept for long enough, made with store: false, or belong to another workflow")
}

func clip(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}
