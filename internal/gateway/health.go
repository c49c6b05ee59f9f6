package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// health is what is known of a deployment while calls run: shared by every model that names it, and kept when the
// configuration is loaded again.
type health struct {
	name     string
	breaker  breaker
	inflight atomic.Int64
	born     time.Time
	cooled   atomic.Int64 // until when the provider asked to be left alone, in nanoseconds since born, by a clock that nobody sets
	quota    quota
	changed  func() // calls that wait may try again
}

func newHealth(name string, c Breaker, changed func(), told func(name string, open bool)) *health {
	h := &health{name: name, born: time.Now(), breaker: breaker{config: c, told: func(open bool) { told(name, open) }}, changed: changed}
	h.breaker.calm.Store(true)
	return h
}

// obstacle says why a deployment cannot be asked now.
type obstacle struct {
	reason string
	until  time.Time // zero: until something changes
}

const probed = "a probe of it is under way"

// obstacle reports what keeps calls from the deployment, without changing anything.
func (h *health) obstacle(now time.Time, tokens int64) (obstacle, bool) {
	switch left, probing := h.breaker.left(now); {
	case left > 0:
		return obstacle{"its breaker is open after failures in a row", now.Add(left)}, true
	case probing:
		return obstacle{reason: probed}, true
	}
	if until := h.cooled.Load(); until > int64(now.Sub(h.born)) {
		return obstacle{"it asked to be left alone", h.born.Add(time.Duration(until))}, true
	}
	return h.quota.obstacle(now, tokens)
}

// begin takes leave to ask the deployment; false where its breaker has none to give.
func (h *health) begin(now time.Time, tokens int64) (turn int, ok bool) {
	if turn, ok = h.breaker.begin(now); ok {
		h.inflight.Add(1)
		h.quota.take(tokens)
	}
	return turn, ok
}

// end gives the leave back with what was learnt.
func (h *health) end(turn int, v verdict) {
	h.inflight.Add(-1)
	h.breaker.end(turn, v)
	h.changed()
}

// cool leaves the deployment alone until a time.
func (h *health) cool(until time.Time) {
	for end := int64(until.Sub(h.born)); ; {
		was := h.cooled.Load()
		if end <= was || h.cooled.CompareAndSwap(was, end) {
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
	Limit int64         // when nothing is used; 0 where that was not said
	Reset time.Duration // until nothing is used
}

// quota remembers what was said last, and counts down from it, so that calls slow down before the provider refuses.
type quota struct {
	said             atomic.Bool // something, ever
	mu               sync.Mutex
	requests, tokens window
}

// window is one limit: what was left at a time, and comes back evenly until nothing is used, after which nothing is
// known.
type window struct {
	left, limit float64
	at, until   time.Time
}

// longestReset bounds what is believed of a provider's word.
const longestReset = 5 * time.Minute

func (q *quota) learn(now time.Time, said Quota) {
	if !said.Requests.Known && !said.Tokens.Known {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.said.Store(true)
	q.requests.learn(now, said.Requests)
	q.tokens.learn(now, said.Tokens)
}

func (w *window) learn(now time.Time, said Left) {
	if said.Known {
		left := float64(max(0, said.Left))
		*w = window{left, max(left, float64(said.Limit)), now, now.Add(max(0, min(said.Reset, longestReset)))}
	}
}

// advance brings the window to now and reports whether anything is known of it.
func (w *window) advance(now time.Time) bool {
	if !now.Before(w.until) {
		return false
	}
	if past := now.Sub(w.at); past > 0 {
		w.left += (w.limit - w.left) * float64(past) / float64(w.until.Sub(w.at))
		w.at = now
	}
	return true
}

// lacks reports whether n are not left, and when they will be; of more than are ever left, all are waited for.
func (w *window) lacks(now time.Time, n int64) (until time.Time, lacks bool) {
	if !w.advance(now) || w.left >= float64(n) {
		return time.Time{}, false
	}
	share := 1.0
	if missing := float64(n) - w.left; w.limit > w.left {
		share = min(1, missing/(w.limit-w.left))
	}
	wait := time.Duration(share * float64(w.until.Sub(now)))
	return now.Add(wait + time.Millisecond), true
}

func (q *quota) take(tokens int64) {
	if !q.said.Load() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.requests.left--
	q.tokens.left -= float64(tokens)
}

// obstacle leaves a call through that asks for more tokens than can ever be left, once nothing is used.
func (q *quota) obstacle(now time.Time, tokens int64) (obstacle, bool) {
	if !q.said.Load() {
		return obstacle{}, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if until, lacks := q.requests.lacks(now, 1); lacks {
		return obstacle{"its provider's limit of requests is used up", until}, true
	}
	if until, lacks := q.tokens.lacks(now, tokens); lacks {
		return obstacle{"its provider's limit of tokens is used up", until}, true
	}
	return obstacle{}, false
}
