package cost

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

func opened(t *testing.T, d *db.DB) (*Prices, *Imports) {
	t.Helper()
	p, err := NewPrices()
	if err != nil {
		t.Fatal(err)
	}
	i := NewImports(d, p, access.NewAudit(d), slog.New(slog.DiscardHandler))
	if err := i.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	return p, i
}

func read(t *testing.T, rows ...string) *File {
	t.Helper()
	for i := range rows {
		rows[i] = `{"source":"s",` + rows[i] + `}`
	}
	f, err := ReadFile([]byte("["+strings.Join(rows, ",")+"]"), day("2026-03-01"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// input is what a million tokens cost, or "unknown".
func input(p *Prices, model, at string) string {
	price, ok := p.Price("acme", model, day(at))
	if !ok {
		return "unknown"
	}
	return price.Cost(llm.Usage{Input: 1_000_000}).Decimal()
}

func counts(r ImportReport) string {
	return fmt.Sprintf("%d new, %d changed, %d unchanged, %d written, %d bad", r.New, r.Changed, r.Unchanged, r.Written, len(r.Bad))
}

func TestImportedPricesGoBeforeTheListAndFollowInEveryProcess(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		ctx := caller.With(context.Background(), &caller.Caller{Role: caller.Admin, KeyID: "key_1"})
		p, i := opened(t, open())
		other, follows := opened(t, open())
		f := read(t, `"provider":"acme","model":"big","input":1,"output":2`, `"provider":"openai","model":"gpt-4o","dated":true,"input":2.5,"cache_read":1.25,"output":9`, `"provider":"openai","model":"gpt-4","input":30,"output":60`)

		dry, err := i.Import(ctx, f, ImportOptions{DryRun: true})
		if err != nil || counts(dry) != "1 new, 1 changed, 1 unchanged, 3 written, 0 bad" || input(p, "big", "2026-03-01") != "unknown" {
			t.Fatal(counts(dry), err)
		}
		report, err := i.Import(ctx, f, ImportOptions{})
		if err != nil || counts(report) != counts(dry) || len(report.Differences) != 2 || report.Differences[1].Old.Layer != Builtin || report.Differences[1].Old.Output != 10_000_000_000 {
			t.Fatalf("%+v %v", report, err)
		}
		if input(p, "big", "2020-01-01") != "1" {
			t.Error("the importing process does not charge it")
		}
		price, _ := p.Price("openai", "gpt-4o-2024-08-06", day("2026-03-01"))
		if price.ID != "imported:openai/gpt-4o@2026-03-01" || len(price.Services) > 0 {
			t.Errorf("%+v", price)
		}
		if specific, _ := p.Price("openai", "gpt-4o-2024-05-13", day("2026-03-01")); specific.ID != "openai/gpt-4o-2024-05-13@2025-07-04" {
			t.Error("an imported name with any date goes before the very name:", specific.ID)
		}
		if input(other, "big", "2026-03-01") != "unknown" {
			t.Error("another process cannot know yet")
		}
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- follows.Run(run) }()
		for deadline := time.Now().Add(20 * time.Second); input(other, "big", "2026-03-01") != "1"; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("another process does not follow")
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if again, err := i.Import(ctx, f, ImportOptions{}); err != nil || counts(again) != "0 new, 0 changed, 3 unchanged, 0 written, 0 bad" {
			t.Error(counts(again), err)
		}
		audit, err := access.NewAudit(i.db).List(ctx, access.Filter{Action: "prices."})
		if err != nil || len(audit) != 1 || audit[0].Action != "prices.import" || audit[0].Actor != "key:key_1" {
			t.Error(audit, err)
		}
		restarted, _ := opened(t, open())
		if input(restarted, "big", "2026-03-01") != "1" {
			t.Error("it is gone after a restart")
		}
		if n, err := i.Remove(ctx, "openai", "gpt-4o", Day{}); err != nil || n != 1 {
			t.Error(n, err)
		}
		if price, _ := p.Price("openai", "gpt-4o", day("2026-03-01")); price.ID != "openai/gpt-4o@2025-07-04" {
			t.Error("the list does not count again:", price.ID)
		}
		if _, err := i.Remove(ctx, "openai", "gpt-4o", Day{}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestAPriceBeginsWhereItSays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		p, i := opened(t, d)
		take := func(want string, o ImportOptions, rows ...string) {
			t.Helper()
			r, err := i.Import(ctx, read(t, rows...), o)
			if err != nil || counts(r) != want {
				t.Fatalf("%s %+v %v", counts(r), r.Bad, err)
			}
		}
		holds := func(want ...string) {
			t.Helper()
			for n, at := range []string{"2026-01-01", "2026-03-31", "2026-04-01", "2026-06-30", "2026-07-01"} {
				if got := input(p, "m", at); got != want[n] {
					t.Errorf("%s: %s, want %s", at, got, want[n])
				}
			}
		}
		april, july := Day{day("2026-04-01")}, Day{day("2026-07-01")}
		take("1 new, 0 changed, 0 unchanged, 1 written, 0 bad", ImportOptions{}, `"provider":"acme","model":"m","input":1`)
		holds("1", "1", "1", "1", "1")
		take("0 new, 1 changed, 0 unchanged, 1 written, 0 bad", ImportOptions{From: july}, `"provider":"acme","model":"m","input":3`)
		holds("1", "1", "1", "1", "3")
		take("0 new, 1 changed, 0 unchanged, 1 written, 0 bad", ImportOptions{From: april}, `"provider":"acme","model":"m","input":2`)
		holds("1", "1", "2", "2", "3")
		take("0 new, 0 changed, 1 unchanged, 0 written, 0 bad", ImportOptions{From: Day{day("2026-05-01")}}, `"provider":"acme","model":"m","input":2`)
		take("0 new, 1 changed, 0 unchanged, 1 written, 0 bad", ImportOptions{}, `"provider":"acme","model":"m","from":"2026-04-01","input":2.5`)
		holds("1", "1", "2.5", "2.5", "3")
		r, err := i.Import(ctx, read(t, `"provider":"acme","model":"m","from":"2026-05-01","until":"2026-08-01","input":9`, `"provider":"acme","model":"other","input":1`), ImportOptions{})
		if err != nil || !r.Refused || r.Written != 0 || len(r.Bad) != 1 || !strings.Contains(r.Bad[0].Reason, "another price from 2026-07-01 on") || input(p, "other", "2026-03-01") != "unknown" {
			t.Errorf("%+v %v", r, err)
		}
		holds("1", "1", "2.5", "2.5", "3")
		if n, err := i.Remove(ctx, "acme", "m", april); err != nil || n != 1 {
			t.Error(n, err)
		}
		holds("1", "1", "1", "1", "3")
		if n, err := i.Remove(ctx, "acme", "m", july); err != nil || n != 1 {
			t.Error(n, err)
		}
		holds("1", "1", "1", "1", "1")
		take("0 new, 1 changed, 0 unchanged, 1 written, 0 bad", ImportOptions{}, `"provider":"acme","model":"m","until":"2026-04-01","input":5`)
		take("1 new, 0 changed, 0 unchanged, 1 written, 0 bad", ImportOptions{}, `"provider":"acme","model":"m","from":"2026-04-01","until":"2026-07-01","input":6`)
		holds("5", "5", "6", "6", "unknown")
		if n, err := i.Remove(ctx, "acme", "m", april); err != nil || n != 1 {
			t.Error(n, err)
		}
		holds("5", "5", "unknown", "unknown", "unknown") // an end that was meant stays
	})
}

func TestABadRowRefusesAllOrIsLeftOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		p, i := opened(t, d)
		f := func() *File {
			return read(t, `"provider":"acme","model":"a","aliases":["x"],"input":1`, `"provider":"acme","model":"b","aliases":["x"],"input":2`, `"provider":"acme","model":"c","input":-1`, `"provider":"acme","model":"d","input":4`)
		}
		r, err := i.Import(ctx, f(), ImportOptions{})
		if err != nil || !r.Refused || len(r.Bad) != 2 || r.Written != 0 || input(p, "d", "2026-03-01") != "unknown" {
			t.Fatalf("%+v %v", r, err)
		}
		r, err = i.Import(ctx, f(), ImportOptions{SkipBad: true})
		if err != nil || r.Refused || len(r.Bad) != 2 || r.Written != 2 || input(p, "x", "2026-03-01") != "1" || input(p, "b", "2026-03-01") != "unknown" || input(p, "d", "2026-03-01") != "4" {
			t.Fatalf("%+v %v", r, err)
		}
		if !strings.Contains(r.Bad[1].Reason, "x has two prices at one time") || !strings.HasPrefix(r.Bad[1].Where, "2 ") {
			t.Errorf("%+v", r.Bad)
		}
	})
}

