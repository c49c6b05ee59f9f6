package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

const (
	refreshEvery = 5 * time.Second // how often generations are looked after
	refreshSlice = 2 * time.Second // of work, after which uploads that wait have their turn
)

// workGeneration does a slice of what is to be done for a generation, unless another worker holds it; more says that there
// is more. Each commit holds the lease, and moves the checkpoint together with what was made.
func (p *Pipeline) workGeneration(ctx context.Context, generationID string) (more bool, err error) {
	ctx = asSystem(ctx)
	ctx, span := p.Tracer.Start(ctx, "ingest.refresh")
	span.Set("generation", generationID)
	defer func() { span.Done(err) }()
	g, err := p.claimGeneration(ctx, generationID)
	if err != nil || g == nil {
		return false, err
	}
	held, cancel := context.WithCancelCause(ctx)
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		p.keepGeneration(held, g, cancel)
	}()
	more = true
	for begun := time.Now(); more && err == nil && time.Since(begun) < refreshSlice; {
		more, err = p.stepGeneration(held, g)
	}
	lost := errors.Is(context.Cause(held), errLeaseLost)
	cancel(nil)
	<-beats
	if lost || errors.Is(err, errLeaseLost) {
		return false, nil
	}
	return more && err == nil, p.leaveGeneration(ctx, g, err)
}

// claimGeneration takes the lease of a generation that is due; nil where it is not to be had.
func (p *Pipeline) claimGeneration(ctx context.Context, generationID string) (g *Generation, err error) {
	lease, now := id.New("work"), time.Now()
	n, err := p.DB.Exec(ctx, "UPDATE generations SET leased_by = ?, leased_until = ? WHERE id = ? AND leased_until < ? AND due_at <= ? AND reclaimed_at = 0 AND state IN (?,?,?,?,?)",
		lease, db.Micros(now.Add(p.config.LeaseFor)), generationID, db.Micros(now), db.Micros(now), GenerationBuilding, GenerationChecking, GenerationReady, GenerationHeld, GenerationPrevious)
	if err != nil || n == 0 {
		return nil, err
	}
	found, err := findGeneration(ctx, p.DB, generationID)
	found.lease = lease
	return &found, err
}

// keepGeneration keeps the lease, and cancels the work when it was lost.
func (p *Pipeline) keepGeneration(ctx context.Context, g *Generation, cancel context.CancelCauseFunc) {
	p.keepLease(ctx, cancel, func(until time.Time) (int64, error) {
		return p.DB.Exec(ctx, "UPDATE generations SET leased_until = ? WHERE id = ? AND leased_by = ?", db.Micros(until), g.ID, g.lease)
	})
}

// holdGeneration makes sure, to the end of the transaction, that the generation is still ours.
func holdGeneration(ctx context.Context, tx *db.Tx, g *Generation) error {
	var one int
	err := tx.QueryRow(ctx, "SELECT 1 FROM generations WHERE id = ? AND leased_by = ?"+tx.ForUpdate(), g.ID, g.lease).Scan(&one)
	if db.IsNone(err) {
		return errLeaseLost
	}
	return err
}

// leaveGeneration gives the lease back and writes down how the slice ended.
func (p *Pipeline) leaveGeneration(ctx context.Context, g *Generation, cause error) error {
	stopped := ctx.Err() != nil
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 30*time.Second, errors.New("the database took too long"))
	defer cancel()
	if cause == nil || stopped {
		_, err := p.DB.Exec(ctx, "UPDATE generations SET leased_by = '', leased_until = 0 WHERE id = ? AND leased_by = ?", g.ID, g.lease)
		return err
	}
	f := fault.As(cause)
	text := f.Text
	if f.Kind == fault.Internal {
		text = "an internal error; the server's log has it under the generation " + g.ID
		p.Log.Error("a refresh failed", "generation", g.ID, "err", cause)
	} else {
		p.Log.Warn("a refresh does not get on", "generation", g.ID, "err", cause)
	}
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	// What another try would not change ends the building; a generation that is kept tries again with the next round.
	if g.State == GenerationBuilding && (permanent(cause) || f.Kind == fault.NotFound) {
		return p.DB.Tx(ctx, func(tx *db.Tx) error {
			n, err := tx.Exec(ctx, "UPDATE generations SET state = ?, error = ?, leased_by = '', leased_until = 0 WHERE id = ? AND leased_by = ?", GenerationFailed, storable(text), g.ID, g.lease)
			if err != nil || n == 0 {
				return err
			}
			return p.Audit.Record(ctx, tx, access.Entry{Action: "refresh.failed", Target: g.CollectionID, Detail: map[string]any{"generation": g.ID, "model": g.Model, "error": text}})
		})
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		due := time.Now().Add(p.config.backoff(g.attempts + 1))
		n, err := tx.Exec(ctx, "UPDATE generations SET attempts = ?, due_at = ?, error = ?, leased_by = '', leased_until = 0 WHERE id = ? AND leased_by = ?", g.attempts+1, db.Micros(due), storable(text), g.ID, g.lease)
		if err != nil || n == 0 {
			return err
		}
		return p.Queue.Refresh(ctx, tx, g.ID, due)
	})
}

