package retrieve

import (
	"context"
	"fmt"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/index"
)

// standIn has a search go to the generation that was live before, where this process has not indexed the live one yet:
// an answer from what was good a moment ago, and not from nothing.
func (r *Retriever) standIn(ctx context.Context, c *collection) error {
	if c.sequence == 0 {
		return nil
	}
	at, err := r.Index.Sequence(ctx, c.generation)
	if err != nil {
		return fmt.Errorf("read the index's position: %w", err)
	}
	if at > 0 {
		return nil
	}
	before, err := scanCollection(r.DB.QueryRow(ctx, selectBeside+"WHERE c.id = ? AND g.state = 'previous' ORDER BY g.live_at DESC LIMIT 1", c.id))
	if db.IsNone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the generation before: %w", err)
	}
	if at, err = r.Index.Sequence(ctx, before.generation); err != nil || at == 0 {
		return err
	}
	r.Feed.Notify()
	*c = before
	return nil
}

// SearchGeneration searches one generation of a collection, live or beside the live one, with its own model. It waits
// until the index has it. Ingestion asks it when it compares generations.
func (r *Retriever) SearchGeneration(ctx context.Context, collectionID, generation, query string, limit int) (found []Passage, err error) {
	ctx, span := r.Tracer.Start(ctx, "retrieve.generation")
	defer func() { span.Done(err) }()
	q, err := r.complete(Request{Collections: []string{collectionID}, Query: query, Limit: limit})
	if err != nil {
		return nil, err
	}
	if err := r.Feed.catchUp(ctx, collectionID, generation); err != nil {
		return nil, err
	}
	c, err := r.Feed.space(ctx, collectionID, generation)
	if err != nil {
		return nil, err
	}
	var out Result
	if err := r.find(ctx, span, q, caller.From(ctx).Clearance, []collection{c}, &out); err != nil {
		return nil, err
	}
	if out.Degraded != "" {
		return nil, fault.New(fault.Unavailable, "query_not_embedded", "the model %s does not embed queries at the moment", c.model)
	}
	return out.Passages, nil
}

// Space measures the index of a generation.
func (r *Retriever) Space(ctx context.Context, generation string) (index.Stats, error) {
	return r.Index.Stats(ctx, generation)
}
