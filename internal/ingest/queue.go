package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/jobs"
)

// Priorities of runs: lower is sooner.
const (
	PriorityUpload   = 1 // somebody waits
	PriorityChange   = 2 // a watched source changed, or something is purged
	PriorityBackfill = 3 // a source is read for the first time
	PriorityRefresh  = 4 // a generation is built: nobody waits
)

// Wake asks that Work is called for a run.
type Wake struct {
	RunID    string
	Key      string // asks with the same key are one as long as it is not answered
	Priority int
	At       time.Time // zero: at once
}

// Queue wakes workers, at least once for each ask, after the transaction committed.
type Queue interface {
	Wake(ctx context.Context, tx *db.Tx, w Wake) error
	// Refresh asks that a generation is worked on.
	Refresh(ctx context.Context, tx *db.Tx, generationID string, at time.Time) error
}

const (
	jobKind     = "ingest.run"
	refreshKind = "ingest.refresh"
)

// soon is a wait that a job that sleeps keeps more exactly than a new one: those are looked for every few seconds.
const soon = 5 * time.Second

type jobArgs struct {
	Run string `json:"run"`
}

// Jobs wakes workers through the job queue.
func Jobs(q *jobs.Queue) Queue { return jobQueue{q} }

type jobQueue struct{ jobs *jobs.Queue }

func (q jobQueue) Wake(ctx context.Context, tx *db.Tx, w Wake) error {
	return q.jobs.Enqueue(ctx, tx, jobKind, jobArgs{w.RunID}, jobs.Options{Priority: w.Priority, At: w.At, UniqueKey: w.Key})
}

func (q jobQueue) Refresh(ctx context.Context, tx *db.Tx, generationID string, at time.Time) error {
	return q.jobs.Enqueue(ctx, tx, refreshKind, refreshArgs{generationID}, jobs.Options{Priority: PriorityRefresh, At: at, UniqueKey: generationID})
}

type refreshArgs struct {
	Generation string `json:"generation"`
}

// Register makes this process a worker: the queue calls the pipeline for runs and for the sweep. Call it before Run.
func (p *Pipeline) Register(q *jobs.Queue) {
	q.Handle(jobKind, func(ctx context.Context, job jobs.Job) error {
		var args jobArgs
		if err := json.Unmarshal(job.Args, &args); err != nil {
			return jobs.Cancel(fmt.Errorf("read the arguments of %s: %w", jobKind, err))
		}
		again, err := p.work(ctx, args.Run)
		if err == nil && again > 0 && again < soon {
			return jobs.Snooze(again)
		}
		return err
	})
	q.Handle(refreshKind, func(ctx context.Context, job jobs.Job) error {
		var args refreshArgs
		if err := json.Unmarshal(job.Args, &args); err != nil {
			return jobs.Cancel(fmt.Errorf("read the arguments of %s: %w", refreshKind, err))
		}
		more, err := p.workGeneration(ctx, args.Generation)
		if err == nil && more {
			return jobs.Snooze(0) // behind everybody who came meanwhile
		}
		return err
	})
	q.Every("ingest.refresh", jobs.Period(refreshEvery), p.KeepRefreshes)
	q.Every("ingest.sweep", jobs.Period(p.config.SweepEvery), p.Sweep)
}
