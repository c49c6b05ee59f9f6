package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// health is what is known of a deployment while calls run: shared by every model that names it, and kept when the
// configuration is loaded again.
type health struct {
	name     string
	breaker  circuitbreaker.CircuitBreaker[any]
	config   Breaker
	inflight atomic.Int64
	cooled   atomic.Int64 // until when the provider asked to be left alone, in Unix nanoseconds
	quota    quota
	changed  func() // calls that wait may try again
}

func newHealth(name string, c Breaker, changed func(), told func(name string, open bool)) *health {
	h := &health{name: name, config: c, changed: changed}
	h.breaker = circuitbreaker.NewBuilder[any]().WithFailureThreshold(uint(c.Failures)).WithSuccessThreshold(1).WithDelay(c.Open).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			switch e.NewState {
			case circuitbreaker.OpenState:
				if e.OldState == circuitbreaker.ClosedState {
					told(name, true)
				}
			case circuitbreaker.ClosedState:
				told(name, false)
			}
			changed()
		}).Build()
	return h
}

// Obstacle says why a deployment cannot be asked now.
type obstacle struct {
	reason string
	until  time.Time // zero: until something changes
}

// obstacle reports what keeps calls from the deployment, without changing anything.
func (h *health) obstacle(now time.Time, tokens int64) (obstacle, bool) {
	if left := h.breaker.RemainingDelay(); left > 0 && h.breaker.IsOpen() {
		return obstacle{"its breaker is open after failures in a row", now.Add(left)}, true
	}
	if until := h.cooled.Load(); until > now.UnixNano() {
		return obstacle{"it asked to be left alone", time.Unix(0, until)}, true
	}
	if o, full := h.quota.obstacle(now, tokens); full {
		return o, true
	}
	return obstacle{}, false
}

// begin takes leave to ask the deployment; false where its breaker has none to give, because a probe is under way.
func (h *health) begin(tokens int64) bool {
	if !h.breaker.TryAcquirePermit() {
		return false
	}
	h.inflight.Add(1)
	h.quota.take(tokens)
	return true
}

// verdict is what an attempt says of its deployment.
type verdict int

const (
	neither verdict = iota // the caller left, or the request was at fault
	healthy
	failing
)

// end gives the leave back with what was learnt. A probe that was left before it had an answer proves nothing, so the
// breaker opens again.
func (h *health) end(v verdict) {
	h.inflight.Add(-1)
	switch {
	case v == healthy:
		h.breaker.RecordSuccess()
	case v == failing || h.breaker.IsHalfOpen():
		h.breaker.RecordFailure()
	}
	h.changed()
}

// cool leaves the deployment alone until a time.
func (h *health) cool(until time.Time) {
	for {
		was := h.cooled.Load()
		if until.UnixNano() <= was || h.cooled.CompareAndSwap(was, until.UnixNano()) {
			return
		}
	}
}

// Quota is what a provider says is left of its own limits.
type Quota struct {
	Requests, Tokens Left
}

// Left is one of a provider's limits.
type Left struct {
	Known bool
	Left  int64
	Reset time.Duration // until it is whole again
}

// quota remembers what was said last, and counts down from it, so that calls slow down before the provider refuses.
type quota struct {
	mu               sync.Mutex
	requests, tokens window
}

type window struct {
	left  int64
	until time.Time // after it nothing is known
}

func (q *quota) learn(now time.Time, said Quota) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.requests.learn(now, said.Requests)
	q.tokens.learn(now, said.Tokens)
}

func (w *window) learn(now time.Time, said Left) {
	if said.Known {
		*w = window{max(0, said.Left), now.Add(min(said.Reset, 5*time.Minute))}
	}
}

func (q *quota) take(tokens int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.requests.left--
	q.tokens.left -= tokens
}

// obstacle leaves a call through that asks for more tokens than can ever be left, once all of them are.
func (q *quota) obstacle(now time.Time, tokens int64) (obstacle, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case now.Before(q.requests.until) && q.requests.left < 1:
		return obstacle{"its provider's limit of requests is used up", q.requests.until}, true
	case now.Before(q.tokens.until) && q.tokens.left < tokens:
		return obstacle{"its provider's limit of tokens is used up", q.tokens.until}, true
	}
	return obstacle{}, false
}
