package ingest

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/ingest/chunk"
)

// Why a generation was built.
const (
	reasonRequest  = "request"
	reasonSchedule = "schedule"
	reasonFile     = "file"
)

// RefreshTarget is what a collection is to be embedded and cut with; what it leaves open is as configured.
type RefreshTarget struct {
	EmbeddingModel string
	Chunking       *chunk.Config
	Change         ChunkingChange // of the chunking, where that is not given whole
	AutoSwitch     *bool
}

// ChunkingChange is what differs from the configured chunking.
type ChunkingChange struct {
	Strategy string `json:"strategy,omitempty" doc:"How documents are cut."`
	Tokens   *int   `json:"tokens,omitempty" doc:"The size in tokens that chunks are packed to."`
	Max      *int   `json:"max_tokens,omitempty" doc:"The most tokens a chunk may have; twice tokens where only those are given."`
	Overlap  *int   `json:"overlap_tokens,omitempty" doc:"Tokens of the preceding chunk that are repeated."`
}

func (x ChunkingChange) apply(c chunk.Config) chunk.Config {
	if x.Strategy != "" {
		c.Strategy = x.Strategy
	}
	if x.Tokens != nil {
		c.Tokens, c.Max = *x.Tokens, 2**x.Tokens
	}
	if x.Max != nil {
		c.Max = *x.Max
	}
	if x.Overlap != nil {
		c.Overlap = *x.Overlap
	}
	return c
}

// complete fills in what is open, and refuses what cannot be.
func (t RefreshTarget) complete(c Collection) (RefreshTarget, error) {
	if t.EmbeddingModel == "" {
		t.EmbeddingModel = c.Config.EmbeddingModel
	}
	if t.Chunking == nil {
		changed := t.Change.apply(c.Config.Chunking)
		t.Chunking = &changed
	}
	if t.AutoSwitch == nil {
		t.AutoSwitch = &c.Config.Refresh.AutoSwitch
	}
	if _, err := t.Chunking.Check(); err != nil {
		return t, fault.New(fault.Invalid, "chunking", "chunking: %w", err).At("chunking")
	}
	return t, nil
}

// Refresh says how the collection's generations stand, the newest first.
func (p *Pipeline) Refresh(ctx context.Context, nameOrID string) ([]Generation, error) {
	c, err := p.ownCollection(ctx, nameOrID)
	if err != nil {
		return nil, err
	}
	return generationsOf(ctx, p.DB, c.ID)
}

// StartRefresh begins to build another generation beside the live one.
func (p *Pipeline) StartRefresh(ctx context.Context, nameOrID string, t RefreshTarget) (g Generation, err error) {
	c, err := p.ownCollection(ctx, nameOrID)
	if err != nil {
		return g, err
	}
	// A model that is not there is found here, and not by the first passage.
	if t, err = t.complete(c); err != nil {
		return g, err
	}
	if _, err := p.Prices.EmbeddingCost(ctx, t.EmbeddingModel, 1); err != nil {
		return g, err
	}
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		g, err = p.startRefresh(ctx, tx, c, t, reasonRequest)
		return err
	})
	return g, err
}

// startRefresh writes the generation's row and asks for a worker, in the caller's transaction. One that failed with the
// same settings goes on.
func (p *Pipeline) startRefresh(ctx context.Context, tx *db.Tx, c Collection, t RefreshTarget, reason string) (Generation, error) {
	t, err := t.complete(c)
	if err != nil {
		return Generation{}, err
	}
	list, locked, err := lockGenerations(ctx, tx, c.ID)
	if err != nil {
		return Generation{}, err
	}
	if g := pick(list, (*Generation).open); g != nil {
		return Generation{}, fault.New(fault.Conflict, "refresh_under_way", "the collection %s is being refreshed: generation %s, with %s, is %s", c.Name, g.ID, g.Model, g.State).
			Hinted("airfield refresh status %s shows it; switch to it or cancel it first", c.Name)
	}
	auto := 0
	if *t.AutoSwitch {
		auto = 1
	}
	now := db.Micros(time.Now())
	failed := pick(list, func(g *Generation) bool { return g.State == GenerationFailed && g.ReclaimedAt.IsZero() })
	if failed != nil && failed.Model == t.EmbeddingModel && failed.Chunking == *t.Chunking {
		if _, err := tx.Exec(ctx, "UPDATE generations SET state = ?, error = '', attempts = 0, due_at = 0, auto_switch = ? WHERE id = ?", GenerationBuilding, auto, failed.ID); err != nil {
			return Generation{}, err
		}
		return p.startedRefresh(ctx, tx, locked, failed.ID, reason)
	}
	if failed != nil {
		if _, err := tx.Exec(ctx, "UPDATE generations SET state = ? WHERE id = ?", GenerationCancelled, failed.ID); err != nil {
			return Generation{}, err
		}
	}
	g := Generation{ID: id.New("gen"), cut: locked.Cut, Phase: phaseEmbed}
	if *t.Chunking != locked.Chunking {
		g.Phase = phaseCut
		for _, other := range list {
			g.cut = max(g.cut, other.cut+1)
		}
		if same := pick(list, func(o *Generation) bool { return o.State == GenerationPrevious && o.Chunking == *t.Chunking }); same != nil {
			g.cut = same.cut // cut so already, and kept so
		}
	}
	if _, err := tx.Exec(ctx, `INSERT INTO generations (id, collection_id, model, dimensions, state, created_at, cut, chunking, reason, started_by, phase, position, total, auto_switch)
		VALUES (?,?,?,0,?,?,?,?,?,?,?,?,?,?)`, g.ID, c.ID, t.EmbeddingModel, GenerationBuilding, now, g.cut, encodeChunking(*t.Chunking), reason, caller.From(ctx).Actor(), g.Phase, locked.Sequence, -1, auto); err != nil {
		return g, err
	}
	return p.startedRefresh(ctx, tx, locked, g.ID, reason)
}

