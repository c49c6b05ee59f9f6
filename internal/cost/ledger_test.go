package cost

import (
	"context"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
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

func TestSpendIsSummedByGroup(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, l := context.Background(), NewLedger(d)
		noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for _, r := range []struct {
			hour                          time.Time
			unit, workflow, model         string
			calls, unpriced, in, out, usd int64
		}{
			{noon, "service", "support", "small", 10, 0, 100, 50, 3e9},
			{noon, "service", "support", "large", 1, 1, 7, 3, 0},
			{noon.Add(time.Hour), "sales", "leads", "small", 2, 0, 20, 10, 5e9},
		} {
			if _, err := d.Exec(ctx, "INSERT INTO usage_hourly VALUES (?,?,?,?,?,?,?,?,0,?,?,1,1,?,1,?,'{}')", db.Micros(r.hour), "dev", r.unit, r.workflow, "chat", r.model, "d", r.calls, r.unpriced, r.in, r.out, r.usd); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name   string
			filter Filter
			want   []Spend
		}{
			{"all", Filter{}, []Spend{{Calls: 13, Input: 133, Output: 66, Tokens: 199, Cost: 8e9, Unpriced: 1}}},
			{"by model, the dearest first", Filter{Group: "model"}, []Spend{{Group: "small", Calls: 12, Input: 124, Output: 62, Tokens: 186, Cost: 8e9}, {Group: "large", Calls: 1, Input: 9, Output: 4, Tokens: 13, Unpriced: 1}}},
			{"by business unit, one hour", Filter{Group: "business_unit", From: noon.Add(90 * time.Minute)}, []Spend{{Group: "sales", Calls: 2, Input: 22, Output: 11, Tokens: 33, Cost: 5 * money.Dollar}}},
			{"of a workflow, until an hour", Filter{Workflow: "support", Group: "workflow", To: noon.Add(time.Hour)}, []Spend{{Group: "support", Calls: 11, Input: 111, Output: 55, Tokens: 166, Cost: 3e9, Unpriced: 1}}},
			{"of nothing", Filter{From: noon.AddDate(1, 0, 0)}, []Spend{}},
		} {
			got, err := l.Spend(ctx, c.filter)
			if err != nil || len(got) != len(c.want) {
				t.Fatalf("%s: %+v %v", c.name, got, err)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%s: %+v, not %+v", c.name, got[i], c.want[i])
				}
			}
		}
		if _, err := l.Spend(ctx, Filter{Group: "nanos_usd; DROP TABLE ledger"}); !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}
