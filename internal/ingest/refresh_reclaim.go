package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
	"airfield/internal/jobs"
)

// reclaim removes generations that nobody can go back to any more, in small transactions. The index drops their spaces
// when it sees that they are gone.
func (p *Pipeline) reclaim(ctx context.Context, now time.Time) error {
	if _, err := p.DB.Exec(ctx, "UPDATE generations SET state = ?, leased_by = '', leased_until = 0 WHERE state = ? AND reclaimed_at = 0 AND kept_until <= ?", GenerationReclaimed, GenerationPrevious, db.Micros(now)); err != nil {
		return fmt.Errorf("look for generations that are kept no longer: %w", err)
	}
	list, err := collect(ctx, p.DB, scanGeneration, "SELECT "+generationColumns+" WHERE g.reclaimed_at = 0 AND g.state IN (?,?)", GenerationReclaimed, GenerationCancelled)
	if err != nil {
		return fmt.Errorf("look for generations that are kept no longer: %w", err)
	}
	var errs []error
	for i := range list {
		errs = append(errs, p.reclaimOne(ctx, &list[i]))
	}
	return errors.Join(errs...)
}

func (p *Pipeline) reclaimOne(ctx context.Context, g *Generation) error {
	vectors := int64(0)
	for {
		n, err := p.DB.Exec(ctx, "DELETE FROM vectors WHERE generation_id = ? AND chunk_id IN (SELECT chunk_id FROM vectors WHERE generation_id = ? LIMIT 1000)", g.ID, g.ID)
		if err != nil {
			return fmt.Errorf("remove the vectors of generation %s: %w", g.ID, err)
		}
		if vectors += n; n == 0 {
			break
		}
	}
	if err := p.reclaimCut(ctx, g); err != nil {
		return fmt.Errorf("remove the passages of generation %s: %w", g.ID, err)
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE generations SET reclaimed_at = ? WHERE id = ? AND reclaimed_at = 0", db.Micros(time.Now()), g.ID)
		if err != nil || n == 0 {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "refresh.reclaim", Target: g.CollectionID, Detail: map[string]any{"generation": g.ID, "model": g.Model, "vectors": vectors}})
	})
}

// reclaimCut removes the manifests of a cut that no other generation has, and the passages that only they named.
func (p *Pipeline) reclaimCut(ctx context.Context, g *Generation) error {
	var others int
	if err := p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM generations WHERE collection_id = ? AND cut = ? AND id <> ? AND reclaimed_at = 0", g.CollectionID, g.cut, g.ID).Scan(&others); err != nil || others > 0 {
		return err
	}
	for after := ""; ; {
		ids, err := collect(ctx, p.DB, scanText, "SELECT id FROM documents WHERE collection_id = ? AND id > ? ORDER BY id LIMIT ?", g.CollectionID, after, sweepBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, document := range ids {
			if err := p.DB.Tx(ctx, func(tx *db.Tx) error {
				if _, err := lockDocument(ctx, tx, document); err != nil {
					return err
				}
				n, err := tx.Exec(ctx, "DELETE FROM manifests WHERE cut = ? AND version_id IN (SELECT id FROM versions WHERE document_id = ?)", g.cut, document)
				if err != nil || n == 0 {
					return err
				}
				return dropUnneeded(ctx, tx, document)
			}); err != nil {
				return err
			}
			after = document
		}
	}
}

// startScheduled begins the refreshes whose time has come. What went by while nobody ran is made up for by one; the time
// begins when the schedule is first seen.
func (p *Pipeline) startScheduled(ctx context.Context, now time.Time) error {
	all, err := allCollections(ctx, p.DB)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range all {
		if c.Config.Refresh.Schedule != "" && c.MissingSince.IsZero() {
			errs = append(errs, p.startIfDue(ctx, c, now))
		}
	}
	return errors.Join(errs...)
}

func (p *Pipeline) startIfDue(ctx context.Context, c Collection, now time.Time) error {
	when, err := jobs.Cron(c.Config.Refresh.Schedule)
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		list, c, err := lockGenerations(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		name := "refresh:" + c.ID + ":" + c.Config.Refresh.Schedule
		var last int64
		err = tx.QueryRow(ctx, "SELECT last_at FROM schedules WHERE name = ?", name).Scan(&last)
		if db.IsNone(err) {
			_, err = tx.Exec(ctx, "INSERT INTO schedules (name, last_at) VALUES (?, ?)", name, db.Micros(now))
			return err
		}
		if err != nil || when.Next(db.Time(last)).After(now) || pick(list, (*Generation).open) != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE schedules SET last_at = ? WHERE name = ?", db.Micros(now), name); err != nil {
			return err
		}
		// What the file asks for is another decision: a schedule makes anew what is live.
		_, err = p.startRefresh(ctx, tx, c, RefreshTarget{EmbeddingModel: c.Model, Chunking: &c.Chunking}, reasonSchedule)
		return err
	})
}
