package cost

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"airfield/internal/db"
)

// Since when every process has known a budget without a break is kept in settings: an account that is made later is of
// somebody who has made no call in a period that began later, and needs no sum of the ledger.

func (r *rule) seenSetting() string  { return "budget.seen." + r.name + "/" + r.tag }
func (r *rule) sinceSetting() string { return "budget.since." + r.name + "/" + r.tag }

// moment reads a time from settings; 0 where there is none.
func moment(ctx context.Context, q db.Querier, name string) (int64, error) {
	var text string
	err := q.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?", name).Scan(&text)
	if db.IsNone(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n, nil
}

func setMoment(ctx context.Context, tx *db.Tx, name string, at int64) error {
	_, err := tx.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, strconv.FormatInt(at, 10))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func knownSince(ctx context.Context, q db.Querier, r *rule) (int64, error) {
	return moment(ctx, q, r.sinceSetting())
}

// meet notes that this process knows a budget from now on. Where nobody knew it lately, or this process did not, calls may
// have passed it by: its accounts are then summed anew at their next touch. It needs mu.
func (b *Budgets) meet(r *rule, anew bool) {
	b.background(func() {
		for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
			err := b.db.Tx(ctx, func(tx *db.Tx) error { return r.meet(ctx, tx, anew) })
			cancel()
			if err == nil {
				return
			}
			select {
			case <-b.ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	})
}

func (r *rule) meet(ctx context.Context, tx *db.Tx, anew bool) error {
	now := time.Now()
	seen, err := moment(ctx, tx, r.seenSetting())
	if err != nil {
		return err
	}
	if anew || seen < now.Add(-unseenAfter).UnixMicro() {
		// Others may need a moment to take over the configuration.
		if err := setMoment(ctx, tx, r.sinceSetting(), now.Add(verifyAfter).UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE budget_accounts SET verify_at = ? WHERE ends_at > ? AND substr(account, 1, ?) = ? AND substr(account, length(account) - ?) = ?",
			distrusted, now.UnixMicro(), len(r.name)+1, r.name+"/", len(r.tag), "/"+r.tag); err != nil {
			return fmt.Errorf("have the accounts of the budget %s summed anew: %w", r.name, err)
		}
	}
	return setMoment(ctx, tx, r.seenSetting(), now.UnixMicro())
}
