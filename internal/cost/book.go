package cost

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/id"
)

// verifyAfter is when a new account is summed once more: until then a process with an older configuration may have posted
// calls without knowing of it.
const verifyAfter = 2 * time.Minute

// distrusted, as the time from which on an account is to be verified, is at once and then once more.
const distrusted = 1

// accountRow is an account in the database, locked by the transaction that reads it.
type accountRow struct {
	spent, wantedAt int64
	wantedBy        string
}

// lockAccount locks an account's row and reads it; where there is none it is made. summed says that what is spent was summed
// from the ledger just now: everything this transaction has written there is in it. Lock accounts in the order of their names.
func lockAccount(ctx context.Context, tx *db.Tx, r *rule, whose string, in span) (got accountRow, summed bool, err error) {
	name, now, verify := r.account(whose), time.Now().UnixMicro(), int64(0)
	read := func() error {
		return tx.QueryRow(ctx, "SELECT spent, wanted_at, wanted_by, verify_at FROM budget_accounts WHERE account = ? AND period = ?"+tx.ForUpdate(), name, in.start).
			Scan(&got.spent, &got.wantedAt, &got.wantedBy, &verify)
	}
	err = read()
	if db.IsNone(err) {
		first := int64(distrusted)
		if since, err := knownSince(ctx, tx, r); err != nil {
			return got, false, err
		} else if since > 0 && since <= in.start {
			first = 0 // all of the period's calls have been posted to it, so that there were none
		}
		if _, err = tx.Exec(ctx, "INSERT INTO budget_accounts (account, period, ends_at, scope, unit, spent, limit_amount, updated_at, verify_at) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT DO NOTHING",
			name, in.start, in.end, r.scope, r.unit, r.limit, now, first); err == nil {
			err = read()
		}
	}
	if err != nil {
		return got, false, fmt.Errorf("lock the budget's account %s: %w", name, err)
	}
	if verify == 0 || verify > now {
		return got, false, nil
	}
	again := int64(0)
	if verify == distrusted {
		again = now + verifyAfter.Microseconds()
	}
	if got.spent, err = sumLedger(ctx, tx, r, whose, in); err != nil {
		return got, false, err
	}
	if _, err := tx.Exec(ctx, "UPDATE budget_accounts SET spent = ?, verify_at = ? WHERE account = ? AND period = ?", got.spent, again, name, in.start); err != nil {
		return got, false, fmt.Errorf("sum the budget's account %s: %w", name, err)
	}
	return got, true, nil
}

// sumLedger is what an account's period has in the ledger. The caller has locked the account: those who post to it add to
// its row after they have written to the ledger, so that an entry is either in this sum or added to it later.
func sumLedger(ctx context.Context, q db.Querier, r *rule, whose string, in span) (sum int64, err error) {
	amount := "nanos_usd"
	if r.unit == unitTokens {
		amount = "tokens"
	}
	of, args := scopeColumns[r.scope]+" = ?", []any{whose}
	switch {
	case r.scope == "key" && r.of != "":
		of, args = "key_id IN (SELECT id FROM keys WHERE name = ? UNION SELECT ?)", append(args, whose)
	case r.scope == "user":
		of += " AND user_id <> ''" // for the index
	}
	of += " AND kind <> 'lost' AND at >= ? AND at < ?"
	args = append(args, in.start, in.end)
	if r.scope != "user" { // who has an index
		slack := time.Hour.Microseconds()
		of += " AND id >= ? AND id < ?"
		args = append(args, idAt(in.start-slack), idAt(in.end+slack))
	}
	sumOf := "(SELECT CAST(COALESCE(SUM(" + amount + "), 0) AS BIGINT) FROM ledger WHERE "
	query := "SELECT " + sumOf + of + ") + " + sumOf + "kind = 'lost' AND at >= ? AND at < ? AND deployment = ?)"
	args = append(args, in.start, in.end, r.account(whose))
	if err = q.QueryRow(ctx, query, args...).Scan(&sum); err != nil {
		return 0, fmt.Errorf("sum the ledger for the budget %s of %s: %w", r.name, whose, err)
	}
	return sum, nil
}

// scopeColumns are the ledger's.
var scopeColumns = map[string]string{"environment": "environment", "business_unit": "business_unit", "workflow": "workflow", "key": "key_id", "user": "user_id"}

// idAt sorts before the ids of the calls that begin from a moment on.
func idAt(micros int64) string {
	text := id.At("call", time.UnixMicro(micros))
	return text[:len("call_")+10]
}

// readLeases reads who holds money of an account: this process, and the sum of the others.
func readLeases(ctx context.Context, q db.Querier, account string, start int64, lease string) (s seen, err error) {
	rows, err := q.Query(ctx, "SELECT lease, amount, posted, version FROM budget_leases WHERE account = ? AND period = ?", account, start)
	if err != nil {
		return s, fmt.Errorf("read the leases of %s: %w", account, err)
	}
	defer rows.Close()
	for rows.Next() {
		var whose string
		var amount, posted, version int64
		if err := rows.Scan(&whose, &amount, &posted, &version); err != nil {
			return s, fmt.Errorf("read the leases of %s: %w", account, err)
		}
		if whose == lease {
			s.lease, s.amount, s.posted, s.version = true, amount, posted, version
		} else {
			s.others += amount
		}
	}
	return s, rows.Err()
}

// writeLease writes what this process holds of an account.
func writeLease(ctx context.Context, tx *db.Tx, account string, start int64, lease string, s seen) error {
	_, err := tx.Exec(ctx, `INSERT INTO budget_leases (account, period, lease, amount, posted, version, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, period, lease) DO UPDATE SET amount = excluded.amount, version = excluded.version, seen_at = excluded.seen_at`,
		account, start, lease, s.amount, s.posted, s.version, time.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("write the lease of %s: %w", account, err)
	}
	return nil
}
