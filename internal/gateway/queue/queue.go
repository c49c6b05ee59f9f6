// Package queue lets calls wait for room in a fair order: by priority first, then in turn between workflows, then in the
// order in which they came. Who waits long rises in priority, so that nobody starves. The gateway waits here for rates,
// slots and deployments; what there is room for is not known here but asked of each call.
package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull is returned where more calls wait already than may.
var ErrFull = errors.New("the queue is full")

// Priorities of a call.
const (
	Low    = -1
	Normal = 0
	High   = 1
)

// aging is how long a call waits until it counts as one priority higher.
const aging = 10 * time.Second

// Result is what a call's try came to.
type Result struct {
	OK bool
	On string    // what has no room: calls behind that need the same are not tried before this one
	At time.Time // when to try again at the latest; zero: when the queue is woken
}

// Ticket is a call that wants to wait.
type Ticket struct {
	Lane     string // whose turn it takes: its workflow
	Names    string // what it needs; tickets of one lane with the same names wait in one line
	Priority int
	Try      func() Result // takes the room, if there is; called from one goroutine at a time
	Undo     func()        // gives back what a Try took whose call has left meanwhile
}

// Queue is where calls wait. It is safe for concurrent use.
type Queue struct {
	most    int
	waiting atomic.Int64
	wake    chan struct{}
	stop    context.CancelFunc
	done    chan struct{}

	mu    sync.Mutex
	lines map[lineKey]*line
	on    map[string]int   // how many lines stand before each thing that has no room
	turns map[string]int64 // when each lane was served last
	turn  int64
}

type lineKey struct {
	lane, names string
	priority    int
}

// line is the calls of one lane that need the same.
type line struct {
	lineKey
	waiters []*waiter
	on      string
}

type waiter struct {
	Ticket
	since  time.Time
	trying bool
	gone   bool
	ready  chan struct{}
	undone chan struct{} // closed when the Try is over that was under way as the call left
}

// New returns a queue in which at most so many calls wait, and runs it until Close.
func New(most int) *Queue {
	ctx, stop := context.WithCancel(context.Background())
	q := &Queue{most: most, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}), lines: map[lineKey]*line{}, on: map[string]int{}, turns: map[string]int64{}}
	go q.run(ctx)
	return q
}

// Close ends the queue; who still waits goes on waiting for its own end.
func (q *Queue) Close() {
	q.stop()
	<-q.done
}

// Waiting is how many calls wait.
func (q *Queue) Waiting() int { return int(q.waiting.Load()) }

// Lengths is how many calls of each lane wait.
func (q *Queue) Lengths() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	lengths := map[string]int{}
	for _, l := range q.lines {
		lengths[l.lane] += len(l.waiters)
	}
	return lengths
}

// Resize changes how many calls may wait; those that wait already stay.
func (q *Queue) Resize(most int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most = most
}

// Busy reports whether others stand before one of the things already, so that a newcomer must not overtake them.
func (q *Queue) Busy(names ...string) bool {
	if q.waiting.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(names, func(name string) bool { return q.on[name] > 0 })
}

// Wake has waiting calls tried again: something was given back.
func (q *Queue) Wake() {
	if q.waiting.Load() == 0 {
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Wait returns nil when the ticket's Try has succeeded, ErrFull at once, or the cause of ctx's end. When it has returned,
// neither Try nor Undo is running, nor will be.
func (q *Queue) Wait(ctx context.Context, t Ticket) error {
	w := &waiter{Ticket: t, since: time.Now(), ready: make(chan struct{})}
	q.mu.Lock()
	if int(q.waiting.Load()) >= q.most {
		q.mu.Unlock()
		return ErrFull
	}
	q.waiting.Add(1)
	key := lineKey{t.Lane, t.Names, t.Priority}
	l := q.lines[key]
	if l == nil {
		l = &line{lineKey: key}
		q.lines[key] = l
	}
	l.waiters = append(l.waiters, w)
	q.mu.Unlock()
	q.Wake()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	select {
	case <-w.ready: // at the same moment
		q.mu.Unlock()
		return nil
	default:
	}
	w.gone = true
	q.leave(l, w)
	if w.trying {
		w.undone = make(chan struct{})
	}
	q.mu.Unlock()
	if w.undone != nil {
		<-w.undone
	}
	return context.Cause(ctx)
}

// leave takes a waiter out of its line; mu is held.
func (q *Queue) leave(l *line, w *waiter) {
	i := slices.Index(l.waiters, w)
	if i < 0 {
		return
	}
	l.waiters = slices.Delete(l.waiters, i, i+1)
	q.waiting.Add(-1)
	if len(l.waiters) == 0 {
		q.stand(l, "")
		delete(q.lines, l.lineKey)
		if q.waiting.Load() == 0 {
			clear(q.turns)
		}
	}
}

// stand notes what a line stands before; mu is held.
func (q *Queue) stand(l *line, on string) {
	if l.on == on {
		return
	}
	if l.on != "" {
		if q.on[l.on]--; q.on[l.on] == 0 {
			delete(q.on, l.on)
		}
	}
	if l.on = on; on != "" {
		q.on[on]++
	}
}
