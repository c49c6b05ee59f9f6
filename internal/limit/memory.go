package limit

import (
	"context"
	"sync"
	"time"
)

// Memory limits what one process does.
type Memory struct {
	bell bell
	now  func() int64 // nanoseconds on a clock that nobody sets

	mu      sync.Mutex
	entries map[string]*entry
	sweep   int64 // when the idle are next looked for
}

// sweepEvery is how often names that are not in use are dropped. An empty bucket is like one never used.
const sweepEvery = int64(time.Minute)

// NewMemory returns a limiter under which nothing is used yet.
func NewMemory() *Memory {
	start := time.Now()
	return &Memory{now: func() int64 { return int64(time.Since(start)) }, entries: map[string]*entry{}, sweep: sweepEvery}
}

// OnRelease lets fn know whenever a slot or tokens may have come free.
func (m *Memory) OnRelease(fn func()) { m.bell.add(fn) }

// Take takes from every ask, or says what had no room.
func (m *Memory) Take(ctx context.Context, asks []Ask, tokens int64, slot time.Duration) (*Taken, *Full, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	t, full := m.take(asks, max(0, tokens), slot, false)
	return t, full, nil
}

// take takes; force takes whether there is room or not.
func (m *Memory) take(asks []Ask, tokens int64, slot time.Duration, force bool) (*Taken, *Full) {
	if !force {
		if full := never(asks, tokens); full != nil {
			return nil, full
		}
	}
	if slot <= 0 {
		slot = longest
	}
	var room [8]*entry
	found := room[:0]
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.dropIdle(now)
	var worst lack
	var short *entry
	for i := range asks {
		if !counts(asks, i) {
			continue
		}
		e := m.entry(asks[i].Name, asks[i].Rate, now)
		found = append(found, e)
		if force {
			continue
		}
		if l, any := e.lacks(tokens, now); any && (short == nil || l.wait > worst.wait) {
			worst, short = l, e
		}
	}
	if short != nil {
		return nil, m.full(short, worst, now)
	}
	t := &Taken{memory: m, tokens: tokens}
	t.holds = t.few[:0]
	for _, e := range found {
		t.holds = append(t.holds, e.take(tokens, now, now+int64(slot)))
	}
	return t, nil
}

// full turns a lack into words, and sees to it that who waits for a slot that is never released is woken.
func (m *Memory) full(e *entry, l lack, now int64) *Full {
	f := &Full{Name: e.name, Unit: l.unit, Limit: l.limit, Used: l.used, Asked: l.asked}
	if l.wait > 0 {
		f.Free = time.Now().Add(l.wait)
	} else {
		m.bell.ringIn(time.Duration(e.earliest - now))
	}
	return f
}

// entry is what is used under a name, brought to now and to the newest rate.
func (m *Memory) entry(name string, rate Rate, now int64) *entry {
	e := m.entries[name]
	if e == nil {
		e = &entry{name: name, rate: rate, at: now}
		m.entries[name] = e
		return e
	}
	e.advance(now)
	if e.rate != rate {
		e.change(rate)
	}
	return e
}

func (m *Memory) dropIdle(now int64) {
	if now < m.sweep && m.sweep <= now+sweepEvery {
		return
	}
	m.sweep = now + sweepEvery
	for name, e := range m.entries {
		e.advance(now)
		if e.expire(now); e.atRest() {
			e.dropped = true
			delete(m.entries, name)
		}
	}
}

// State reports what is used of each ask now.
func (m *Memory) State(ctx context.Context, asks []Ask) ([]Use, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	uses := make([]Use, len(asks))
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for i, ask := range asks {
		uses[i].Ask = ask
		if e := m.entries[ask.Name]; e != nil {
			e.advance(now)
			e.expire(now)
			uses[i].Requests, uses[i].Tokens, uses[i].Parallel = whole(e.requests), whole(e.tokens), e.held()
		}
	}
	return uses, nil
}
