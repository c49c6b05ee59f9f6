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
}

const jobKind = "ingest.run"

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
	q.Every("ingest.sweep", jobs.Period(p.config.SweepEvery), p.Sweep)
}
