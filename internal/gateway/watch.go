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
	end    time.Time
	limits Timeouts
	waits  atomic.Int32
	name   string
}

func newWatch(ctx context.Context, d *deployment, start time.Time) *watch {
	w := &watch{end: start.Add(d.timeouts.Total), limits: d.timeouts, name: d.name}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.waits.Store(int32(firstByte))
	w.timer = time.AfterFunc(min(w.limits.FirstByte, time.Until(w.end)), w.fire)
	return w
}

// arm begins the wait for a phase.
func (w *watch) arm(p phase, limit time.Duration) {
	if left := time.Until(w.end); left < limit {
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

func (w *watch) fire() {
	waited, limit := "did not end", w.limits.Total
	switch phase(w.waits.Load()) {
	case firstByte:
		waited, limit = "did not begin to answer", w.limits.FirstByte
	case nextChunk:
		waited, limit = "fell silent in the middle of its answer", w.limits.BetweenChunks
	}
	if !time.Now().Before(w.end) {
		waited, limit = "did not end", w.limits.Total
	}
	w.cancel(fault.New(fault.Timeout, "upstream_timeout", "%s %s within %s", w.name, waited, limit))
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
