package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/ingest/extract"
	"airfield/internal/telemetry"
)

// The kinds of runs.
const (
	kindIngest = "ingest"
	kindPurge  = "purge"
)

// The states of a run.
const (
	runWaiting   = "waiting"
	runRunning   = "running"
	runDone      = "done"
	runDead      = "dead"
	runCancelled = "cancelled"
)

// The steps of a version's run, in their order.
const (
	StepExtract  = "extract"
	StepValidate = "validate"
	StepChunk    = "chunk"
	StepEmbed    = "embed"
	StepStore    = "store"
)

// runRow is a run in a worker's hands.
type runRow struct {
	ID, Kind, Collection, Document, Version string
	Step                                    string // to do next; empty when the run has ended
	Priority, Attempts, Crashes             int
	TraceID                                 string

	lease   string // the name under which this worker holds it
	blocks  []extract.Block
	started time.Time // of the step
}

var errLeaseLost = errors.New("another worker took the run over")

// Work does what is left of a run, step by step; a run that another worker holds, or that ended, is left alone. It
// returns an error only where nobody else will take care of the run soon.
func (p *Pipeline) Work(ctx context.Context, runID string) error {
	_, err := p.work(ctx, runID)
	return err
}

// work is Work; again is when the run wants its next try, 0 where it wants none.
func (p *Pipeline) work(ctx context.Context, runID string) (again time.Duration, err error) {
	ctx = asSystem(ctx)
	ctx, span := p.Tracer.Start(ctx, "ingest.run")
	span.Set("run", runID)
	r, err := p.claim(ctx, runID)
	if err != nil || r == nil {
		return 0, err
	}
	span.Set("document", r.Document)
	held, cancel := context.WithCancelCause(ctx)
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		p.heartbeat(held, r, cancel)
	}()
	for err == nil && r.Step != "" {
		err = p.step(held, r)
	}
	lost := context.Cause(held)
	cancel(nil)
	<-beats
	if errors.Is(lost, errLeaseLost) {
		err = errLeaseLost
	}
	span.Done(err)
	if err == nil {
		return 0, nil
	}
	return p.settle(ctx, r, err)
}

// claim takes the lease of a run that is due; nil where it is not to be had.
func (p *Pipeline) claim(ctx context.Context, runID string) (*runRow, error) {
	var r *runRow
	err := p.DB.Tx(ctx, func(tx *db.Tx) error {
		r = &runRow{ID: runID, lease: id.New("work")}
		var state string
		var due int64
		err := tx.QueryRow(ctx, "SELECT kind, collection_id, document_id, version_id, state, step, priority, attempts, crashes, due_at FROM runs WHERE id = ?"+tx.ForUpdate(), runID).
			Scan(&r.Kind, &r.Collection, &r.Document, &r.Version, &state, &r.Step, &r.Priority, &r.Attempts, &r.Crashes, &due)
		now := time.Now()
		if db.IsNone(err) || (err == nil && (state != runWaiting || due > db.Micros(now))) {
			r = nil
			return nil
		}
		if err != nil {
			return err
		}
		if pause, err := pausedBy(ctx, tx, runID); err != nil || pause != nil {
			r = nil // it waits; Resume wakes it
			return err
		}
		r.TraceID = telemetry.Current(ctx).TraceID // of the latest try
		if _, err := tx.Exec(ctx, "UPDATE runs SET state = ?, leased_by = ?, leased_until = ?, trace_id = ?, updated_at = ? WHERE id = ?",
			runRunning, r.lease, db.Micros(now.Add(p.config.LeaseFor)), r.TraceID, db.Micros(now), r.ID); err != nil || r.Version == "" {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE versions SET state = ?, derived = 1 WHERE id = ? AND state = ?", Running, r.Version, Pending)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim run %s: %w", runID, err)
	}
	return r, nil
}

// heartbeat keeps the lease, and cancels the work when it was lost.
func (p *Pipeline) heartbeat(ctx context.Context, r *runRow, cancel context.CancelCauseFunc) {
	p.keepLease(ctx, cancel, func(until time.Time) (int64, error) {
		return p.DB.Exec(ctx, "UPDATE runs SET leased_until = ? WHERE id = ? AND leased_by = ? AND state = ?", db.Micros(until), r.ID, r.lease, runRunning)
	})
}

// keepLease extends a lease until ctx ends, and cancels with errLeaseLost when it is ours no more.
func (p *Pipeline) keepLease(ctx context.Context, cancel context.CancelCauseFunc, extend func(until time.Time) (rows int64, err error)) {
	tick := time.NewTicker(p.config.LeaseFor / 3)
	defer tick.Stop()
	kept := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		n, err := extend(now.Add(p.config.LeaseFor))
		switch {
		case err == nil && n == 1:
			kept = now
		case err == nil, now.Sub(kept) > p.config.LeaseFor:
			// Ended by the work itself, taken by another worker, or nobody can tell: the commit checks again.
			cancel(errLeaseLost)
			return
		}
	}
}

