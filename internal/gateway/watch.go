package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"airfield/internal/fault"
)

// phase is what an attempt is waiting for.
type phase int32

const (
	wholeCall phase = iota
	firstByte
	nextChunk
)

// watch bounds the waits of one attempt with one timer: it ends the attempt's context, with the reason, when a phase
// or the call as a whole takes too long.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	start  time.Time
	lasts  atomic.Int64 // from start, at the most
	limits Timeouts
	waits  atomic.Int32
	name   string
	own    atomic.Bool // the call's own time ended the attempt, and not a limit of the provider
}

// newWatch ends an attempt that begins now at the provider's own limit, or at until. What the call waited before is not
// the provider's time.
func newWatch(ctx context.Context, d *deployment, now, until time.Time) *watch {
	w := &watch{start: now, limits: d.timeouts, name: d.name}
	w.extend(until)
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.waits.Store(int32(firstByte))
	w.timer = time.AfterFunc(min(w.limits.FirstByte, time.Until(w.end())), w.fire)
	return w
}

// extend sets the end of the whole call: the provider's own limit, or until.
func (w *watch) extend(until time.Time) {
	w.lasts.Store(int64(min(w.limits.Total, until.Sub(w.start))))
}

func (w *watch) end() time.Time { return w.start.Add(time.Duration(w.lasts.Load())) }

// arm begins the wait for a phase.
func (w *watch) arm(p phase, limit time.Duration) {
	if left := time.Until(w.end()); left < limit {
		p, limit = wholeCall, left
	}
	w.waits.Store(int32(p))
	w.timer.Reset(limit)
}

// rest ends the wait: what happens now is not the provider's time.
func (w *watch) rest() { w.timer.Stop() }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// ours reports whether the call's own time ended the attempt.
func (w *watch) ours() bool { return w.own.Load() }

func (w *watch) fire() {
	waited, limit := "did not end within", time.Duration(w.lasts.Load())
	switch phase(w.waits.Load()) {
	case firstByte:
		waited, limit = "did not begin to answer within", w.limits.FirstByte
	case nextChunk:
		waited, limit = "fell silent in the middle of its answer for", w.limits.BetweenChunks
	}
	if !time.Now().Before(w.end()) {
		waited, limit = "did not end within", time.Duration(w.lasts.Load())
		if limit < w.limits.Total {
			w.own.Store(true)
			waited = "did not end in what was left of the call's own time:"
		}
	}
	w.cancel(fault.New(fault.Timeout, "upstream_timeout", "%s %s %s", w.name, waited, limit.Round(time.Millisecond)))
}

// explain turns the error of an exchange into the reason it ended: the caller left, a wait was too long, or what the
// provider reported.
func (w *watch) explain(caller context.Context, err error) *fault.Fault {
	if caller.Err() != nil {
		return fault.As(caller.Err())
	}
	if f := new(fault.Fault); asFault(context.Cause(w.ctx), &f) || asFault(err, &f) {
		return f
	}
	return fault.New(fault.Upstream, "upstream_broken", "%s broke the connection: %w", w.name, err)
}

func asFault(err error, f **fault.Fault) bool { return err != nil && errors.As(err, f) }
