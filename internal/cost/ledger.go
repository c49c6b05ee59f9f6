package cost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"airfield/internal/db"
	"airfield/internal/llm"
)

// Ledger is the record of everything that cost money, or would have if its price were known.
type Ledger struct{ db *db.DB }

// NewLedger returns the ledger of a database.
func NewLedger(d *db.DB) *Ledger { return &Ledger{db: d} }

var ledgerColumns = []string{"id", "at", "kind", "environment", "business_unit", "workflow", "model", "deployment", "nanos_usd", "priced", "usage_source", "price_id", "key_id", "user_id", "tokens"}

// costs reports whether a call used something.
func costs(c *llm.Call) bool { return !c.Usage.Empty() || c.Cost != 0 }

// Post writes an entry for each call that used something, in the transaction that writes the calls: a call that was
// refused before it used anything has none. The entry has the id of its call.
func (l *Ledger) Post(ctx context.Context, tx *db.Tx, calls []llm.Call) error {
	spent := make([]*llm.Call, 0, len(calls))
	for i := range calls {
		if c := &calls[i]; costs(c) {
			spent = append(spent, c)
		}
	}
	err := tx.Insert(ctx, "ledger", ledgerColumns, "", len(spent), func(i int, args []any) []any {
		c := spent[i]
		return append(args, c.ID, db.Micros(c.Start), "call", c.Environment, c.BusinessUnit, c.Workflow, c.Model, c.Deployment, int64(c.Cost), flag(c.Priced), string(c.Usage.Source), c.PriceID, c.KeyID, spenderText(c.User), c.Usage.Total())
	})
	if err != nil {
		return fmt.Errorf("post to the ledger: %w", err)
	}
	return nil
}

// Repriced brings the entries of calls in line with what they cost by a later price, in the transaction that changes the
// calls. A call that had no entry gets one.
func (l *Ledger) Repriced(ctx context.Context, tx *db.Tx, changes []llm.Change) error {
	for some := range slices.Chunk(changes, 50) { // in one statement
		var missing []llm.Call
		there := make(map[string]bool, len(some))
		args := make([]any, 0, 4*len(some))
		for i := range some {
			c := &some[i].Call
			args = append(args, c.ID, int64(c.Cost), flag(c.Priced), c.PriceID)
		}
		values := strings.TrimSuffix(strings.Repeat("(?, CAST(? AS BIGINT), CAST(? AS BIGINT), ?),", len(some)), ",")
		rows, err := tx.Query(ctx, "WITH now (id, nanos, priced, price_id) AS (VALUES "+values+") UPDATE ledger SET nanos_usd = now.nanos, priced = now.priced, price_id = now.price_id FROM now WHERE ledger.id = now.id RETURNING ledger.id", args...)
		for err == nil && rows.Next() {
			var id string
			err = rows.Scan(&id)
			there[id] = true
		}
		if rows != nil {
			err = errors.Join(err, rows.Err(), rows.Close())
		}
		if err != nil {
			return fmt.Errorf("reprice the ledger: %w", err)
		}
		for i := range some {
			if c := &some[i].Call; !there[c.ID] {
				missing = append(missing, *c)
			}
		}
		if err := l.Post(ctx, tx, missing); err != nil {
			return err
		}
	}
	return nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
