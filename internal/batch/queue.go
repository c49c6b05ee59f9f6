package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"airfield/internal/db"
	"airfield/internal/jobs"
)

const (
	jobKind    = "batch.run"
	jobLast    = 4 // the last of River's priorities: documents go first
	sweepEvery = 15 * time.Second
)

type jobArgs struct {
	Batch string `json:"batch"`
	Lane  int    `json:"lane"` // 0 is for what is not about lines
}

// wake asks that a worker looks after a batch. Of a lane there is one ask at a time.
func (s *Batches) wake(ctx context.Context, tx *db.Tx, batchID string, lane int, at time.Time) error {
	o := jobs.Options{Priority: jobLast, At: at}
	if lane > 0 {
		o.UniqueKey = batchID + ":" + strconv.Itoa(lane)
	}
	return s.Jobs.Enqueue(ctx, tx, jobKind, jobArgs{batchID, lane}, o)
}

// Register makes this process a worker. Call it before the queue's Run.
func (s *Batches) Register() {
	s.Jobs.Handle(jobKind, func(ctx context.Context, job jobs.Job) error {
		var args jobArgs
		if err := json.Unmarshal(job.Args, &args); err != nil {
			return jobs.Cancel(fmt.Errorf("read the arguments of %s: %w", jobKind, err))
		}
		again, err := s.Work(ctx, args.Batch, args.Lane)
		if err == nil && again > 0 {
			return jobs.Snooze(again)
		}
		return err
	})
	s.Jobs.Every("batch.sweep", jobs.Period(sweepEvery), s.Sweep)
}

// Work does what can be done for a batch now, for a while; its lines are made in lanes from 1 on. again is when it is worth another look; 0 where it is not.
func (s *Batches) Work(ctx context.Context, batchID string, lane int) (again time.Duration, err error) {
	b, err := scan(s.DB.QueryRow(ctx, columns+" WHERE id = ?", batchID))
	if db.IsNone(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	switch b.Status {
	case Validating:
		return 0, s.validate(ctx, b)
	case InProgress, Cancelling:
		if b.Status == InProgress && lane > 0 {
			if again, err = s.lane(ctx, b); err != nil || again > 0 {
				return again, err
			}
		}
		return s.finish(ctx, b.ID)
	case Finalizing:
		return s.finish(ctx, b.ID)
	}
	return 0, nil
}
