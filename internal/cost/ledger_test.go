package cost

import (
	"context"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/llm"
)

func TestWhatUsedSomethingIsInTheLedgerOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, l := context.Background(), NewLedger(d)
		at := time.Date(2026, 3, 1, 10, 20, 0, 0, time.UTC)
		calls := []llm.Call{
			{ID: "call_1", Start: at, Workflow: "support", Usage: llm.Usage{Input: 5, Source: llm.Reported}, Cost: 7, Priced: true, PriceID: "p"},
			{ID: "call_2", Start: at, Outcome: llm.Failed, Priced: true},
			{ID: "call_3", Start: at, Usage: llm.Usage{Output: 1, Source: llm.Estimated}},
		}
		for range 100 { // more than one statement's worth
			c := calls[0]
			c.ID = "call_x" + string(rune('a'+len(calls)/26)) + string(rune('a'+len(calls)%26))
			calls = append(calls, c)
		}
		if err := d.Tx(ctx, func(tx *db.Tx) error { return l.Post(ctx, tx, calls) }); err != nil {
			t.Fatal(err)
		}
		var n, nanos, unpriced int64
		if err := d.QueryRow(ctx, "SELECT COUNT(*), CAST(SUM(nanos_usd) AS BIGINT), CAST(SUM(1 - priced) AS BIGINT) FROM ledger").Scan(&n, &nanos, &unpriced); err != nil || n != 102 || nanos != 101*7 || unpriced != 1 {
			t.Fatal(n, nanos, unpriced, err)
		}
		var workflow, source, price string
		var started int64
		if err := d.QueryRow(ctx, "SELECT at, workflow, usage_source, price_id FROM ledger WHERE id = 'call_1'").Scan(&started, &workflow, &source, &price); err != nil || db.Time(started) != at || workflow != "support" || source != "reported" || price != "p" {
			t.Fatal(started, workflow, source, price, err)
		}
		if err := d.Tx(ctx, func(tx *db.Tx) error { return l.Post(ctx, tx, calls[:1]) }); !db.IsUnique(err) {
			t.Fatal("posted twice:", err)
		}
	})
}
