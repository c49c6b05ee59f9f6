// Package jobs is durable work on River: a job is enqueued in the transaction of the rows it is about, and runs at
// least once, in this process or in another on the same database. Ingestion wakes its runs with it, and every part
// keeps its schedules with it. A job can run twice (a process dies, or is taken for dead): handlers are idempotent.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"airfield/internal/db"
)

const (
	queueName = river.QueueDefault
	cooldown  = 2 * time.Millisecond // between two looks for jobs: River's 100 ms would bound the jobs a second
	poll      = time.Second          // a look without having been woken
	fallback  = time.Minute          // after Timeout, River's own rescue of what release did not find
)

// Handler does a job. Its error is a failed attempt, unless it is Snooze or Cancel.
type Handler func(ctx context.Context, job Job) error

// Queue holds jobs, in the database, and the handlers of this process.
type Queue struct {
	db     *db.DB
	config Config
	log    *slog.Logger
	engine engine

	mu        sync.Mutex
	running   bool
	handlers  map[string]Handler
	schedules []*schedule
}

// New brings the queue's tables up to date. The queue takes jobs at once and runs them when Run is called.
func New(ctx context.Context, d *db.DB, c Config, log *slog.Logger) (*Queue, error) {
	if _, err := c.Check(); err != nil {
		return nil, err
	}
	if c.Backoff == nil {
		c.Backoff = backoff
	}
	q := &Queue{db: d, config: c, log: log.With("part", "jobs"), handlers: map[string]Handler{}}
	var err error
	if q.engine, err = newEngine(d, &river.Config{Logger: q.quiet(), SkipUnknownJobCheck: true, FetchCooldown: river.FetchCooldownMin}); err != nil {
		return nil, fmt.Errorf("set up the job queue: %w", err)
	}
	if err := q.migrate(ctx); err != nil {
		return nil, fmt.Errorf("bring the job queue's tables up to date: %w", err)
	}
	return q, nil
}

// migrate keeps processes that start together apart; on SQLite there is only one.
func (q *Queue) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("another process holds the lock"))
	defer cancel()
	if q.db.Engine() == db.SQLite {
		return q.engine.migrate(ctx)
	}
	return q.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(?)", int64(7_406_151_204)); err != nil {
			return err
		}
		return q.engine.migrate(ctx)
	})
}

// Handle says who does the jobs of a kind. All processes that Run on one database handle the same kinds.
func (q *Queue) Handle(kind string, h Handler) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.running:
		panic("jobs: Handle after Run")
	case q.handlers[kind] != nil:
		panic("jobs: two handlers for " + kind)
	}
	q.handlers[kind] = h
}

// Enqueue adds a job in tx: it exists if tx commits. args is kept as JSON.
func (q *Queue) Enqueue(ctx context.Context, tx *db.Tx, kind string, args any, o Options) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode the arguments of %s: %w", kind, err)
	}
	opts := &river.InsertOpts{Priority: o.Priority, MaxAttempts: o.MaxAttempts, ScheduledAt: o.At}
	if opts.Priority == 0 {
		opts.Priority = 2
	}
	if opts.MaxAttempts == 0 {
		opts.MaxAttempts = q.config.MaxAttempts
	}
	if o.UniqueKey != "" {
		opts.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}}
	}
	if err := q.engine.insert(ctx, tx, envelope{kind: kind, Key: o.UniqueKey, Args: raw}, opts); err != nil {
		return fmt.Errorf("enqueue %s: %w", kind, err)
	}
	return nil
}
