package gateway

import (
	"context"
	"sync"
	"time"
)

// lateContext ends at a time, like context.WithDeadlineCause, with errWaited as the cause; but its timer is set only once
// somebody waits for it. Most calls wait for nothing, and a timer costs more than all of their reservation.
type lateContext struct {
	context.Context
	until time.Time

	mu     sync.Mutex
	timed  context.Context // nil while nobody waits
	cancel context.CancelFunc
	ended  bool
}

// now is the context that tells, as far as somebody needs it.
func (l *lateContext) now(wait bool) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timed == nil {
		if !wait && !l.ended && time.Now().Before(l.until) {
			return l.Context
		}
		l.timed, l.cancel = context.WithDeadlineCause(l.Context, l.until, errWaited)
		if l.ended {
			l.cancel()
		}
	}
	return l.timed
}

func (l *lateContext) Deadline() (time.Time, bool) {
	if parent, ok := l.Context.Deadline(); ok && parent.Before(l.until) {
		return parent, true
	}
	return l.until, true
}

func (l *lateContext) Done() <-chan struct{} { return l.now(true).Done() }
func (l *lateContext) Err() error            { return l.now(false).Err() }
func (l *lateContext) Value(key any) any     { return l.now(false).Value(key) }

// end gives the timer back.
func (l *lateContext) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.cancel != nil {
		l.cancel()
	}
}