// hold makes sure, to the end of the transaction, that the run is still ours.
func hold(ctx context.Context, tx *db.Tx, r *runRow) error {
	var one int
	err := tx.QueryRow(ctx, "SELECT 1 FROM runs WHERE id = ? AND leased_by = ? AND state = ?"+tx.ForUpdate(), r.ID, r.lease, runRunning).Scan(&one)
	if db.IsNone(err) {
		return errLeaseLost
	}
	return err
}

// advance commits a step's result together with the next step; next is empty at the end of the run. fn sees the locked
// document, or the zero one where the run is a whole collection's.
func (p *Pipeline) advance(ctx context.Context, r *runRow, next string, detail any, fn func(tx *db.Tx, doc docRow) error) error {
	err := p.DB.Tx(ctx, func(tx *db.Tx) (err error) {
		var doc docRow
		if r.Document != "" {
			if doc, err = lockDocument(ctx, tx, r.Document); err != nil {
				return err
			}
		}
		if err := hold(ctx, tx, r); err != nil {
			return err
		}
		if fn != nil {
			if err := fn(tx, doc); err != nil {
				return err
			}
		}
		if err := keepStep(ctx, tx, r.ID, r.Step, r.Attempts, r.started, detail); err != nil {
			return err
		}
		now := db.Micros(time.Now())
		if next == "" {
			_, err = tx.Exec(ctx, `UPDATE runs SET state = ?, leased_by = '', leased_until = 0, attempts = 0, crashes = 0, error_code = '', error = '', updated_at = ?, finished_at = ?
				WHERE id = ?`, runDone, now, now, r.ID)
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE runs SET step = ?, attempts = 0, crashes = 0, error_code = '', error = '', leased_until = ?, updated_at = ? WHERE id = ?",
			next, db.Micros(time.Now().Add(p.config.LeaseFor)), now, r.ID)
		return err
	})
	if err == nil {
		r.Step, r.Attempts, r.Crashes = next, 0, 0
	}
	return err
}

// errOvertaken ends a run whose version is no longer wanted; what happened to the version is in the database already.
var errOvertaken = errors.New("the version was overtaken or deleted")

// settle writes down how a run that did not get through stands.
func (p *Pipeline) settle(ctx context.Context, r *runRow, cause error) (again time.Duration, err error) {
	if errors.Is(cause, errLeaseLost) {
		return 0, p.cleanUp(ctx, r)
	}
	stopped := errors.Is(ctx.Err(), context.Canceled) // a deadline that passed is the run's own failure
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 30*time.Second, errors.New("the database took too long"))
	defer cancel()
	now := time.Now()
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		again = 0
		if r.Document != "" {
			if _, err := lockDocument(ctx, tx, r.Document); err != nil {
				return err
			}
		}
		if err := hold(ctx, tx, r); err != nil {
			return err
		}
		switch {
		case errors.Is(cause, errOvertaken):
			return p.cancelRun(ctx, tx, r)
		case stopped:
			// We are shutting down: nobody failed.
			return p.retry(ctx, tx, r, now, r.Attempts, "", "")
		}
		code, text := explain(r, cause)
		attempts := r.Attempts + 1
		if r.Kind == kindIngest && (permanent(cause) || attempts >= p.config.MaxAttempts) {
			return p.bury(ctx, tx, r, attempts, code, text)
		}
		again = p.config.backoff(attempts)
		return p.retry(ctx, tx, r, now.Add(again), attempts, code, text)
	})
	if err != nil && !errors.Is(err, errLeaseLost) {
		return 0, fmt.Errorf("settle run %s: %w (after %w)", r.ID, err, cause)
	}
	if fault.KindOf(cause) == fault.Internal && !stopped && !errors.Is(cause, errOvertaken) {
		p.Log.Error("a step failed", "run", r.ID, "document", r.Document, "step", r.Step, "attempt", r.Attempts+1, "err", cause)
	}
	return again, nil
}

