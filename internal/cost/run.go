package cost

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
)

const (
	wantedEvery = 200 * time.Millisecond // to look whether others want what is idle here
	pollEvery   = 2 * time.Second
	sweepEvery  = 10 * time.Second
	beatEvery   = 30 * time.Second
	cleanEvery  = time.Hour
	idleAfter   = time.Minute // an account without calls is forgotten, and its money given back
	polledFor   = 10 * time.Second
	sweepAtOnce = 2000
	unseenAfter = 5 * time.Minute      // a budget that no process knew of for so long may have missed calls
	keepPeriods = 400 * 24 * time.Hour // of accounts and alerts
	lastReturn  = 5 * time.Second      // for what is idle, at the end
	deadAfter   = 2 * time.Minute      // a lease that is not seen for so long is of a dead process
	onePoll     = 1500 * time.Millisecond
)

// Run keeps what is known of the accounts fresh, gives back what others want and what is not used, tells alerts that
// were left untold, and clears old periods away, until ctx ends.
func (b *Budgets) Run(ctx context.Context) error {
	b.mu.Lock()
	for _, r := range b.plan.Load().rules {
		b.meet(r, false)
	}
	b.mu.Unlock()
	var jobs = []struct {
		every time.Duration
		name  string
		run   func(context.Context) error
		next  time.Time
	}{
		{every: wantedEvery, name: "look for what others want", run: b.lookForWanted},
		{every: pollEvery, name: "read the accounts", run: b.poll},
		{every: sweepEvery, name: "give back what is idle", run: b.sweep},
		{every: beatEvery, name: "keep the leases alive", run: b.beat},
		{every: tellAgain, name: "tell alerts", run: b.tellWaiting},
		{every: cleanEvery, name: "delete old periods", run: b.clean},
	}
	tick := time.NewTicker(wantedEvery)
	defer tick.Stop()
	failed := map[string]bool{}
	for {
		early := false
		select {
		case <-ctx.Done():
			return nil
		case <-b.pollNow:
			early = true
		case <-tick.C:
		}
		now := time.Now()
		for i := range jobs {
			j := &jobs[i]
			if now.Before(j.next) && !(early && j.every == pollEvery) {
				continue
			}
			j.next = now.Add(j.every)
			within, cancel := context.WithTimeout(ctx, max(j.every, askTime))
			err := j.run(within)
			cancel()
			if err != nil && ctx.Err() == nil && !failed[j.name] {
				b.log.Warn("the budgets could not be looked after; it is tried again", "what", j.name, "error", err)
			}
			failed[j.name] = err != nil
		}
	}
}

// lookForWanted gives back idle money of accounts that other processes cannot get enough of.
func (b *Budgets) lookForWanted(ctx context.Context) error {
	idle := false
	b.mu.Lock()
	for _, a := range b.accounts {
		if idle = len(a.queue) == 0 && a.free() > 0; idle {
			break
		}
	}
	b.mu.Unlock()
	if !idle {
		return nil
	}
	rows, err := b.db.Query(ctx, "SELECT account, period, wanted_at FROM budget_accounts WHERE wanted_at > ? AND wanted_by <> ?", time.Now().Add(-wantedFor).UnixMicro(), b.lease)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at place
		var wanted int64
		if err := rows.Scan(&at.account, &at.start, &wanted); err != nil {
			return err
		}
		b.mu.Lock()
		if a := b.byName[at]; a != nil {
			a.wantedAt = wanted
			b.yield(a, b.micros())
		}
		b.mu.Unlock()
	}
	return rows.Err()
}

// poll reads the accounts that calls touched lately.
func (b *Budgets) poll(ctx context.Context) error {
	type reading struct {
		account *account
		epoch   uint64
	}
	now := b.micros()
	readings, names := map[place]reading{}, []string{}
	b.mu.Lock()
	looked := 0
	for at, a := range b.byName {
		if looked++; looked > 10*sweepAtOnce {
			break // the others another time: the order is another each time
		}
		if now-a.used < polledFor.Microseconds() && !a.ask.busy {
			readings[at] = reading{a, a.epoch}
			names = append(names, a.name)
		}
		if len(names) == sweepAtOnce {
			break
		}
	}
	b.mu.Unlock()
	for len(names) > 0 {
		chunk := names[:min(len(names), 200)]
		names = names[len(chunk):]
		found, err := b.read(ctx, chunk)
		if err != nil {
			return err
		}
		now := b.micros()
		b.mu.Lock()
		for at, s := range found {
			if r, ok := readings[at]; ok && r.account.epoch == r.epoch && !r.account.ask.busy {
				r.account.learn(s, now)
				b.after(r.account, now)
			}
		}
		b.mu.Unlock()
	}
	return nil
}

