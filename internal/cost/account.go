package cost

import (
	"time"

	"airfield/internal/llm"
)

// account is what this process knows of one spender's budget in one period. Budgets.mu guards it.
//
// What the process may still promise is free(): the money it leased, without what is held for calls in flight, without
// what calls have used and the database has not been told yet (the drain tells it, in the transaction of the log), and
// without what is on its way back.
type account struct {
	rule  *rule // as configured now
	name  string
	whose string
	span  span

	// The lease as the database had it at version, which rises with every change: what is left, and what was posted of it
	// in all. A commit whose answer was lost is made good by the next that is answered.
	granted, posted, version int64

	moving   int64 // of granted, offered back in a transaction whose end is not known
	doubt    bool  // there was such a transaction, with or without
	held     int64 // for calls in flight
	consumed int64 // by calls that have ended, in all
	loose    int64 // of it, posted without a lease: while the budget was soft

	known    bool   // the database was asked once
	seen     int64  // when it last answered, in microseconds
	epoch    uint64 // rises with every answer
	spent    int64  // then, by everybody
	others   int64  // held then by other processes
	wantedAt int64

	queue   []*waiter
	ask     asking
	bound   int64 // of the last call
	target  int64 // of free money, from the last answer
	rate    rate
	used    int64 // when a call last touched it, in microseconds
	flying  int64 // calls in flight
	mean    float64
	economy *llm.Decision
	judged  int64 // when economy was decided

	refusing bool // that it refuses was told
}

// asking says what is to be asked of the database for an account.
type asking struct {
	wanted bool
	busy   bool  // in a transaction now
	ahead  int64 // not before, where nobody waits
	retry  int64 // not before, where somebody does
	pause  int64 // before the next retry
	pool   bool  // put what is idle together with what others gave back
	give   bool  // give back what is idle, and do not ask for more
}

// due is when to ask.
func (a *account) due() int64 {
	if len(a.queue) > 0 || a.ask.give {
		return a.ask.retry
	}
	return a.ask.ahead
}

func (a *account) unposted() int64 { return a.consumed - a.posted - a.loose }

func (a *account) free() int64 { return a.granted - a.moving - a.held - a.unposted() }

// spentKnown is what is certainly used up.
func (a *account) spentKnown() int64 { return a.spent + a.unposted() }

// fits reports whether an amount can be held now.
func (a *account) fits(need int64) bool {
	return need <= a.free() && need+a.held+a.spentKnown() <= a.rule.limit
}

// hopeless reports whether an amount can never be held in this period, whatever becomes of the calls in flight.
func (a *account) hopeless(need int64) bool { return need > a.rule.limit-a.spentKnown() }

// roomy reports whether the budget has room for an amount, as far as is known: only a lease is missing.
func (a *account) roomy(need int64) bool { return need <= a.rule.limit-a.spentKnown()-a.held-a.others }

// heldNow is what calls in flight keep from others, as far as is known.
func (a *account) heldNow() int64 { return max(0, min(a.held+a.others, a.rule.limit-a.spentKnown())) }

func (a *account) idle() bool {
	return a.held == 0 && a.flying == 0 && len(a.queue) == 0 && a.unposted() == 0 && !a.ask.busy && !a.ask.wanted && !a.doubt
}

// learn takes over what a row of the database says of this process's lease, unless something newer is known.
func (a *account) learn(s seen, now int64) {
	if !a.known && s.lease {
		a.consumed += s.posted // of an account that was forgotten and is back
	}
	switch {
	case !s.lease:
		a.granted = 0 // written off, or given back
		a.spent, a.others, a.wantedAt = s.spent, s.others, s.wantedAt
	case s.version >= a.version:
		a.granted, a.posted, a.version = s.amount, s.posted, s.version
		a.spent, a.others, a.wantedAt = s.spent, s.others, s.wantedAt
	}
	a.known, a.seen = true, now
	a.epoch++
}

// seen is an account in the database, with this process's lease of it.
type seen struct {
	spent, others, wantedAt int64
	lease                   bool // there is one
	amount, posted, version int64
}

// rate is what an account uses, in units a second, over the last minute or so.
type rate struct {
	value    float64
	at       int64
	consumed int64
}

// update takes a reading of the sum of everything used.
func (r *rate) update(now, consumed int64) {
	took := float64(now-r.at) / 1e6
	if r.at == 0 || took < 0 {
		r.at, r.consumed = now, consumed
		return
	}
	if took < 1 {
		return
	}
	got := float64(consumed-r.consumed) / took
	weight := min(1, took/10)
	if r.value == 0 {
		weight = 1 // a process that has just begun would otherwise lease for moments
	}
	r.value += (got - r.value) * weight
	r.at, r.consumed = now, consumed
}

const (
	portionFor = 120 // seconds that a portion lasts; at half of them there is another, so that a minute without a database is bridged
	portionOf  = 8   // the part of what is available that a portion is at the most
)

// want is how much free money would be good to have.
func (a *account) want() int64 {
	return max(int64(min(a.rate.value*portionFor, 1<<60)), a.held+16*a.bound)
}

// low reports whether to ask for more before it is needed.
func (a *account) low(now int64) bool {
	return a.rule.hard && a.known && a.free() < a.target/2 && now >= a.ask.ahead
}

// settled learns what a call of this account uses, for those in flight.
func (a *account) settled(used int64) {
	if a.mean == 0 {
		a.mean = float64(used)
	}
	a.mean += (float64(used) - a.mean) / 16
}

// expected is what a soft budget counts with: what is known to be spent, and an estimate for the calls in flight.
func (a *account) expected() int64 { return a.spentKnown() + int64(a.mean*float64(a.flying)) }

func (a *account) end() time.Time { return time.UnixMicro(a.span.end).In(a.rule.calendar.zone) }
