package cost

import (
	"context"

	"airfield/internal/db"
)

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
	leased := false
	for _, a := range b.accounts {
		a.ask.wanted = false
		leased = leased || a.version > 0 || a.doubt
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
	if !leased {
		return nil
	}
	if _, err := b.db.Exec(ctx, "DELETE FROM budget_leases WHERE lease = ? AND amount = 0", b.lease); err != nil {
		b.log.Warn("empty leases are left behind", "error", err)
	}
	return nil
}
