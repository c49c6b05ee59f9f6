package limit

// Taken is what one call took. It is safe for use by several goroutines, and for none at all: the methods of nil do
// nothing.
type Taken struct {
	memory   *Memory
	tokens   int64 // as corrected
	released bool
	holds    []hold
	few      [4]hold // where holds are while they are few
	shared   *grip   // what was taken in Redis too; nil if nothing was
}

// hold is what was taken from one entry.
type hold struct {
	entry  *entry
	place  int32 // of the slot; -1: none
	turn   uint32
	top    float64 // how full the bucket of tokens was with ours on top
	topped int64   // and when
}

func (e *entry) take(tokens, now, deadline int64) hold {
	h := hold{entry: e, place: -1}
	if e.rate.RequestsPerMinute > 0 {
		e.requests++
	}
	if e.rate.TokensPerMinute > 0 {
		e.tokens += float64(tokens)
		h.top, h.topped = e.tokens, now
	}
	if e.rate.Parallel > 0 {
		h.place, h.turn = e.occupy(deadline)
	}
	return h
}

// Correct says how many tokens the call really used. What was reserved beyond them is given back, as far as time has not
// given it back already; what was used beyond the reservation is taken, into debt if need be. It never fails.
func (t *Taken) Correct(tokens int64) { t.settle(tokens, true, false) }

// correct reports whether tokens came free. A bucket drains from below: of what a call put on top of it, that much is
// still there as has not drained since, and no more can be given back, or others' use would be forgotten.
func (h *hold) correct(m *Memory, reserved, tokens, now int64) (freed bool) {
	e := h.entry
	if reserved == tokens || e.rate.TokensPerMinute == 0 {
		return false
	}
	if e.dropped {
		e = m.entry(e.name, e.rate, now)
		h.entry, h.place, h.top = e, -1, 0
	} else {
		e.advance(now)
	}
	if tokens > reserved {
		e.tokens += float64(tokens - reserved)
		h.top, h.topped = e.tokens, now
		return false
	}
	still := min(float64(reserved), drained(h.top, e.rate.TokensPerMinute, now-h.topped))
	back := min(float64(reserved-tokens), still)
	e.tokens = max(0, e.tokens-back)
	h.top -= back
	return back > 0
}

// Release gives the slot back.
func (t *Taken) Release() { t.settle(0, false, true) }

// End is Correct and Release at once, which is what most calls need.
func (t *Taken) End(tokens int64) { t.settle(tokens, true, true) }

func (t *Taken) settle(tokens int64, correct, release bool) {
	if t == nil {
		return
	}
	m := t.memory
	m.mu.Lock()
	reserved, freed := t.tokens, false
	if correct {
		t.tokens = max(0, tokens)
	}
	tokens = t.tokens
	if reserved != tokens {
		now := m.now()
		for i := range t.holds {
			freed = t.holds[i].correct(m, reserved, tokens, now) || freed
		}
	}
	first := release && !t.released
	if first {
		t.released = true
		freed = t.vacate() || freed
	}
	m.mu.Unlock()
	if reserved != tokens && t.shared != nil {
		freed = t.shared.correct(reserved, tokens) || freed
	}
	if first && t.shared != nil {
		t.shared.release()
	}
	if freed {
		m.bell.ring()
	}
}

// vacate needs the limiter's lock. It gives the slots back and reports whether there were any.
func (t *Taken) vacate() (freed bool) {
	for i := range t.holds {
		h := &t.holds[i]
		if h.place >= 0 {
			if s := &h.entry.slots[h.place]; s.deadline != 0 && s.turn == h.turn {
				h.entry.vacate(h.place)
				freed = true
			}
		}
	}
	return freed
}
