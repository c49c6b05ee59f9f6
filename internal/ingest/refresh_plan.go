package ingest

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/ingest/chunk"
	"airfield/internal/money"
)

// RefreshPlan is what a refresh would do and cost. Nothing is begun.
type RefreshPlan struct {
	CollectionID   string       `json:"collection_id"`
	Collection     string       `json:"collection"`
	LiveModel      string       `json:"live_model"`
	LiveChunking   chunk.Config `json:"live_chunking"`
	Model          string       `json:"model"`
	Chunking       chunk.Config `json:"chunking"`
	Extract        bool         `json:"extract"` // the documents are read and cut anew
	Documents      int64        `json:"documents"`
	Chunks         int64        `json:"chunks"` // estimated where they are cut anew
	Tokens         int64        `json:"tokens"` // estimated
	Deployment     string       `json:"deployment"`
	CostUSD        money.Nanos  `json:"cost_usd"`
	Priced         bool         `json:"priced"` // whether a price is known
	Seconds        float64      `json:"seconds,omitempty"`
	SecondsFrom    string       `json:"seconds_from,omitempty"` // what the time is estimated from; empty where nothing is known
	AlreadyThere   int64        `json:"already_there"`          // passages that a refresh that failed has embedded already
	UnderWay       string       `json:"under_way,omitempty"`    // the generation that is being built
	UnderWayModel  string       `json:"under_way_model,omitempty"`
	GoldenQueries  int          `json:"golden_queries"`
	SampledQueries int          `json:"sampled_queries"`
}

// PlanRefresh says what a refresh would do and cost.
func (p *Pipeline) PlanRefresh(ctx context.Context, nameOrID string, t RefreshTarget) (plan RefreshPlan, err error) {
	c, err := p.ownCollection(ctx, nameOrID)
	if err != nil {
		return plan, err
	}
	if t, err = t.complete(c); err != nil {
		return plan, err
	}
	rules := c.Config.Refresh
	golden, err := rules.golden()
	if err != nil {
		return plan, err
	}
	plan = RefreshPlan{CollectionID: c.ID, Collection: c.Name, LiveModel: c.Model, LiveChunking: c.Chunking, Model: t.EmbeddingModel, Chunking: *t.Chunking, Extract: *t.Chunking != c.Chunking,
		GoldenQueries: len(golden), SampledQueries: rules.Sample}
	// What is embedded is the passage below its headings.
	if err := p.DB.QueryRow(ctx, `SELECT COUNT(DISTINCT d.id), COUNT(*), COALESCE(SUM(k.tokens + LENGTH(k.heading) / 4), 0) FROM documents d
		JOIN manifests m ON m.version_id = d.live_version_id AND m.cut = ? JOIN chunks k ON k.id = m.chunk_id WHERE d.collection_id = ? AND d.deleted_at IS NULL`, c.Cut, c.ID).
		Scan(&plan.Documents, &plan.Chunks, &plan.Tokens); err != nil {
		return plan, fmt.Errorf("count what collection %s holds: %w", c.Name, err)
	}
	if plan.Extract {
		plan.Tokens, plan.Chunks = recutSize(plan, c.Chunking, *t.Chunking)
	}
	list, err := generationsOf(ctx, p.DB, c.ID)
	if err != nil {
		return plan, err
	}
	if g := pick(list, (*Generation).open); g != nil {
		plan.UnderWay, plan.UnderWayModel = g.ID, g.Model
	}
	if g := pick(list, func(g *Generation) bool {
		return g.State == GenerationFailed && g.ReclaimedAt.IsZero() && g.Model == plan.Model && g.Chunking == plan.Chunking
	}); g != nil && plan.Chunks > 0 {
		if err := p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM vectors WHERE generation_id = ?", g.ID).Scan(&plan.AlreadyThere); err != nil {
			return plan, err
		}
		plan.Tokens -= plan.Tokens * min(plan.AlreadyThere, plan.Chunks) / plan.Chunks
	}
	price, err := p.Prices.EmbeddingCost(ctx, plan.Model, plan.Tokens)
	if err != nil {
		return plan, err
	}
	plan.Deployment, plan.CostUSD, plan.Priced = price.Deployment, price.Cost, price.Priced
	return plan, p.estimateTime(ctx, &plan)
}

// recutSize estimates what the passages would be under another chunking: the text stays, what overlaps is embedded twice.
func recutSize(plan RefreshPlan, before, after chunk.Config) (tokens, chunks int64) {
	share := func(c chunk.Config) float64 { return 1 + float64(c.Overlap)/float64(max(1, c.Tokens-c.Overlap)) }
	text := float64(plan.Tokens) / share(before)
	chunks = max(plan.Documents, int64(float64(plan.Chunks)*float64(before.Tokens-before.Overlap)/float64(after.Tokens-after.Overlap)))
	return int64(text * share(after)), chunks
}

// estimateTime goes by what the model took for passages in this installation; where it has embedded nothing, nothing is said.
func (p *Pipeline) estimateTime(ctx context.Context, plan *RefreshPlan) error {
	var embedded, micros int64
	if err := p.DB.QueryRow(ctx, "SELECT COALESCE(SUM(embedded), 0), COALESCE(SUM(embed_us), 0) FROM generations WHERE model = ?", plan.Model).Scan(&embedded, &micros); err != nil {
		return err
	}
	if embedded == 0 || micros == 0 {
		return nil
	}
	per := time.Duration(micros/embedded) * time.Microsecond
	plan.Seconds = (time.Duration(plan.Chunks-min(plan.AlreadyThere, plan.Chunks)) * per).Seconds()
	plan.SecondsFrom = fmt.Sprintf("%d passages that %s embedded for refreshes before", embedded, plan.Model)
	return nil
}