func TestPricesOutliveTheDatabase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		p, i := opened(t, d)
		if _, err := i.Import(ctx, read(t, `"provider":"acme","model":"m","input":1`), ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		d.Close()
		if err := i.Load(ctx); err == nil {
			t.Fatal("the database is still there")
		}
		if input(p, "m", "2026-03-01") != "1" {
			t.Error("it is gone with the database")
		}
		if _, ok := p.Price("openai", "gpt-4o", day("2026-03-01")); !ok {
			t.Error("the list is gone with the database")
		}
	})
}

func TestARowThatThisVersionCannotUseIsPassedOver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		for model, price := range map[string]string{"good": `{"provider":"acme","model":"good","input":"1","source":"s","as_of":"2026-01-01"}`, "torn": `{"in`, "empty": `{"provider":"acme","model":"empty","source":"s","as_of":"2026-01-01"}`} {
			if _, err := d.Exec(ctx, "INSERT INTO prices (provider, model, valid_from, valid_until, price, source, as_of, imported_at, imported_by) VALUES ('acme', ?, 0, 0, ?, 's', 0, 0, '')", model, price); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Exec(ctx, "INSERT INTO settings (name, value) VALUES ('prices.epoch', 'x')"); err != nil {
			t.Fatal(err)
		}
		p, _ := opened(t, d)
		if input(p, "good", "2026-03-01") != "1" || input(p, "torn", "2026-03-01") != "unknown" || input(p, "empty", "2026-03-01") != "unknown" {
			t.Error(input(p, "good", "2026-03-01"))
		}
	})
}

