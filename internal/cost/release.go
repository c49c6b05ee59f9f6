package cost

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// ReleaseDead frees what the earlier incarnations of a journal's process still hold. Call it once all calls in that
// journal are in the database: then it is money that no call has used. except is the lease of the living one.
func (b *Budgets) ReleaseDead(ctx context.Context, journalID, except string) (int64, error) {
	n, err := b.db.Exec(ctx, "DELETE FROM budget_leases WHERE substr(lease, 1, ?) = ? AND lease <> ?", len(journalID)+1, journalID+"#", except)
	if err != nil {
		return 0, fmt.Errorf("free what a dead process held: %w", err)
	}
	return n, nil
}

// heldRow is what a lease has of one account.
type heldRow struct {
	place
	scope  string
	unit   string
	end    int64
	amount int64
}

// WriteOff turns what a process holds that will not come back, nor its disk, into estimated spend: entries in the ledger
// of the kind lost, one for each account. A process that was seen lately is refused. note is called in the transaction,
// for the audit log.
func (b *Budgets) WriteOff(ctx context.Context, lease string, note func(tx *db.Tx, w WrittenOff) error) (WrittenOff, error) {
	var out WrittenOff
	err := b.db.Tx(ctx, func(tx *db.Tx) error {
		out = WrittenOff{Lease: lease}
		rows, err := leasesOf(ctx, tx, lease)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, h := range rows {
			if err := h.writeOff(ctx, tx, lease, now); err != nil {
				return err
			}
			out.Accounts++
			if h.unit == unitTokens {
				out.Tokens = max(out.Tokens, h.amount)
			} else {
				out.USD = max(out.USD, money.Nanos(h.amount))
			}
		}
		return note(tx, out)
	})
	return out, err
}

// leasesOf reads what a process that is dead holds, in the order in which accounts are locked.
func leasesOf(ctx context.Context, tx *db.Tx, lease string) (list []heldRow, err error) {
	rows, err := tx.Query(ctx, "SELECT l.account, l.period, a.scope, a.unit, a.ends_at, l.amount, l.seen_at FROM budget_leases l JOIN budget_accounts a ON a.account = l.account AND a.period = l.period WHERE l.lease = ? ORDER BY l.account, l.period"+tx.ForUpdate(), lease)
	if err != nil {
		return nil, fmt.Errorf("read a lease: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var h heldRow
		var at int64
		if err := rows.Scan(&h.account, &h.start, &h.scope, &h.unit, &h.end, &h.amount, &at); err != nil {
			return nil, fmt.Errorf("read a lease: %w", err)
		}
		if ago := time.Since(time.UnixMicro(at)); ago < deadAfter {
			return nil, fault.New(fault.Conflict, "lease_alive", "the process with the lease %s was heard of %s ago", lease, ago.Round(time.Second)).
				Hinted("stop it, and let it end; what it holds goes back by itself. A process that was killed can be written off two minutes later")
		}
		list = append(list, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read a lease: %w", err)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "lease_not_found", "no process holds anything with the lease %q", lease).Hinted("airfield budgets show NAME lists who holds what")
	}
	return list, nil
}

// writeOff moves one account's part from the lease to what is spent, with an entry in the ledger that only this account
// counts: the same money is held in every account that a call falls under, so entries of the kind lost are not added up
// across scopes.
func (h heldRow) writeOff(ctx context.Context, tx *db.Tx, lease string, now time.Time) error {
	if _, err := tx.Exec(ctx, "UPDATE budget_accounts SET spent = spent + ?, updated_at = ? WHERE account = ? AND period = ?", h.amount, now.UnixMicro(), h.account, h.start); err != nil {
		return fmt.Errorf("book what was lost: %w", err)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM budget_leases WHERE account = ? AND period = ? AND lease = ?", h.account, h.start, lease); err != nil {
		return fmt.Errorf("delete a lease: %w", err)
	}
	if h.amount == 0 {
		return nil
	}
	at := min(now.UnixMicro(), h.end-1)
	_, whose, _ := splitAccount(h.account)
	values := map[string]any{
		"id": id.At("lost", time.UnixMicro(at)), "at": at, "kind": "lost", scopeColumns[h.scope]: whose, "deployment": h.account, "priced": 1, "usage_source": string(llm.Estimated),
	}
	if h.unit == unitTokens {
		values["tokens"] = h.amount
	} else {
		values["nanos_usd"] = h.amount
	}
	err := tx.Insert(ctx, "ledger", ledgerColumns, "", 1, func(_ int, args []any) []any {
		for _, c := range ledgerColumns {
			v, given := values[c]
			switch {
			case given:
			case c == "nanos_usd" || c == "tokens":
				v = 0
			default:
				v = ""
			}
			args = append(args, v)
		}
		return args
	})
	if err != nil {
		return fmt.Errorf("post what was lost to the ledger: %w", err)
	}
	return nil
}
