package cost

import (
	"context"
	"fmt"

	"airfield/internal/db"
	"airfield/internal/llm"
)

// Ledger is the record of everything that cost money, or would have if its price were known.
type Ledger struct{ db *db.DB }

// NewLedger returns the ledger of a database.
func NewLedger(d *db.DB) *Ledger { return &Ledger{db: d} }

var ledgerColumns = []string{"id", "at", "kind", "environment", "business_unit", "workflow", "model", "deployment", "nanos_usd", "priced", "usage_source", "price_id", "key_id", "user_id", "tokens"}

// costs reports whether a call used something.
func costs(c *llm.Call) bool { return c.Usage.Total() > 0 || c.Cost != 0 }

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
		priced := int64(0)
		if c.Priced {
			priced = 1
		}
		return append(args, c.ID, db.Micros(c.Start), "call", c.Environment, c.BusinessUnit, c.Workflow, c.Model, c.Deployment, int64(c.Cost), priced, string(c.Usage.Source), c.PriceID, c.KeyID, spenderText(c.User), c.Usage.Total())
	})
	if err != nil {
		return fmt.Errorf("post to the ledger: %w", err)
	}
	return nil
}
