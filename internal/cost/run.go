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

// beat says that this process lives, and which budgets it knows.
func (b *Budgets) beat(ctx context.Context) error {
	now := time.Now().UnixMicro()
	b.mu.Lock()
	idle := len(b.accounts) == 0
	b.mu.Unlock()
	if idle && len(b.plan.Load().rules) == 0 {
		return nil
	}
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
