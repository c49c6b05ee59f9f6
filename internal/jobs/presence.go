package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"airfield/internal/db"
)

// presence is how processes on one PostgreSQL know of each other: each says every beat that it lives, and takes over
// the running jobs of those that have been silent for too long. River's own rescue would wait for the longest a job
// may take, because it cannot tell a dead process from a busy one.
type presence struct {
	db        *db.DB
	engine    engine
	log       *slog.Logger
	self      string
	deadAfter time.Duration
	heardFrom time.Time // since when we have been heard without a gap
	lastBeat  time.Time
}

// enter releases what a dead process left, on SQLite, where the data folder's lock says that nobody else runs; on
// PostgreSQL it announces this process.
func (q *Queue) enter(ctx context.Context, self string) (*presence, error) {
	if q.db.Engine() == db.SQLite {
		n, err := release(ctx, q.engine.executor(), func(string) bool { return true })
		if n > 0 {
			q.log.Info("jobs that a dead process left were released", "jobs", n)
		}
		if err == nil {
			// Who leads wakes jobs that are due. River would wait until the dead one's lease ends.
			_, err = q.db.Exec(ctx, "DELETE FROM river_leader")
		}
		return nil, err
	}
	p := &presence{db: q.db, engine: q.engine, log: q.log, self: self, deadAfter: q.config.DeadAfter}
	return p, p.beat(ctx, time.Now())
}

func (p *presence) run(ctx context.Context) error {
	ticker := time.NewTicker(p.deadAfter / 5)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return p.leave(ctx)
		case <-ticker.C:
			now := time.Now()
			if err := p.beat(ctx, now); err != nil {
				if ctx.Err() == nil {
					p.log.Warn("the job queue cannot reach the database", "error", err)
				}
				continue
			}
			if err := p.takeOver(ctx, now); err != nil && ctx.Err() == nil {
				p.log.Warn("jobs of dead processes could not be looked for", "error", err)
			}
		}
	}
}

func (p *presence) beat(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, p.deadAfter)
	defer cancel()
	_, err := p.db.Exec(ctx, "INSERT INTO workers (id, seen_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at", p.self, db.Micros(now))
	if err != nil {
		return err
	}
	if now.Sub(p.lastBeat) > p.deadAfter/2 {
		p.heardFrom = now
	}
	p.lastBeat = now
	return nil
}

// takeOver releases the jobs of the silent. Who was silent itself (the database was away, the machine slept) first
// gives the others the time to be heard again.
func (p *presence) takeOver(ctx context.Context, now time.Time) error {
	if now.Sub(p.heardFrom) < p.deadAfter {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.deadAfter)
	defer cancel()
	alive := map[string]bool{}
	rows, err := p.db.Query(ctx, "SELECT id FROM workers WHERE seen_at > ?", db.Micros(now.Add(-p.deadAfter)))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var worker string
		if err := rows.Scan(&worker); err != nil {
			return err
		}
		alive[worker] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	n, err := release(ctx, p.engine.executor(), func(worker string) bool { return !alive[worker] })
	if n > 0 {
		p.log.Warn("jobs of a dead process were taken over", "jobs", n)
	}
	if err != nil {
		return err
	}
	_, err = p.db.Exec(ctx, "DELETE FROM workers WHERE seen_at < ?", db.Micros(now.Add(-time.Hour)))
	return err
}

// leave lets the others know at once, so that what this process could not finish is not waited for.
func (p *presence) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := p.db.Exec(ctx, "DELETE FROM workers WHERE id = ?", p.self); err != nil {
		return fmt.Errorf("sign off: %w", err)
	}
	return nil
}
