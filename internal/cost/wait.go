package cost

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	maxWaiting  = 2048             // for one account, in one process
	longestWait = 30 * time.Second // where the caller has no deadline
	awayAfter   = 2 * time.Second  // without an answer from the database
)

// waiter is a call that waits for money of one account.
type waiter struct {
	hold     *Hold
	at       *account // whose queue it is in
	sequence uint64
	since    int64
	done     chan error
}

func (w *waiter) need() int64 { return w.hold.asked.in(w.at.rule.unit) }

// enqueue needs mu.
func (b *Budgets) enqueue(w *waiter, a *account, now int64) {
	w.at = a
	place, _ := slices.BinarySearchFunc(a.queue, w.sequence, func(x *waiter, sequence uint64) int {
		if x.sequence < sequence {
			return -1
		}
		return 1
	})
	a.queue = slices.Insert(a.queue, place, w)
	b.askFor(a, now)
}

// wait returns when the waiter got its money, or there is no hope, or the time is up.
func (b *Budgets) wait(ctx context.Context, w *waiter) (*Hold, error) {
	limit := time.NewTimer(longestWait)
	defer limit.Stop()
	look := time.NewTimer(awayAfter)
	defer look.Stop()
	for {
		select {
		case err := <-w.done:
			if err != nil {
				return nil, err
			}
			return w.hold, nil
		case <-look.C:
			if err := b.leave(w, b.away); err != errStay {
				return w.left(err)
			}
			look.Reset(awayAfter / 4)
		case <-limit.C:
			return w.left(b.leave(w, b.late(w)))
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return w.left(b.leave(w, func(*account, int64) error { return context.Cause(ctx) }))
			}
			return w.left(b.leave(w, b.late(w)))
		}
	}
}

// left is what a waiter that leaves goes with: in the same moment it may have been given its money.
func (w *waiter) left(err error) (*Hold, error) {
	if err == nil {
		return w.hold, nil
	}
	return nil, err
}

var errStay = errors.New("wait on")

// leave takes a waiter out of its queue with the error that why returns; an error or a hold that it was given before
// goes first.
func (b *Budgets) leave(w *waiter, why func(a *account, now int64) error) error {
	now := b.micros()
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	default:
	}
	err := why(w.at, now)
	if err == errStay {
		return err
	}
	a := w.at
	if i := slices.Index(a.queue, w); i >= 0 {
		a.queue = slices.Delete(a.queue, i, i+1)
	}
	b.after(a, now)
	return err
}

// late is the refusal of one whose time is up.
func (b *Budgets) late(w *waiter) func(a *account, now int64) error {
	return func(a *account, now int64) error {
		if err := b.away(a, now); err != errStay {
			return err
		}
		if a.roomy(w.need()) {
			return b.unavailable(a, errDeadline)
		}
		return b.refusal(a, w.need(), now-w.since, "")
	}
}

// away is the error of one who waits for a database that does not answer.
func (b *Budgets) away(a *account, now int64) error {
	if a.known && a.seen >= now-awayAfter.Microseconds() {
		return errStay
	}
	return b.unavailable(a, nil)
}

var (
	errDeadline   = errors.New("the call's deadline passed before the database had answered")
	errLeaseFirst = errors.New("it has to be asked for more, and a call in flight does not wait for that")
)

// after looks at an account whose free money may have changed: who waits may get it, and it may be time to ask for more.
// It needs mu.
func (b *Budgets) after(a *account, now int64) {
	if len(a.queue) > 0 {
		b.serve(a, now)
	} else if !b.yield(a, now) && a.low(now) {
		b.askFor(a, now)
	}
}

// serve gives money to those who wait for an account, in their order, and sends away those who wait in vain.
func (b *Budgets) serve(a *account, now int64) {
	for len(a.queue) > 0 {
		w := a.queue[0]
		short := b.take(w.hold, w.sequence, now)
		if short == a {
			break
		}
		a.queue = slices.Delete(a.queue, 0, 1)
		if short == nil {
			w.done <- nil
			continue
		}
		b.enqueue(w, short, now)
	}
	a.queue = slices.DeleteFunc(a.queue, func(w *waiter) bool {
		if !a.hopeless(w.need()) {
			return false
		}
		w.done <- b.refusal(a, w.need(), now-w.since, "")
		return true
	})
	if len(a.queue) > 0 {
		b.askFor(a, now)
	}
}