// cleanUp removes what a worker that lost its run left in the bucket, where nobody will need it: the version was
// overtaken or deleted meanwhile.
func (p *Pipeline) cleanUp(ctx context.Context, r *runRow) error {
	p.Log.Debug("a run was taken from this worker", "run", r.ID)
	if r.Kind != kindIngest {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 30*time.Second, errors.New("the database took too long"))
	defer cancel()
	var state string
	err := p.DB.QueryRow(ctx, "SELECT state FROM versions WHERE id = ?", r.Version).Scan(&state)
	if err == nil && (state == Superseded || state == Deleted) {
		p.drop(ctx, blocksKey(r.Version))
	}
	return err
}

// retry lets a run wait until due, and asks for a worker then.
func (p *Pipeline) retry(ctx context.Context, tx *db.Tx, r *runRow, due time.Time, attempts int, code, text string) error {
	if _, err := tx.Exec(ctx, "UPDATE runs SET state = ?, leased_by = '', leased_until = 0, attempts = ?, crashes = ?, due_at = ?, error_code = ?, error = ?, updated_at = ? WHERE id = ?",
		runWaiting, attempts, r.Crashes, db.Micros(due), code, text, db.Micros(time.Now()), r.ID); err != nil {
		return err
	}
	return p.Queue.Wake(ctx, tx, Wake{RunID: r.ID, Key: r.ID + ":" + strconv.FormatInt(db.Micros(due), 36), Priority: r.Priority, At: due})
}

// bury makes a run a dead letter, and its version dead.
func (p *Pipeline) bury(ctx context.Context, tx *db.Tx, r *runRow, attempts int, code, text string) error {
	now := db.Micros(time.Now())
	if _, err := tx.Exec(ctx, "UPDATE runs SET state = ?, leased_by = '', leased_until = 0, attempts = ?, crashes = ?, error_code = ?, error = ?, updated_at = ?, finished_at = ? WHERE id = ?",
		runDead, attempts, r.Crashes, code, text, now, now, r.ID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE versions SET state = ? WHERE id = ? AND state IN (?,?)", Dead, r.Version, Pending, Running)
	return err
}

func (p *Pipeline) cancelRun(ctx context.Context, tx *db.Tx, r *runRow) error {
	now := db.Micros(time.Now())
	if _, err := tx.Exec(ctx, "UPDATE runs SET state = ?, leased_by = '', leased_until = 0, updated_at = ?, finished_at = ? WHERE id = ?", runCancelled, now, now, r.ID); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE versions SET state = ? WHERE id = ? AND state IN (?,?)", Superseded, r.Version, Pending, Running); err != nil {
		return err
	}
	return dropUnneeded(ctx, tx, r.Document)
}

// permanent reports whether another try would end the same way.
func permanent(err error) bool {
	return extract.Permanent(err) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge)
}

// explain says for users what went wrong. Where the error was not made for them the log has it.
func explain(r *runRow, err error) (code, text string) {
	f := fault.As(err)
	text = f.Text
	if f.Kind == fault.Internal {
		text = "an internal error in the step " + r.Step + "; the server's log has it under the run " + r.ID
	}
	if f.Field != "" {
		text += " (at " + f.Field + ")"
	}
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return f.Code, storable(text)
}
