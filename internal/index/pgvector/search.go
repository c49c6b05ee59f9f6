package pgvector

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
)

const (
	// fewShare of the chunks and fewer are compared one by one: a graph would be walked far before it meets enough of them.
	fewShare = 0.03
	// walkCost is what a vector that is met in the graph costs, in vectors that are looked up by document and compared.
	walkCost = 12
	// pickShare and fewer are looked up by their documents, more are found by reading all vectors.
	pickShare = 0.2
	// countAll is how many documents are looked at to know how many a filter leaves; of more, a sample of that size.
	countAll = 10_000
)

// asking is one search, within a transaction that sees one state of the space.
type asking struct {
	x     *Index
	tx    pgx.Tx
	s     *space
	q     index.Query
	share float64 // of the chunks that are seen, about
}

// Search ranks what the clearance sees and the filter matches.
func (x *Index) Search(ctx context.Context, q index.Query) (hits index.Hits, err error) {
	if q, err = q.Normal(); err != nil {
		return hits, err
	}
	if q.Clearance < caller.Public || q.Clearance > caller.Restricted {
		return hits, nil
	}
	err = x.inside(ctx, q.Space, func(tx pgx.Tx, s *space) (err error) {
		hits = index.Hits{}
		if q.Vector != nil && s.vectors > 0 && len(q.Vector) != s.dimensions {
			return fault.New(fault.Invalid, "invalid_vector", "the vector has %d dimensions, those of the space have %d", len(q.Vector), s.dimensions)
		}
		a := &asking{x: x, tx: tx, s: s, q: q}
		if a.share, err = a.measure(ctx); err != nil || a.share == 0 {
			return err
		}
		if q.Vector != nil && s.vectors > 0 {
			if hits.Vector, err = a.nearest(ctx); err != nil {
				return fmt.Errorf("search vectors: %w", err)
			}
		}
		if q.Text != "" {
			if hits.Keyword, err = a.keyword(ctx); err != nil {
				return fmt.Errorf("search keywords: %w", err)
			}
		}
		return nil
	})
	return hits, err
}

// measure says what share of the chunks is seen: zero only if it is sure that none is.
func (a *asking) measure(ctx context.Context) (float64, error) {
	var args arguments
	where := seen(a.q.Clearance, a.q.Filter, &args)
	if where == "" || a.s.chunks == 0 {
		return min(float64(a.s.chunks), 1), nil
	}
	sample := ""
	if a.s.documents > countAll {
		sample = fmt.Sprintf(" TABLESAMPLE SYSTEM (%g)", max(100*countAll/float64(a.s.documents), 0.01))
	}
	var some, all float64
	err := a.tx.QueryRow(ctx, a.s.sql("SELECT COALESCE(SUM(d.chunks) FILTER (WHERE "+where+"), 0)::float8, COALESCE(SUM(d.chunks), 0)::float8 FROM {d} d"+sample), args...).Scan(&some, &all)
	if err != nil || sample == "" && some == 0 {
		return 0, err
	}
	return max(some, 1) / max(all, 1), nil
}

// nearest ranks vectors by their cosine. The graph finds candidates by their halves; what is compared one by one, and the
// candidates, are compared in full.
func (a *asking) nearest(ctx context.Context) ([]index.Hit, error) {
	candidates := 2*a.q.Limit + 20
	if a.s.graph && a.share >= fewShare && float64(a.s.vectors)*a.share*a.share > walkCost*float64(candidates) {
		hits, err := a.walk(ctx, candidates)
		if err != nil || len(hits) == a.q.Limit {
			return hits, err
		}
	}
	var args arguments
	vector := args.add(unit(a.q.Vector)) + "::real[]::vector"
	from := "{v} v"
	if where := seen(a.q.Clearance, a.q.Filter, &args); where != "" && a.share <= pickShare {
		from += " WHERE v.doc = ANY(ARRAY(SELECT d.n FROM {d} d WHERE " + where + "))"
	} else if where != "" {
		from += " JOIN {d} d ON d.n = v.doc WHERE " + where
	}
	return a.hits(ctx, "SELECT v.n, v.doc, -(v.v <#> "+vector+") AS score FROM "+from+" ORDER BY v.v <#> "+vector+" LIMIT "+args.add(a.q.Limit), args)
}

// walk goes through the graph, passing by what is not seen, until it has enough.
func (a *asking) walk(ctx context.Context, candidates int) ([]index.Hit, error) {
	if err := a.plan(ctx, map[string]string{"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_sort": "off",
		"hnsw.ef_search": fmt.Sprint(min(max(candidates, 100), 1000))}); err != nil {
		return nil, err
	}
	var args arguments
	vector := args.add(unit(a.q.Vector)) + "::real[]::vector"
	from := "{v} v"
	if where := seen(a.q.Clearance, a.q.Filter, &args); where != "" {
		from += " JOIN {d} d ON d.n = v.doc WHERE " + where
	}
	half := fmt.Sprintf("halfvec(%d)", a.s.dimensions)
	hits, err := a.hits(ctx, "SELECT near.n, near.doc, -(near.v <#> "+vector+") AS score FROM (SELECT v.n, v.doc, v.v FROM "+from+
		" ORDER BY v.v::"+half+" <#> "+vector+"::"+half+" LIMIT "+args.add(candidates)+") near ORDER BY score DESC LIMIT "+args.add(a.q.Limit), args)
	if err != nil {
		return nil, err
	}
	return hits, a.plan(ctx, map[string]string{"enable_seqscan": "on", "enable_bitmapscan": "on", "enable_hashjoin": "on", "enable_mergejoin": "on", "enable_sort": "on"})
}

// plan sets what the planner may do, for this transaction.
func (a *asking) plan(ctx context.Context, settings map[string]string) error {
	var names, values []string
	for name, value := range settings {
		names, values = append(names, name), append(values, value)
	}
	_, err := a.tx.Exec(ctx, "SELECT set_config(name, value, true) FROM unnest($1::text[], $2::text[]) AS s (name, value)", names, values)
	return err
}

// hits runs a query for the numbers and scores of chunks, and names them.
func (a *asking) hits(ctx context.Context, ranked string, args arguments) ([]index.Hit, error) {
	rows, err := a.tx.Query(ctx, a.s.sql("SELECT c.id, d.id, r.score FROM ("+ranked+") r JOIN {c} c ON c.n = r.n JOIN {d} d ON d.n = r.doc ORDER BY r.score DESC, c.id"), args...)
	if err != nil {
		return nil, err
	}
	var hits []index.Hit
	var chunk, document string
	var score float64
	_, err = pgx.ForEachRow(rows, []any{&chunk, &document, &score}, func() error {
		if math.IsNaN(score) {
			score = 0
		}
		hits = append(hits, index.Hit{ChunkID: given(chunk), DocumentID: given(document), Score: score})
		return nil
	})
	return hits, err
}