func TestTheLedgerFollowsARepricing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, l := context.Background(), NewLedger(d)
		at := day("2026-03-01")
		posted := llm.Call{ID: "call_1", Start: at, Usage: llm.Usage{Input: 5, Source: llm.Reported}, Cost: 7, Priced: true, PriceID: "old"}
		if err := d.Tx(ctx, func(tx *db.Tx) error { return l.Post(ctx, tx, []llm.Call{posted}) }); err != nil {
			t.Fatal(err)
		}
		first, second := posted, llm.Call{ID: "call_2", Start: at, Usage: llm.Usage{Images: 1}, Cost: 40, Priced: true, PriceID: "new"}
		first.Cost, first.PriceID = 9, "new"
		for range 2 {
			if err := d.Tx(ctx, func(tx *db.Tx) error {
				return l.Repriced(ctx, tx, []llm.Change{{Call: first, Old: 7, New: 9}, {Call: second, New: 40, Unpriced: true}})
			}); err != nil {
				t.Fatal(err)
			}
		}
		var n, nanos int64
		if err := d.QueryRow(ctx, "SELECT COUNT(*), CAST(SUM(nanos_usd) AS BIGINT) FROM ledger WHERE price_id = 'new' AND priced = 1").Scan(&n, &nanos); err != nil || n != 2 || money.Nanos(nanos) != 49 {
			t.Fatal(n, nanos, err)
		}
	})
}
