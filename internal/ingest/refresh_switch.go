package ingest

import (
	"context"
	"errors"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/fault"
)

var errBehind = errors.New("the generation has not followed every change yet")

// SwitchGeneration makes the generation that was built live. One that its gate holds becomes so only where force says so.
func (p *Pipeline) SwitchGeneration(ctx context.Context, nameOrID string, force bool) (Generation, error) {
	return p.turn(ctx, nameOrID, force, func(g *Generation) bool {
		return g.State == GenerationReady || g.State == GenerationHeld || g.State == GenerationChecking
	}, "refresh.switch")
}

// RollbackGeneration makes the generation live again that was so before.
func (p *Pipeline) RollbackGeneration(ctx context.Context, nameOrID string) (Generation, error) {
	return p.turn(ctx, nameOrID, true, func(g *Generation) bool { return g.State == GenerationPrevious && g.ReclaimedAt.IsZero() }, "refresh.rollback")
}

const turnPatience = 20 * time.Second

// turn switches, having followed the last changes first where that is to be done.
func (p *Pipeline) turn(ctx context.Context, nameOrID string, force bool, fits func(*Generation) bool, action string) (g Generation, err error) {
	c, err := p.ownCollection(ctx, nameOrID)
	if err != nil {
		return g, err
	}
	for end := time.Now().Add(turnPatience); ; {
		err = p.DB.Tx(ctx, func(tx *db.Tx) error {
			g, err = p.switchTo(ctx, tx, c.ID, force, fits, action)
			return err
		})
		if !errors.Is(err, errBehind) {
			return g, err
		}
		if time.Now().After(end) {
			f := fault.New(fault.Conflict, "generation_behind", "generation %s lacks the last %d changes of the collection %s", g.ID, g.Behind, c.Name).Hinted("try again in a moment")
			if g.Error != "" {
				f.Hint = "it does not get on: " + g.Error
			}
			return g, f
		}
		if _, err := p.workGeneration(ctx, g.ID); err != nil {
			return g, err
		}
		select {
		case <-ctx.Done():
			return g, ctx.Err()
		case <-time.After(50 * time.Millisecond): // another worker may be at it
		}
	}
}

// switchTo makes the generation that fits live: one row, together with the collection's epoch. It has everything that is
// live at this moment; documents that become live wait for the lock, and find that they need its vectors.
func (p *Pipeline) switchTo(ctx context.Context, tx *db.Tx, collectionID string, force bool, fits func(*Generation) bool, action string) (Generation, error) {
	list, c, err := lockGenerations(ctx, tx, collectionID)
	if err != nil {
		return Generation{}, err
	}
	to := pick(list, fits)
	switch {
	case to == nil && action == "refresh.rollback":
		return Generation{}, fault.New(fault.Conflict, "no_previous", "the collection %s keeps no generation from before", c.Name).Hinted("airfield refresh status %s lists what there is", c.Name)
	case to == nil:
		if g := pick(list, (*Generation).open); g != nil {
			return *g, fault.New(fault.Conflict, "not_ready", "generation %s of the collection %s is %s", g.ID, c.Name, g.State).Hinted("airfield refresh status %s --wait waits for it", c.Name)
		}
		return Generation{}, noRefresh(c)
	case to.State != GenerationReady && !force:
		f := fault.New(fault.Conflict, "gate", "generation %s of the collection %s did not pass its gate", to.ID, c.Name).Hinted("--force switches nevertheless; airfield refresh rollback goes back")
		if to.State == GenerationChecking {
			f = fault.New(fault.Conflict, "not_ready", "generation %s of the collection %s is being held against the live one", to.ID, c.Name).Hinted("wait for it, or --force")
		} else if to.Gate != nil && len(to.Gate.Reasons) > 0 {
			f.Text += ": " + to.Gate.Reasons[0]
		}
		return *to, f
	case to.position < c.Sequence:
		return *to, errBehind
	}
	now := time.Now()
	// One generation is kept to go back to.
	if _, err := tx.Exec(ctx, "UPDATE generations SET kept_until = ? WHERE collection_id = ? AND state = ? AND id <> ?", db.Micros(now), c.ID, GenerationPrevious, to.ID); err != nil {
		return *to, err
	}
	if _, err := tx.Exec(ctx, "UPDATE generations SET state = ?, kept_until = ?, position = ?, live_at = CASE WHEN live_at = 0 THEN created_at ELSE live_at END WHERE id = ?",
		GenerationPrevious, db.Micros(now.Add(c.Config.Refresh.Keep)), c.Sequence, c.GenerationID); err != nil {
		return *to, err
	}
	if _, err := tx.Exec(ctx, "UPDATE generations SET state = ?, live_at = ?, kept_until = 0, phase = '', leased_by = '', leased_until = 0, error = '' WHERE id = ?", GenerationLive, db.Micros(now), to.ID); err != nil {
		return *to, err
	}
	if c.Owner == OwnerAPI {
		c.Config.EmbeddingModel, c.Config.Chunking = to.Model, to.Chunking // nobody else would say so
	}
	config, _, err := c.encode()
	if err != nil {
		return *to, err
	}
	if _, err := tx.Exec(ctx, "UPDATE collections SET generation_id = ?, config = ?, epoch = epoch + 1, updated_at = ? WHERE id = ?", to.ID, config, db.Micros(now), c.ID); err != nil {
		return *to, err
	}
	detail := map[string]any{"collection": c.Name, "generation": to.ID, "model": to.Model, "before": c.GenerationID, "model_before": c.Model, "forced": to.State == GenerationHeld || to.State == GenerationChecking}
	if err := p.Audit.Record(ctx, tx, access.Entry{Action: action, Target: c.ID, Detail: detail}); err != nil {
		return *to, err
	}
	return findGeneration(ctx, tx, to.ID)
}
