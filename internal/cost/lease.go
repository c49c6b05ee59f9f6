package cost

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"airfield/internal/db"
)

const (
	askTime    = 2 * time.Second        // for one transaction
	askAtOnce  = 64                     // accounts in one
	retryFirst = 25 * time.Millisecond  // after an account had not enough
	retryLast  = 100 * time.Millisecond // and when that goes on
	retryFreed = 5 * time.Millisecond   // when calls of this process have freed some since
	aheadPause = 50 * time.Millisecond  // between two questions ahead of need
	wantedFor  = 5 * time.Second        // that an account counts as wanted
)

// askFor has the database asked for an account: for those who wait, or ahead of need, or to give back. It needs mu.
func (b *Budgets) askFor(a *account, now int64) {
	if a.ask.wanted || b.ctx.Err() != nil || !a.rule.hard && a.granted == 0 && !a.doubt {
		return
	}
	a.ask.wanted = true
	b.asks = append(b.asks, a)
	if !b.leasing {
		b.leasing = true
		b.work.Go(b.leaseAll)
		return
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// leaseAll asks until nothing is left to ask. One transaction runs at a time, for every account that is due: calls that
// wait at once share it.
func (b *Budgets) leaseAll() {
	for {
		now := b.micros()
		b.mu.Lock()
		batch, next := b.due(now)
		if len(b.asks) == 0 && len(batch) == 0 || b.ctx.Err() != nil {
			b.leasing = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		if len(batch) > 0 {
			b.touch(b.ctx, batch)
			continue
		}
		timer := time.NewTimer(time.Duration(next-now) * time.Microsecond)
		select {
		case <-timer.C:
		case <-b.wake:
		case <-b.ctx.Done():
		}
		timer.Stop()
	}
}

// request is what is asked for one account.
type request struct {
	account *account
	rule    *rule
	needs   []int64 // of those who wait, in their order
	free    int64   // that is not put in
	give    bool    // only to give back
	pool    bool    // what is idle is put in, and only used is kept: held and consumed, as of now
	used    int64   // held for calls in flight and consumed in all
	want    int64   // free money that would be good to have
	version int64
	posted  int64

	// the answer
	seen   seen
	served int
}

// due takes the accounts whose time has come, in the order in which they are locked. It needs mu.
func (b *Budgets) due(now int64) (batch []*request, next int64) {
	next = now + time.Second.Microseconds()
	var later []*account
	for _, a := range b.asks {
		at := a.due()
		if at > now || a.ask.busy || len(batch) == askAtOnce {
			next = min(next, max(at, now+1000))
			later = append(later, a)
			continue
		}
		batch = append(batch, b.request(a))
	}
	b.asks = later
	sortRequests(batch)
	return batch, next
}

func sortRequests(batch []*request) {
	slices.SortFunc(batch, func(x, y *request) int {
		return cmp.Or(cmp.Compare(x.account.name, y.account.name), cmp.Compare(x.account.span.start, y.account.span.start))
	})
}

// request needs mu.
func (b *Budgets) request(a *account) *request {
	q := &request{account: a, rule: a.rule, version: a.version, posted: a.posted, want: a.want()}
	for _, w := range a.queue {
		q.needs = append(q.needs, w.need())
	}
	q.free = max(0, a.free())
	if q.give = a.ask.give; q.give || !a.rule.hard {
		q.want = 0
	}
	if a.ask.pool || a.moving > 0 {
		q.pool, q.free = true, 0
		a.moving += max(0, a.free())
		q.used = a.held + a.consumed - a.loose
	}
	a.ask.wanted, a.ask.busy, a.ask.pool, a.ask.give = false, true, false, false // what is set from now on is for the next time
	return q
}

// touch asks for a batch of accounts in one transaction, and hands out what it got.
func (b *Budgets) touch(ctx context.Context, batch []*request) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, errors.New("the database took too long to lease money"))
	defer cancel()
	err := b.inTx(ctx, func(tx *db.Tx) error {
		for _, q := range batch {
			if err := q.ask(ctx, tx, b.lease); err != nil {
				return err
			}
		}
		return nil
	})
	now := b.micros()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered(err, now)
	for _, q := range batch {
		q.account.ask.busy = false
		if err != nil {
			b.refused(q, now)
		} else {
			b.granted(q, now)
		}
	}
	return err
}

// ask decides, with the account locked, what this process may hold of it.
func (q *request) ask(ctx context.Context, tx *db.Tx, lease string) error {
	a, r := q.account, q.rule
	account, _, err := lockAccount(ctx, tx, r, a.whose, a.span)
	if err != nil {
		return err
	}
	s, err := readLeases(ctx, tx, a.name, a.span.start, lease)
	if err != nil {
		return err
	}
	if !s.lease {
		s.posted = q.posted
	}
	keep := s.amount
	if q.pool {
		keep = max(0, q.used-s.posted)
	}
	wall := time.Now().UnixMicro()
	recent := account.wantedAt > wall-wantedFor.Microseconds()
	wanted := recent && account.wantedBy != lease
	available := max(0, r.limit-account.spent-s.others-keep)
	take, left := int64(0), q.free
	for q.served = 0; q.served < len(q.needs); q.served++ {
		more := max(0, q.needs[q.served]-left)
		if take+more > available {
			break
		}
		take, left = take+more, left+more-q.needs[q.served]
	}
	starved := q.served < len(q.needs)
	switch {
	case wanted:
	case starved:
		take = available // nobody else wants what is left, and calls in flight may free the rest
	default:
		take += max(0, min(q.want-left, (available-take)/portionOf))
	}
	if starved || account.wantedAt > 0 && !recent {
		account.wantedAt, account.wantedBy = 0, ""
		if starved {
			account.wantedAt, account.wantedBy = wall, lease
		}
		if _, err := tx.Exec(ctx, "UPDATE budget_accounts SET wanted_at = ?, wanted_by = ?, limit_amount = ?, updated_at = ? WHERE account = ? AND period = ?",
			account.wantedAt, account.wantedBy, r.limit, wall, a.name, a.span.start); err != nil {
			return err
		}
	}
	s.spent, s.wantedAt = account.spent, 0
	if wanted {
		s.wantedAt = account.wantedAt
	}
	if amount := keep + take; !s.lease || amount != s.amount {
		s.amount, s.version, s.lease = amount, max(s.version, q.version)+1, true
		if err := writeLease(ctx, tx, a.name, a.span.start, lease, s); err != nil {
			return err
		}
	}
	q.seen = s
	return nil
}

// granted needs mu. It takes over an answer.
func (b *Budgets) granted(q *request, now int64) {
	a := q.account
	if q.pool {
		a.moving = 0
	}
	a.doubt = false
	a.rate.update(now, a.consumed)
	a.learn(q.seen, now)
	starved := q.served < len(q.needs)
	a.ask.pool = a.ask.pool || starved
	a.ask.ahead = now + aheadPause.Microseconds()
	a.ask.retry = 0
	if starved {
		a.ask.pause = max(retryFirst.Microseconds(), min(a.ask.pause*3/2, retryLast.Microseconds()))
		if q.pool || q.free == 0 {
			a.ask.retry = now + a.ask.pause
		}
	} else {
		a.ask.pause = 0
	}
	free := a.free()
	for _, n := range q.needs {
		free -= n
	}
	a.target = max(0, free)
	b.after(a, now)
}

// hurry has an account asked about sooner, since something has changed. It needs mu.
func (b *Budgets) hurry(a *account, at int64) {
	if a.ask.retry > at {
		a.ask.retry = at
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// yield gives back what is idle of an account that another process could not get enough of, or that holds more than a budget
// that was lowered has. It needs mu.
func (b *Budgets) yield(a *account, now int64) (given bool) {
	wanted := a.spent+a.others+a.granted > a.rule.limit || a.wantedAt > 0 && a.wantedAt > time.Now().Add(-wantedFor).UnixMicro()
	if !wanted || len(a.queue) > 0 || a.free() <= 0 {
		return false
	}
	a.ask.pool, a.ask.give, a.ask.retry = true, true, 0
	b.askFor(a, now)
	return true
}

// refused needs mu. The database did not answer, and may have done it: what was offered back stays aside, and it is asked
// again until it says what it knows.
func (b *Budgets) refused(q *request, now int64) {
	a := q.account
	a.ask.pause = max(100_000, min(2*a.ask.pause, 1_000_000))
	a.ask.retry, a.ask.ahead = now+a.ask.pause, now+a.ask.pause
	a.doubt = true
	a.ask.pool, a.ask.give = a.ask.pool || q.pool, a.ask.give || q.give || len(a.queue) == 0
	b.askFor(a, now)
}

// answered needs mu. It notes whether the database answers.
func (b *Budgets) answered(err error, now int64) {
	switch {
	case err == nil:
		b.failing, b.failingSince = nil, 0
	case b.failingSince == 0:
		b.failing, b.failingSince = err, now
		if b.ctx.Err() == nil {
			b.log.Warn("no money can be leased from the database; calls go on with what is leased", "error", err)
		}
	default:
		b.failing = err
	}
}