// read reads accounts with this process's leases, as of one moment.
func (b *Budgets) read(ctx context.Context, names []string) (map[place]seen, error) {
	args := append([]any{b.lease, b.lease, b.lease}, db.Args(names)...)
	rows, err := b.db.Query(ctx, `SELECT a.account, a.period, a.spent, CASE WHEN a.wanted_by = ? THEN 0 ELSE a.wanted_at END,
		CAST(COALESCE((SELECT SUM(o.amount) FROM budget_leases o WHERE o.account = a.account AND o.period = a.period AND o.lease <> ?), 0) AS BIGINT),
		COALESCE(m.version, 0), COALESCE(m.amount, 0), COALESCE(m.posted, 0)
		FROM budget_accounts a LEFT JOIN budget_leases m ON m.account = a.account AND m.period = a.period AND m.lease = ?
		WHERE a.account IN (`+db.Marks(len(names))+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[place]seen{}
	for rows.Next() {
		var at place
		var s seen
		if err := rows.Scan(&at.account, &at.start, &s.spent, &s.wantedAt, &s.others, &s.version, &s.amount, &s.posted); err != nil {
			return nil, err
		}
		s.lease = s.version > 0
		found[at] = s
	}
	return found, rows.Err()
}

// sweep gives back the money of accounts without calls, and forgets them.
func (b *Budgets) sweep(ctx context.Context) error {
	now, looked := b.micros(), 0
	var empty []*account
	b.mu.Lock()
	for _, a := range b.accounts {
		if looked++; looked > sweepAtOnce {
			break
		}
		if now-a.used < idleAfter.Microseconds() || !a.idle() {
			continue
		}
		switch {
		case a.granted != 0 || a.moving != 0:
			a.ask.pool, a.ask.give, a.ask.retry = true, true, 0
			b.askFor(a, now)
		case a.version == 0:
			b.forget(a)
		default:
			a.ask.busy = true
			empty = append(empty, a)
		}
	}
	b.mu.Unlock()
	return b.drop(ctx, empty)
}

// drop deletes leases with nothing in them, and forgets their accounts.
func (b *Budgets) drop(ctx context.Context, empty []*account) error {
	if len(empty) == 0 {
		return nil
	}
	err := b.db.Tx(ctx, func(tx *db.Tx) error {
		for _, a := range empty {
			if _, err := tx.Exec(ctx, "DELETE FROM budget_leases WHERE account = ? AND period = ? AND lease = ? AND amount = 0", a.name, a.span.start, b.lease); err != nil {
				return err
			}
		}
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.micros()
	for _, a := range empty {
		a.ask.busy = false
		if err == nil && a.idle() && a.granted == 0 && now-a.used >= idleAfter.Microseconds() {
			b.forget(a)
		}
		b.after(a, now)
	}
	return err
}

// beat says that this process lives, and which budgets it knows.
func (b *Budgets) beat(ctx context.Context) error {
	now := time.Now().UnixMicro()
	if _, err := b.db.Exec(ctx, "UPDATE budget_leases SET seen_at = ? WHERE lease = ?", now, b.lease); err != nil {
		return err
	}
	for _, r := range b.plan.Load().rules {
		if err := b.db.Tx(ctx, func(tx *db.Tx) error { return setMoment(ctx, tx, r.seenSetting(), now) }); err != nil {
			return err
		}
	}
	return nil
}

// clean deletes what is of periods that ended long ago.
func (b *Budgets) clean(ctx context.Context) error {
	before := time.Now().Add(-keepPeriods).UnixMicro()
	for _, query := range []string{
		"DELETE FROM budget_accounts WHERE (account, period) IN (SELECT account, period FROM budget_accounts WHERE ends_at < ? LIMIT ?)",
		"DELETE FROM budget_leases WHERE (account, period, lease) IN (SELECT account, period, lease FROM budget_leases WHERE period < ? LIMIT ?)",
		"DELETE FROM budget_alerts WHERE (account, period, percent) IN (SELECT account, period, percent FROM budget_alerts WHERE period < ? LIMIT ?)",
	} {
		for n := int64(1000); n == 1000; {
			var err error
			if n, err = b.db.Exec(ctx, query, before, 1000); err != nil {
				return fmt.Errorf("delete old periods of budgets: %w", err)
			}
		}
	}
	return nil
}

// Close gives back what is idle. Call it when the call log's drain has ended: what that did not bring in stays held, for
// the next start.
func (b *Budgets) Close() error {
	b.mu.Lock()
	b.stop()
	b.mu.Unlock()
	b.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), lastReturn)
	defer cancel()
	b.mu.Lock()
	var batch []*request
	for _, a := range b.accounts {
		a.ask.wanted = false
		if a.granted != 0 || a.moving != 0 || a.doubt {
			a.ask.pool, a.ask.give = true, true
			batch = append(batch, b.request(a))
		}
	}
	b.asks = nil
	b.mu.Unlock()
	sortRequests(batch)
	for len(batch) > 0 {
		n := min(len(batch), askAtOnce)
		if err := b.touch(ctx, batch[:n]); err != nil {
			b.log.Warn("money that was leased is not given back; it stays held until this process starts again", "error", err)
			return nil
		}
		batch = batch[n:]
	}
	if _, err := b.db.Exec(ctx, "DELETE FROM budget_leases WHERE lease = ? AND amount = 0", b.lease); err != nil {
		b.log.Warn("empty leases are left behind", "error", err)
	}
	return nil
}