// stepGeneration does the next piece, and reads the row again.
func (p *Pipeline) stepGeneration(ctx context.Context, g *Generation) (more bool, err error) {
	c, err := findCollection(ctx, p.DB, g.CollectionID)
	if fault.Is(err, fault.NotFound) {
		return false, nil // the purge takes what is there
	}
	if err != nil {
		return false, err
	}
	if more, err = p.nextPiece(ctx, c, g); err != nil {
		return false, err
	}
	fresh, err := findGeneration(ctx, p.DB, g.ID)
	fresh.lease = g.lease
	*g = fresh
	return more && g.worked(), err
}

func (p *Pipeline) nextPiece(ctx context.Context, c Collection, g *Generation) (more bool, err error) {
	if g.State == GenerationBuilding {
		if g.Total < 0 {
			return true, p.beginPhase(ctx, c, g, g.Phase)
		}
		switch g.Phase {
		case phaseCut:
			return true, p.cutNext(ctx, c, g)
		case phaseEmbed:
			return true, p.embedNext(ctx, c, g)
		}
	}
	if g.position < g.sequence {
		return true, p.follow(ctx, c, g)
	}
	switch {
	case g.State == GenerationBuilding:
		return true, p.inGeneration(ctx, g, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE generations SET state = ?, ready_at = ?, attempts = 0, error = '' WHERE id = ?", GenerationChecking, db.Micros(time.Now()), g.ID)
			return err
		})
	case g.State == GenerationChecking:
		return true, p.judge(ctx, c, g)
	case g.State == GenerationReady && g.AutoSwitch:
		err := p.DB.Tx(ctx, func(tx *db.Tx) error {
			_, err := p.switchTo(ctx, tx, c.ID, false, func(o *Generation) bool { return o.ID == g.ID && o.State == GenerationReady }, "refresh.switch")
			return err
		})
		if errors.Is(err, errBehind) {
			return true, nil // a document became live this moment: follow it first
		}
		return false, err
	}
	return false, nil
}

// inGeneration is a transaction that holds the lease.
func (p *Pipeline) inGeneration(ctx context.Context, g *Generation, fn func(tx *db.Tx) error) error {
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		if err := holdGeneration(ctx, tx, g); err != nil {
			return err
		}
		return fn(tx)
	})
}

// beginPhase counts what a phase has to do.
func (p *Pipeline) beginPhase(ctx context.Context, c Collection, g *Generation, phase string) (err error) {
	var total int64
	switch phase {
	case phaseCut:
		err = p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM documents WHERE collection_id = ? AND deleted_at IS NULL AND live_version_id IS NOT NULL", c.ID).Scan(&total)
	case phaseEmbed:
		err = p.DB.QueryRow(ctx, `SELECT COUNT(*) FROM documents d JOIN manifests vc ON vc.version_id = d.live_version_id AND vc.cut = ? WHERE d.collection_id = ? AND d.deleted_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation_id = ? AND v.chunk_id = vc.chunk_id)`, g.cut, c.ID, g.ID).Scan(&total)
	}
	if err != nil {
		return fmt.Errorf("count what generation %s needs: %w", g.ID, err)
	}
	return p.inGeneration(ctx, g, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE generations SET phase = ?, cursor = '', total = ?, done = 0 WHERE id = ?", phase, total, g.ID)
		return err
	})
}

// KeepRefreshes wakes the generations that have something to do, removes those that are no longer kept, and begins the
// refreshes that are scheduled.
func (p *Pipeline) KeepRefreshes(ctx context.Context) error {
	ctx = asSystem(ctx)
	now := time.Now()
	return errors.Join(p.wakeGenerations(ctx, now), p.reclaim(ctx, now), p.startScheduled(ctx, now))
}

func (p *Pipeline) wakeGenerations(ctx context.Context, now time.Time) error {
	list, err := collect(ctx, p.DB, scanText, `SELECT g.id FROM generations g JOIN collections c ON c.id = g.collection_id
		WHERE g.reclaimed_at = 0 AND g.id <> c.generation_id AND c.deleted_at IS NULL AND g.due_at <= ? AND g.leased_until < ?
		AND (g.state IN (?,?) OR g.state IN (?,?,?) AND g.position < c.sequence OR g.state = ? AND g.auto_switch = 1)`,
		db.Micros(now), db.Micros(now), GenerationBuilding, GenerationChecking, GenerationReady, GenerationHeld, GenerationPrevious, GenerationReady)
	if err != nil || len(list) == 0 {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		for _, one := range list {
			if err := p.Queue.Refresh(ctx, tx, one, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
}
