package cost

import (
	"context"
	"time"

	"airfield/internal/db"
)

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
