package retrieve

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/telemetry"
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
	Generation   string         `json:"generation"` // of the collection, in which it was found
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

// FileID is the passage's document as hosted vector stores name it: a file that was uploaded by the id it got then.
func (p Passage) FileID() string {
	if p.Source == "files" {
		return p.SourceKey
	}
	return p.DocumentID
}

// Result is what a search found, best first.
type Result struct {
	Passages    []Passage `json:"passages"`
	TraceID     string    `json:"trace_id"`
	Traceparent string    `json:"-"`                  // of the search's own span, for the caller
	Dropped     int       `json:"dropped,omitempty"`  // hits of the index that the database did not confirm
	Behind      bool      `json:"behind,omitempty"`   // the index had not taken in every change when it was asked
	Degraded    string    `json:"degraded,omitempty"` // "keyword": the query could not be embedded, the passages are found by keywords
}

const (
	maxCollections = 32 // in one search
	rounds         = 3  // of asking the index for more, where the database confirmed too few
)

// Search returns the passages that fit the query best, of documents that are live and that the caller may see.
func (r *Retriever) Search(ctx context.Context, q Request) (out Result, err error) {
	ctx, span := r.Tracer.Start(ctx, "retrieve.search")
	defer func() { span.Done(err) }()
	out.TraceID, out.Traceparent = span.TraceID, span.Traceparent()
	if q, err = r.complete(q); err != nil {
		return out, err
	}
	who := caller.From(ctx)
	collections, err := r.resolve(ctx, who, q.Collections)
	if err != nil {
		return out, err
	}
	if out.Behind, err = r.catchUp(ctx, collections); err != nil {
		return out, err
	}
	err = r.find(ctx, span, q, who.Clearance, collections, &out)
	return out, err
}

// find asks the collections' generations, as they were read: one that becomes live meanwhile is for the next search.
func (r *Retriever) find(ctx context.Context, span *telemetry.Span, q Request, clearance caller.Tier, collections []collection, out *Result) error {
	span.Set("mode", string(q.Mode))
	vectors, err := r.embed(ctx, q, collections)
	if err != nil {
		if q.Mode == Vector || ctx.Err() != nil || fault.Is(err, fault.Limited) || fault.Is(err, fault.Denied) {
			return err
		}
		r.Log.Warn("searching by keywords: the query could not be embedded", "part", "retrieve", "error", err)
		q.Mode, out.Degraded = Keyword, "keyword"
	}
	list := min(q.Limit*4+20, index.MaxLimit)
	for round := 1; ; round++ {
		found, full, err := r.ask(ctx, q, clearance, collections, vectors, list)
		if err != nil {
			return err
		}
		if low := slices.IndexFunc(found, func(h hit) bool { return h.score < q.MinScore }); low >= 0 {
			found, full = found[:low], false // what the index has more of is no better
		}
		if out.Passages, out.Dropped, err = r.check(ctx, q, clearance, collections, found); err != nil {
			return err
		}
		if len(out.Passages) >= q.Limit || !full || round == rounds || list == index.MaxLimit {
			break
		}
		list = min(list*4, index.MaxLimit)
	}
	span.Set("passages", strconv.Itoa(len(out.Passages)))
	span.Set("dropped", strconv.Itoa(out.Dropped))
	return nil
}

// complete checks a request and fills in the defaults.
func (r *Retriever) complete(q Request) (Request, error) {
	q.Query = strings.TrimSpace(q.Query)
	switch {
	case q.Query == "":
		return q, fault.New(fault.Invalid, "query_missing", "the query is empty").At("query")
	case !utf8.ValidString(q.Query):
		return q, fault.New(fault.Invalid, "query_not_utf8", "the query is not valid UTF-8").At("query")
	case len(q.Query) > index.MaxTextBytes:
		return q, fault.New(fault.TooLarge, "query_too_large", "the query has %d bytes, at most %d are read", len(q.Query), index.MaxTextBytes).At("query")
	case len(q.Collections) == 0 || len(q.Collections) > maxCollections:
		return q, fault.New(fault.Invalid, "collections", "a search names 1 to %d collections, not %d", maxCollections, len(q.Collections)).At("collections")
	case q.Limit < 0 || q.Limit > r.config.MaxLimit:
		return q, fault.New(fault.Invalid, "limit", "limit must be between 1 and %d, not %d", r.config.MaxLimit, q.Limit).At("limit")
	case !(q.MinScore >= 0 && q.MinScore <= 1):
		return q, fault.New(fault.Invalid, "min_score", "min_score must be between 0 and 1, not %g", q.MinScore).At("min_score")
	}
	if q.Limit == 0 {
		q.Limit = r.config.Limit
	}
	if q.Mode == "" {
		q.Mode = Hybrid
	}
	if q.Mode != Hybrid && q.Mode != Keyword && q.Mode != Vector {
		return q, fault.New(fault.Invalid, "mode", "mode is hybrid, keyword or vector, not %q", q.Mode).At("mode")
	}
	var err error
	q.Filter, err = q.Filter.Normal()
	return q, err
}

