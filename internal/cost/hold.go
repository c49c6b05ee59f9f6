package cost

import (
	"context"
	"time"

	"airfield/internal/fault"
	"airfield/internal/llm"
)

const inlineAccounts = 4 // of a call, that take no memory of their own

// Hold is money held for a call in flight, in every budget it falls under. It is settled or cancelled exactly once; what
// comes after that does nothing. One goroutine uses it at a time.
type Hold struct {
	budgets *Budgets
	parts   []part
	refs    []llm.Hold
	asked   Amount
	done    bool

	partRoom [inlineAccounts]part
	refRoom  [inlineAccounts]llm.Hold
}

// part is what is held in one account; nothing is held of a soft budget.
type part struct {
	account *account
	hard    bool
	bound   int64
}

// holds reports whether money must be there for the part: the budget may have become soft, or gone, since.
func (p *part) holds() bool { return p.hard && p.account.rule.hard }

// nothing is the hold of a call that falls under no budget.
var nothing = &Hold{}

// Lease names this process's leases, from which the money is; empty where no budget applies. The call's row must carry it.
func (h *Hold) Lease() string {
	if len(h.parts) == 0 {
		return ""
	}
	return h.budgets.lease
}

// Accounts names the accounts that money is held of; the call's row must carry them from its admission on.
func (h *Hold) Accounts() []llm.Hold { return h.refs }

// Raise holds more for the call, or less: most is its new bound as a whole. It is all or nothing and does not wait: where the
// budget has room but this process has leased too little, the error is Unavailable, and more is on its way.
func (h *Hold) Raise(most Amount) error {
	if len(h.parts) == 0 {
		return nil
	}
	b, now := h.budgets, h.budgets.micros()
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.done {
		return fault.New(fault.Internal, "hold_settled", "the call's hold was settled before")
	}
	var short *account // that could be leased more of
	for i := range h.parts {
		p := &h.parts[i]
		a, need := p.account, most.in(p.account.rule.unit)
		more := need - p.bound
		if !p.holds() || more <= 0 || a.fits(more) {
			continue
		}
		if !a.roomy(more) {
			return b.refusal(a, need, 0, "")
		}
		a.bound = max(a.bound, more)
		b.askFor(a, now)
		short = a
	}
	if short != nil {
		return b.unavailable(short, errLeaseFirst)
	}
	h.asked = most
	for i := range h.parts {
		if p := &h.parts[i]; p.hard {
			more := most.in(p.account.rule.unit) - p.bound
			p.account.held, p.bound = p.account.held+more, p.bound+more
			b.after(p.account, now)
		}
	}
	return nil
}

// Settle books what the call used, and frees the rest. The log's row of the call must say the same.
func (h *Hold) Settle(used Amount) { h.end(used, true) }

// Cancel frees everything: the call used nothing.
func (h *Hold) Cancel() { h.end(Amount{}, false) }

func (h *Hold) end(used Amount, settled bool) {
	if len(h.parts) == 0 {
		return
	}
	b, now := h.budgets, h.budgets.micros()
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.done {
		return
	}
	h.done = true
	for i := range h.parts {
		p := &h.parts[i]
		a := p.account
		a.held -= p.bound
		a.flying--
		n := used.in(a.rule.unit)
		a.consumed += n
		a.used = now
		if settled {
			a.settled(n)
		}
	}
	for i := range h.parts {
		a := h.parts[i].account
		b.after(a, now)
		if len(a.queue) > 0 {
			b.hurry(a, now+retryFreed.Microseconds())
		}
	}
}

// Reserve holds the most that a call can cost in every budget it falls under, or waits until it can, as long as ctx
// allows and there is hope. A budget that is used up is a fault of kind Limited; a database that is away when leased money
// is used up, one of kind Unavailable.
func (b *Budgets) Reserve(ctx context.Context, s llm.Spender, at time.Time, most Amount) (*Hold, error) {
	now := b.micros()
	b.mu.Lock()
	h := b.newHold(&s, at.UnixMicro(), most, now)
	if h == nothing {
		b.mu.Unlock()
		return nothing, nil
	}
	short := b.take(h, 0, now)
	if short == nil {
		b.mu.Unlock()
		return h, nil
	}
	need := most.in(short.rule.unit)
	switch {
	case short.hopeless(need):
		err := b.refusal(short, need, 0, "")
		b.mu.Unlock()
		return nil, err
	case len(short.queue) >= maxWaiting:
		err := b.refusal(short, need, 0, "many calls wait for it already")
		b.mu.Unlock()
		return nil, err
	case b.failingSince > 0 && now-b.failingSince > awayAfter.Microseconds() && b.away(short, now) != errStay:
		b.askFor(short, now)
		err := b.unavailable(short, nil)
		b.mu.Unlock()
		return nil, err
	}
	b.sequence++
	w := &waiter{hold: h, sequence: b.sequence, since: now, done: make(chan error, 1)}
	b.enqueue(w, short, now)
	b.mu.Unlock()
	return b.wait(ctx, w)
}

// newHold needs mu. The accounts of the spender are found or made.
func (b *Budgets) newHold(s *llm.Spender, at int64, most Amount, now int64) *Hold {
	var h *Hold
	b.plan.Load().match(s, func(r *rule, whose string) {
		if h == nil {
			h = &Hold{budgets: b, asked: most}
			h.parts, h.refs = h.partRoom[:0], h.refRoom[:0]
		}
		a := b.account(r, whose, r.period(at))
		a.used = now
		p := part{account: a, hard: r.hard}
		if r.hard {
			p.bound = most.in(r.unit)
			a.bound = p.bound
			h.refs = append(h.refs, llm.Hold{Account: a.name, Period: time.UnixMicro(a.span.start).UTC()})
		}
		h.parts = append(h.parts, p)
	})
	if h == nil {
		return nothing
	}
	return h
}

// take holds the money if every account has it; otherwise it says which has not. Nobody overtakes those who wait longer:
// sequence is the place of one who waits, 0 is new. It needs mu.
func (b *Budgets) take(h *Hold, sequence uint64, now int64) (short *account) {
	for i := range h.parts {
		p := &h.parts[i]
		if !p.holds() || p.bound == 0 {
			continue
		}
		if q := p.account.queue; len(q) > 0 && (sequence == 0 || q[0].sequence < sequence) {
			return p.account
		}
		if !p.account.fits(p.bound) {
			return p.account
		}
	}
	for i := range h.parts {
		a := h.parts[i].account
		a.held += h.parts[i].bound
		a.flying++
		if a.low(now) {
			b.askFor(a, now)
		}
	}
	return nil
}