func (p *Pipeline) startedRefresh(ctx context.Context, tx *db.Tx, c Collection, generationID, reason string) (Generation, error) {
	g, err := findGeneration(ctx, tx, generationID)
	if err != nil {
		return g, err
	}
	if err := p.Queue.Refresh(ctx, tx, g.ID, time.Time{}); err != nil {
		return g, err
	}
	return g, p.Audit.Record(ctx, tx, access.Entry{Action: "refresh.start", Target: c.ID, Detail: map[string]any{
		"collection": c.Name, "generation": g.ID, "model": g.Model, "model_before": c.Model, "chunking": g.Chunking, "reason": reason}})
}

// CancelRefresh ends the refresh under way. What was built goes; what is live stays so.
func (p *Pipeline) CancelRefresh(ctx context.Context, nameOrID string) (g Generation, err error) {
	c, err := p.ownCollection(ctx, nameOrID)
	if err != nil {
		return g, err
	}
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		list, _, err := lockGenerations(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		found := pick(list, func(g *Generation) bool { return g.open() || g.State == GenerationFailed && g.ReclaimedAt.IsZero() })
		if found == nil {
			return noRefresh(c)
		}
		if _, err := tx.Exec(ctx, "UPDATE generations SET state = ?, leased_by = '', leased_until = 0 WHERE id = ?", GenerationCancelled, found.ID); err != nil {
			return err
		}
		if g, err = findGeneration(ctx, tx, found.ID); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "refresh.cancel", Target: c.ID, Detail: map[string]any{"collection": c.Name, "generation": g.ID, "model": g.Model, "was": found.State}})
	})
	return g, err
}

func noRefresh(c Collection) error {
	return fault.New(fault.Conflict, "no_refresh", "the collection %s is not being refreshed", c.Name).Hinted("airfield refresh start %s begins one", c.Name)
}

// followFile says, or begins, what follows from an embedding model or a chunking in the configuration that is not that of
// the live generation. An empty collection takes it over at once.
func (p *Pipeline) followFile(ctx context.Context, tx *db.Tx, before Collection, c *Collection) (warnings []string, err error) {
	if c.Config.EmbeddingModel == before.Model && c.Config.Chunking == before.Chunking {
		return nil, nil
	}
	var held int
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM documents d JOIN chunks k ON k.document_id = d.id WHERE d.collection_id = ? LIMIT 1) AS one`, c.ID).Scan(&held); err != nil {
		return nil, err
	}
	if held == 0 {
		c.Model, c.Chunking, c.Dimensions = c.Config.EmbeddingModel, c.Config.Chunking, 0
		_, err := tx.Exec(ctx, "UPDATE generations SET model = ?, chunking = ?, dimensions = 0 WHERE id = ?", c.Model, encodeChunking(c.Chunking), c.GenerationID)
		return nil, err
	}
	// The live generation keeps what it was built with, whatever the configuration says from now on.
	if _, err := tx.Exec(ctx, "UPDATE generations SET chunking = ? WHERE id = ? AND chunking = ''", encodeChunking(before.Chunking), c.GenerationID); err != nil {
		return nil, err
	}
	what := fmt.Sprintf("the configuration of collection %s asks for %s, its live generation is of %s", c.Name, described(c.Config.EmbeddingModel, c.Config.Chunking), described(before.Model, before.Chunking))
	list, err := generationsOf(ctx, tx, c.ID)
	if err != nil {
		return nil, err
	}
	if g := pick(list, (*Generation).open); g != nil {
		return []string{fmt.Sprintf("%s; generation %s, of %s, is %s (airfield refresh status %s)", what, g.ID, described(g.Model, g.Chunking), g.State, c.Name)}, nil
	}
	changed := before.Config.EmbeddingModel != c.Config.EmbeddingModel || before.Config.Chunking != c.Config.Chunking
	if changed && c.Config.Refresh.OnChange == OnChangeStart && c.Owner == OwnerFile {
		g, err := p.startRefresh(ctx, tx, *c, RefreshTarget{}, reasonFile)
		if err != nil {
			return nil, err
		}
		return []string{fmt.Sprintf("%s; generation %s is being built beside it (airfield refresh status %s)", what, g.ID, c.Name)}, nil
	}
	return []string{fmt.Sprintf("%s and serves as before; airfield refresh plan %s says what the change costs, airfield refresh start %s begins it", what, c.Name, c.Name)}, nil
}

func described(model string, c chunk.Config) string {
	return fmt.Sprintf("%s over chunks by %s of %d tokens", model, c.Strategy, c.Tokens)
}
