package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// breaker leaves a deployment alone that fails: after failures in a row it opens, and after a while it lets one call
// through as a probe, whose end closes it or opens it again.
//
// It is our own and not failsafe-go's because of what calls bring home that were sent before it opened: there, an old
// stream that ends while a probe is under way is taken for the probe, and closes the breaker, or opens it again, on old
// news.
type breaker struct {
	config Breaker
	told   func(open bool)
	calm   atomic.Bool // it is closed: looking is free

	mu       sync.Mutex
	failures int       // in a row, while it is closed
	until    time.Time // open until then, and half-open afterwards; zero while it is closed
	probing  bool
	turn     int // how often its state has changed: what was sent in an earlier one says nothing of this one
}

// left is how long the breaker stays open, and whether a probe of it is under way.
func (b *breaker) left(now time.Time) (time.Duration, bool) {
	if b.calm.Load() {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return 0, false
	}
	return max(0, b.until.Sub(now)), b.probing
}

// state is closed, open or half-open.
func (b *breaker) state(now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return "closed"
	case now.Before(b.until):
		return "open"
	}
	return "half-open"
}

// begin takes leave to ask, which must be given back to end with the turn.
func (b *breaker) begin(now time.Time) (turn int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.until.IsZero() {
		if now.Before(b.until) || b.probing {
			return 0, false
		}
		b.probing = true
	}
	return b.turn, true
}

// verdict is what an attempt says of its deployment.
type verdict int

const (
	neither verdict = iota // the caller left, or the request was at fault
	healthy
	failing
)

// end gives the leave back with what was learnt. A probe that was left before it had an answer proves nothing: the next
// call is the probe.
func (b *breaker) end(turn int, v verdict) {
	b.mu.Lock()
	probe := !b.until.IsZero()
	changed, open := false, false
	switch {
	case turn != b.turn:
	case v == failing:
		if b.failures++; probe || b.failures >= b.config.Failures {
			b.until, b.probing, b.failures = time.Now().Add(b.config.Open), false, 0
			b.calm.Store(false)
			b.turn++
			changed, open = !probe, true
		}
	case v == healthy:
		if b.failures = 0; probe {
			b.until, b.probing = time.Time{}, false
			b.calm.Store(true)
			b.turn++
			changed = true
		}
	case probe:
		b.probing = false
	}
	b.mu.Unlock()
	if changed {
		b.told(open)
	}
}

// isOpen reports whether the breaker has told that it opened, and not that it closed.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero()
}
