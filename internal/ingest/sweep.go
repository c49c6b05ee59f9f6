package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"airfield/internal/db"
)

// Recover frees every lease: only where no other process can be at work, at an embedded start and before anything else.
// Dead workers' runs go on at once instead of when their leases end, and the first sweep removes what they left.
func (p *Pipeline) Recover(ctx context.Context) error {
	p.alone = time.Now()
	ctx = asSystem(ctx)
	if _, err := p.DB.Exec(ctx, "UPDATE generations SET leased_by = '', leased_until = 0 WHERE leased_by <> ''"); err != nil {
		return fmt.Errorf("free the generations that were worked on: %w", err)
	}
	return p.free(ctx, db.Micros(time.Now().Add(100*p.config.LeaseFor)))
}

// Sweep wakes runs that were forgotten and removes left-over bytes.
func (p *Pipeline) Sweep(ctx context.Context) error {
	return p.sweep(asSystem(ctx), time.Now())
}

func (p *Pipeline) sweep(ctx context.Context, now time.Time) error {
	return errors.Join(
		p.free(ctx, db.Micros(now)),
		p.wakeForgotten(ctx, now),
		p.finishErasures(ctx),
		p.dropDerived(ctx),
		p.dropOldVersions(ctx, now),
		p.dropOrphans(ctx, "versions/", "versions", now),
		p.dropOrphans(ctx, "files/", "files", now),
	)
}

// sweepBatch bounds what one transaction of the sweep touches.
const sweepBatch = 200

// free takes runs from workers whose leases ended before the given time.
func (p *Pipeline) free(ctx context.Context, before int64) error {
	list, err := collect(ctx, p.DB, scanText, "SELECT id FROM runs WHERE state = ? AND leased_until < ? ORDER BY created_at", runRunning, before)
	if err != nil {
		return fmt.Errorf("look for leases that ended: %w", err)
	}
	for _, runID := range list {
		if err := p.freeOne(ctx, runID, before); err != nil {
			return fmt.Errorf("free run %s: %w", runID, err)
		}
	}
	return nil
}

func (p *Pipeline) freeOne(ctx context.Context, runID string, before int64) error {
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		r := &runRow{ID: runID}
		err := tx.QueryRow(ctx, "SELECT kind, document_id, version_id, step, priority, attempts, crashes FROM runs WHERE id = ? AND state = ? AND leased_until < ?"+tx.ForUpdate(), runID, runRunning, before).
			Scan(&r.Kind, &r.Document, &r.Version, &r.Step, &r.Priority, &r.Attempts, &r.Crashes)
		if db.IsNone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.Crashes++; r.Kind == kindIngest && r.Crashes >= p.config.MaxCrashes {
			return p.bury(ctx, tx, r, r.Attempts, "worker_died", fmt.Sprintf(
				"%d workers died, or stopped answering, in the step %s; look for what ended them in the server's log, then replay", r.Crashes, r.Step))
		}
		due := time.Now()
		if r.Crashes > 1 {
			// What ends the process again and again must not be what it always does next; and a process that is ended again
			// and again, for reasons of its own, must not use the tries up in a moment.
			due = due.Add(p.config.backoff(r.Crashes - 1))
		}
		return p.retry(ctx, tx, r, due, r.Attempts, "", "")
	})
}

// wakeForgotten asks again for runs that are long due: the job that should have woken them was lost.
func (p *Pipeline) wakeForgotten(ctx context.Context, now time.Time) error {
	const patience = 2 * time.Minute
	type forgotten struct {
		id       string
		priority int
		due      int64
	}
	list, err := collect(ctx, p.DB, func(row scanner) (f forgotten, err error) { return f, row.Scan(&f.id, &f.priority, &f.due) },
		"SELECT r.id, r.priority, r.due_at FROM runs r WHERE r.state = ? AND r.due_at < ? AND "+notPaused+" ORDER BY r.due_at LIMIT ?", runWaiting, db.Micros(now.Add(-patience)), sweepBatch)
	if err != nil || len(list) == 0 {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		for _, f := range list {
			// The key of the sweep's own asks: a run that waits its turn in a long queue is asked for once more, not at every sweep.
			if err := p.Queue.Wake(ctx, tx, Wake{RunID: f.id, Key: f.id + ":again:" + strconv.FormatInt(f.due, 36), Priority: f.priority}); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropDerived removes extracted blocks that no step will read again.
func (p *Pipeline) dropDerived(ctx context.Context) error {
	for {
		list, err := collect(ctx, p.DB, scanText, "SELECT id FROM versions WHERE derived = 1 AND state IN (?,?,?) LIMIT ?", Live, Superseded, Deleted, sweepBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, version := range list {
			if _, err := p.Bucket.Purge(ctx, blocksKey(version), ""); err != nil {
				return fmt.Errorf("remove extracted blocks: %w", err)
			}
		}
		if _, err := p.DB.Exec(ctx, "UPDATE versions SET derived = 0 WHERE id IN ("+db.Marks(len(list))+")", db.Args(list)...); err != nil {
			return err
		}
	}
}

// dropOldVersions removes the bytes of superseded versions beyond those that their collection keeps, when they have been
// replaced for as long as it says.
func (p *Pipeline) dropOldVersions(ctx context.Context, now time.Time) error {
	all, err := allCollections(ctx, p.DB)
	if err != nil {
		return err
	}
	for _, c := range all {
		list, err := collect(ctx, p.DB, scanText, `SELECT v.id FROM versions v JOIN documents d ON d.id = v.document_id
			WHERE v.collection_id = ? AND v.state = ? AND v.bucket_key <> '' AND v.number < d.last_number - ?
			AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.document_id = v.document_id)
			AND EXISTS (SELECT 1 FROM versions n WHERE n.document_id = v.document_id AND n.number > v.number AND n.live_at <= ?) LIMIT ?`,
			c.ID, Superseded, c.Config.KeepVersions, db.Micros(now.Add(-c.Config.ExpireVersionsAfter)), sweepBatch)
		if err != nil {
			return err
		}
		for _, version := range list {
			if _, err := p.Bucket.Purge(ctx, originalKey(version), ""); err != nil {
				return fmt.Errorf("remove the bytes of old versions: %w", err)
			}
			if _, err := p.DB.Exec(ctx, "UPDATE versions SET bucket_key = '', bucket_version = '' WHERE id = ?", version); err != nil {
				return err
			}
		}
	}
	return nil
}
