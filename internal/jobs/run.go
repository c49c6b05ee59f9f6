package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"golang.org/x/sync/errgroup"

	"airfield/internal/id"
)

var errStopping = errors.New("the process is stopping")

// Run does jobs until ctx ends. Then it takes no more, gives the running ones Config.Drain to finish, cancels their
// context, and returns; a job cut short comes back without having used up an attempt.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	if q.running {
		q.mu.Unlock()
		return errors.New("the job queue runs already")
	}
	q.running = true
	q.mu.Unlock()

	self := id.New("worker")
	presence, err := q.enter(ctx, self)
	if err != nil {
		return err
	}
	// Jobs outlive ctx by the drain, so a context of their own ends them.
	jobs, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	w, err := q.engine.client(q.workerConfig(jobs, self))
	if err != nil {
		return fmt.Errorf("set up the job queue: %w", err)
	}
	present, leave := context.WithCancel(context.WithoutCancel(ctx)) // until the last job has ended
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer leave()
		return q.work(ctx, w, cancel)
	})
	g.Go(func() error { return q.keepSchedules(ctx) })
	if presence != nil {
		g.Go(func() error { return presence.run(present) })
	}
	return g.Wait()
}

// work runs River until ctx ends and its handlers have returned.
func (q *Queue) work(ctx context.Context, w worker, cancelJobs context.CancelCauseFunc) error {
	unbroken := context.WithoutCancel(ctx) // River takes the end of this one for "drop everything"
	if err := w.Start(unbroken); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-w.Stopped():
		return errors.New("the job queue stopped by itself")
	}
	drain, end := context.WithTimeoutCause(unbroken, q.config.Drain, errStopping)
	defer end()
	if w.Stop(drain) == nil {
		return nil
	}
	cancelJobs(errStopping)
	const grace = 5 * time.Second // for handlers to see that their context ended
	hard, end := context.WithTimeoutCause(unbroken, grace, errStopping)
	defer end()
	if err := w.StopAndCancel(hard); err != nil {
		return fmt.Errorf("a job does not heed its context: %w", err)
	}
	return nil
}

func (q *Queue) workerConfig(jobs context.Context, self string) *river.Config {
	workers := river.NewWorkers()
	q.mu.Lock()
	defer q.mu.Unlock()
	for kind, handler := range q.handlers {
		river.AddWorkerArgs(workers, envelope{kind: kind}, river.WorkFunc(q.adapt(jobs, handler)))
	}
	if len(q.handlers) == 0 { // River refuses to run without any
		river.AddWorkerArgs(workers, envelope{kind: "nothing"}, river.WorkFunc(func(context.Context, *river.Job[envelope]) error { return nil }))
	}
	return &river.Config{
		ID:                   self,
		Logger:               q.quiet(),
		Queues:               map[string]river.QueueConfig{queueName: {MaxWorkers: q.config.Workers}},
		Workers:              workers,
		FetchOnlyKnownKinds:  true,
		FetchCooldown:        cooldown,
		FetchPollInterval:    poll,
		JobTimeout:           q.config.Timeout,
		RescueStuckJobsAfter: q.config.Timeout + fallback,
		// Nothing asks for finished jobs; what gave up is kept for those who look into why.
		CompletedJobRetentionPeriod: time.Hour,
		DiscardedJobRetentionPeriod: 7 * 24 * time.Hour,
		RetryPolicy:                 retry{q.config.Backoff},
		ErrorHandler:                failures{q.log},
		ReindexerIndexNames:         []string{}, // an operator's task: on SQLite it would hold the only write connection
	}
}

// adapt calls a handler with a context that ends with River's and when the drain is over.
func (q *Queue) adapt(jobs context.Context, handler Handler) func(context.Context, *river.Job[envelope]) error {
	return func(ctx context.Context, job *river.Job[envelope]) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(jobs, func() { cancel(context.Cause(jobs)) })()
		err := handler(ctx, Job{
			ID: job.ID, Kind: job.Kind, Args: job.Args.Args,
			Attempt: job.Attempt, MaxAttempts: job.MaxAttempts, Priority: job.Priority,
		})
		var given *rivertype.JobCancelError
		switch {
		case err != nil && jobs.Err() != nil:
			return Snooze(0)
		case errors.As(err, &given): // River tells failures of the others only
			q.log.Warn("a job was given up by its handler", "kind", job.Kind, "job", job.ID, "error", err)
		}
		return err
	}
}

// retry is the configuration's backoff in River's words.
type retry struct {
	wait func(attempt int) time.Duration
}

func (r retry) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().UTC().Add(r.wait(len(job.Errors) + 1))
}

// failures logs failed attempts: once, here.
type failures struct{ log *slog.Logger }

func (f failures) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	level, text := slog.LevelWarn, "a job failed and will be tried again"
	if job.Attempt >= job.MaxAttempts {
		level, text = slog.LevelError, "a job failed for the last time"
	}
	f.log.Log(ctx, level, text, "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "error", err)
	return nil
}

func (f failures) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	f.log.ErrorContext(ctx, "a job panicked", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "panic", fmt.Sprint(value), "trace", trace)
	return nil
}

// quiet lets River's own log through from warnings upwards.
func (q *Queue) quiet() *slog.Logger { return slog.New(fromWarnings{q.log.Handler()}) }

type fromWarnings struct{ slog.Handler }

func (h fromWarnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h fromWarnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fromWarnings{h.Handler.WithAttrs(attrs)}
}

func (h fromWarnings) WithGroup(name string) slog.Handler {
	return fromWarnings{h.Handler.WithGroup(name)}
}
