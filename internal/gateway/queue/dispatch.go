package queue

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// idle is how long the queue sleeps when nothing says that room will come: a guard, not a clock.
const idle = time.Second

// run tries who waits whenever the queue is woken, or when one of them said that there may be room.
func (q *Queue) run(ctx context.Context) {
	defer close(q.done)
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-timer.C:
		}
		next := idle
		if at := q.pass(ctx); !at.IsZero() {
			next = min(idle, max(time.Millisecond, time.Until(at)))
		}
		timer.Reset(next)
	}
}

// pass tries the first of every line, the line whose turn it is before the others, until none gets on. What has no
// room for one has none for those behind it. It returns when to try again.
func (q *Queue) pass(ctx context.Context) (next time.Time) {
	for again := true; again && ctx.Err() == nil; {
		again, next = false, time.Time{}
		full := map[string]bool{}
		for _, l := range q.order() {
			q.mu.Lock()
			if len(l.waiters) == 0 || (l.on != "" && full[l.on]) {
				q.mu.Unlock()
				continue
			}
			w := l.waiters[0]
			w.trying = true
			q.mu.Unlock()

			r := w.Try()
			if q.settle(l, w, r) {
				again = true
				break // whose turn it is has changed
			}
			if r.OK {
				continue
			}
			full[r.On] = true
			if !r.At.IsZero() && (next.IsZero() || r.At.Before(next)) {
				next = r.At
			}
		}
	}
	return next
}

// settle tells a waiter that it may go, and reports whether it did.
func (q *Queue) settle(l *line, w *waiter, r Result) (went bool) {
	q.mu.Lock()
	if w.trying = false; w.gone {
		q.mu.Unlock()
		if r.OK {
			w.Undo()
		}
		close(w.undone)
		return r.OK // what was given back may serve another
	}
	defer q.mu.Unlock()
	if !r.OK {
		q.stand(l, r.On)
		return false
	}
	q.turn++
	q.turns[l.lane] = q.turn
	q.leave(l, w)
	close(w.ready)
	return true
}

// order lists the lines as they are served. Nobody rises above High, where turns decide.
func (q *Queue) order() []*line {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	type ranked struct {
		*line
		priority int
		turn     int64
		since    time.Time
	}
	lines := make([]ranked, 0, len(q.lines))
	for _, l := range q.lines {
		since := l.waiters[0].since
		lines = append(lines, ranked{l, min(High, l.priority+int(now.Sub(since)/aging)), q.turns[l.lane], since})
	}
	slices.SortFunc(lines, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.turn, b.turn), a.since.Compare(b.since))
	})
	list := make([]*line, len(lines))
	for i := range lines {
		list[i] = lines[i].line
	}
	return list
}