// resolve finds the collections. One that the caller may not read is not there.
func (r *Retriever) resolve(ctx context.Context, who *caller.Caller, names []string) (list []collection, err error) {
	seen := map[string]bool{}
	for _, name := range names {
		// Where one's name is another's id, the id is meant.
		c, err := scanCollection(r.DB.QueryRow(ctx, selectCollection+`WHERE c.deleted_at IS NULL AND (c.id = ? OR c.name = ?)
			ORDER BY CASE WHEN c.id = ? THEN 0 ELSE 1 END LIMIT 1`, name, name, name))
		if err != nil && !db.IsNone(err) {
			return nil, fmt.Errorf("read collection: %w", err)
		}
		if err != nil || !who.Reads(c.name, c.workflow) {
			return nil, fault.New(fault.NotFound, "collection_not_found", "there is no collection %q", name).At("collection")
		}
		if !seen[c.id] {
			seen[c.id] = true
			list = append(list, c)
		}
	}
	return list, nil
}

// catchUp waits, for a bounded time, until the index holds what the database holds.
func (r *Retriever) catchUp(ctx context.Context, collections []collection) (behind bool, err error) {
	wait, cancel := context.WithTimeout(ctx, r.config.CatchUp)
	defer cancel()
	for i := range collections {
		c := &collections[i]
		if err := r.standIn(ctx, c); err != nil {
			return true, err
		}
		if err := r.Feed.catchUp(wait, c.id, c.generation); err != nil {
			if ctx.Err() != nil {
				return true, ctx.Err()
			}
			// What is gone or hidden stays so without the index: every hit is checked. Only new things are missed.
			r.Log.Warn("searching before the index has caught up", "part", "retrieve", "collection", c.name, "error", err)
			behind = true
		}
	}
	return behind, nil
}

// embed makes the query's vector for every embedding model of the collections, once each.
func (r *Retriever) embed(ctx context.Context, q Request, collections []collection) (vectors map[string][]float32, err error) {
	if q.Mode == Keyword {
		return nil, nil
	}
	ctx, span := r.Tracer.Start(ctx, "retrieve.embed")
	defer func() { span.Done(err) }()
	vectors = map[string][]float32{}
	for _, c := range collections {
		if vectors[c.model] != nil || q.Mode == Hybrid && r.config.weight(c.model) == 0 {
			continue
		}
		span.Set("model", c.model)
		list, err := r.Embedder.Embed(ctx, c.model, []string{q.Query})
		if err != nil {
			return nil, err
		}
		if len(list) != 1 {
			return nil, fault.New(fault.Upstream, "upstream_answer", "embedding model %s gave %d vectors for one text", c.model, len(list))
		}
		vectors[c.model] = list[0]
	}
	return vectors, nil
}

// ask searches every collection and fuses the lists; full says that the index has more.
func (r *Retriever) ask(ctx context.Context, q Request, clearance caller.Tier, collections []collection, vectors map[string][]float32, limit int) (found []hit, full bool, err error) {
	ctx, span := r.Tracer.Start(ctx, "index.search")
	defer func() { span.Done(err) }()
	var lists []list
	for _, c := range collections {
		one := index.Query{Space: c.generation, Vector: vectors[c.model], Clearance: clearance, Filter: q.Filter, Limit: limit}
		weight := r.config.weight(c.model)
		switch q.Mode {
		case Keyword:
			one.Vector, weight = nil, 0
		case Vector:
			weight = 1
		}
		if weight < 1 {
			one.Text = q.Query
		}
		if r.Searched != nil {
			r.Searched(c.name)
		}
		hits, err := r.Index.Search(ctx, one)
		if err != nil {
			return nil, false, fmt.Errorf("search collection %s: %w", c.name, err)
		}
		full = full || len(hits.Keyword) >= limit || len(hits.Vector) >= limit
		lists = append(lists, list{model: c.model, weight: weight, hits: hits})
	}
	span.Set("limit", strconv.Itoa(limit))
	return fuse(lists), full, nil
}

// check lets through what the database confirms, up to the limit. As a rule one query does: it asks for somewhat more
// than is wanted, and the rest only where too much of that is dropped.
func (r *Retriever) check(ctx context.Context, q Request, clearance caller.Tier, collections []collection, found []hit) (out []Passage, dropped int, err error) {
	ctx, span := r.Tracer.Start(ctx, "retrieve.check")
	defer func() { span.Done(err) }()
	out = []Passage{}
	for portion := q.Limit + q.Limit/2 + 5; len(found) > 0 && len(out) < q.Limit; portion = 500 {
		some := found[:min(len(found), portion)]
		found = found[len(some):]
		ids := make([]string, len(some))
		for i, h := range some {
			ids[i] = h.chunkID
		}
		confirmed, err := confirm(ctx, r.DB, collections, clearance, q.Filter, ids)
		if err != nil {
			return nil, 0, err
		}
		for _, h := range some {
			p, ok := confirmed[h.chunkID]
			if !ok {
				dropped++
				continue
			}
			if len(out) < q.Limit {
				p.Score = h.score
				out = append(out, p)
			}
		}
	}
	return out, dropped, nil
}
