package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// account is a hook that keeps a sum beside the log, as budgets do.
type account struct{ fail error }

func (a account) Repriced(ctx context.Context, tx *db.Tx, changes []llm.Change) error {
	for _, c := range changes {
		if c.New != c.Call.Cost || !c.Call.Priced {
			return fmt.Errorf("%+v", c)
		}
		if _, err := tx.Exec(ctx, "UPDATE settings SET value = CAST(CAST(value AS BIGINT) + ? AS TEXT) WHERE name = 'spent'", int64(c.New-c.Old)); err != nil {
			return err
		}
	}
	return a.fail
}

// double charges two nano-dollars a token, three at the service tier priority, and knows no other model than small.
func double(c *llm.Call) (llm.Price, bool) {
	return llm.Price{ID: "double", Rates: llm.Rates{Input: 2_000_000, Output: 2_000_000}, Services: map[string]llm.Service{"priority": {Rates: llm.Rates{Input: 3_000_000, Output: 3_000_000}}}}, c.Upstream == "small"
}

func repriceable(n int, noon time.Time) (calls []llm.Call) {
	for i := range n {
		calls = append(calls, at(noon.Add(time.Duration(i)*time.Second), func(c *llm.Call) {
			c.Usage, c.Cost, c.Priced, c.PriceID, c.Upstream = llm.Usage{Input: 10, Output: 5, Source: llm.Reported}, 7, true, "old", "small"
			switch i % 10 {
			case 1:
				c.Cost, c.Priced, c.PriceID = 0, false, ""
			case 2:
				c.Service = "priority"
			case 3:
				c.Upstream = "unknown"
			case 4:
				c.Cache, c.Cost = "hit", 0
			case 5:
				c.Usage, c.Cost, c.Outcome = llm.Usage{}, 0, llm.Failed
			case 6:
				c.Cost = 30 // right already
			}
		}))
	}
	return calls
}

func spentOf(t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	if err := d.QueryRow(context.Background(), "SELECT CAST(value AS BIGINT) FROM settings WHERE name = 'spent'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// agrees holds the log, the hourly sums and the account together.
func agrees(t *testing.T, d *db.DB, s *Store) money.Nanos {
	t.Helper()
	var calls, unpriced int64
	if err := d.QueryRow(context.Background(), "SELECT CAST(SUM(nanos_usd) AS BIGINT), CAST(SUM(1 - priced) AS BIGINT) FROM calls").Scan(&calls, &unpriced); err != nil {
		t.Fatal(err)
	}
	usage, err := s.Usage(context.Background(), UsageFilter{})
	if err != nil || usage[0].Cost != money.Nanos(calls) || usage[0].Unpriced != unpriced || spentOf(t, d) != calls {
		t.Errorf("the log has %d and %d unpriced, the hours %+v, the account %d: %v", calls, unpriced, usage, spentOf(t, d), err)
	}
	return money.Nanos(calls)
}

func prepared(t *testing.T, d *db.DB, n int) (*Store, time.Time) {
	t.Helper()
	noon := time.Date(2026, 3, 1, 12, 50, 0, 0, time.UTC)
	s := filled(t, d, repriceable(n, noon))
	var sum int64
	if err := d.QueryRow(context.Background(), "SELECT CAST(SUM(nanos_usd) AS BIGINT) FROM calls").Scan(&sum); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Exec(context.Background(), "INSERT INTO settings (name, value) VALUES ('spent', ?)", fmt.Sprint(sum)); err != nil {
		t.Fatal(err)
	}
	return s, noon
}

func goOn(Repriced) error { return nil }

func TestCallsAreRepricedExactlyOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		s, noon := prepared(t, d, 1200) // three batches, two hours
		before := agrees(t, d, s)
		f := Repricing{Since: noon}
		f.DryRun = true
		dry, err := s.Reprice(ctx, f, double, goOn, account{})
		if err != nil || agrees(t, d, s) != before {
			t.Fatal("a dry run changed something", err)
		}
		f.DryRun = false
		var reports []Repriced
		sum, err := s.Reprice(ctx, f, double, func(r Repriced) error { reports = append(reports, r); return nil }, account{})
		if err != nil || sum != dry {
			t.Fatalf("%+v, dry %+v: %v", sum, dry, err)
		}
		// Of ten: six at 30 (of them one unpriced and one right already), one at 45, one unknown at 7, two that nobody is charged for.
		if want := (Repriced{Looked: 960, Changed: 720, Unknown: 120, Old: 120 * (5*7 + 0 + 7 + 30), New: 120 * (6*30 + 45 + 7), At: sum.At}); sum.Looked != want.Looked || sum.Unknown != want.Unknown || sum.New != want.New || sum.Changed != want.Changed {
			t.Errorf("%+v, want %+v", sum, want)
		}
		if len(reports) != 2 || reports[0].Looked != 400 || reports[1].Looked != 800 {
			t.Errorf("%+v", reports)
		}
		if after := agrees(t, d, s); after != before+sum.New-sum.Old {
			t.Error(before, after)
		}
		list, err := s.Calls(ctx, Filter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			switch {
			case c.Cache == "hit" && c.Cost != 0, c.Upstream == "unknown" && (c.Cost != 7 || c.PriceID != "old"), c.Service == "priority" && (c.Cost != 45 || c.PriceID != "double" || c.Attempts == nil):
				t.Errorf("%+v", c)
			}
		}
		again, err := s.Reprice(ctx, f, double, goOn, account{})
		if err != nil || again.Changed != 0 || again.Old != again.New || again.New != sum.New {
			t.Errorf("%+v %v", again, err)
		}
		agrees(t, d, s)
	})
}

func TestOnlyTheCallsThatWereChosenAreRepriced(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		s, noon := prepared(t, d, 100)
		for name, c := range map[string]struct {
			f    Repricing
			want int64
		}{
			"unpriced":    {Repricing{Since: noon, OnlyUnpriced: true}, 10},
			"a workflow":  {Repricing{Since: noon, Workflow: "nobody"}, 0},
			"a model":     {Repricing{Since: noon, Model: "gpt-4o-mini"}, 80},
			"no model":    {Repricing{Since: noon, Model: "gpt"}, 0},
			"later":       {Repricing{Since: noon.Add(50 * time.Second)}, 40},
			"earlier":     {Repricing{Since: noon.Add(-time.Hour), Until: noon.Add(10 * time.Second)}, 8},
			"before them": {Repricing{Since: noon.Add(-time.Hour), Until: noon}, 0},
		} {
			c.f.DryRun = true
			if sum, err := s.Reprice(ctx, c.f, double, goOn); err != nil || sum.Looked != c.want {
				t.Errorf("%s: %+v %v", name, sum, err)
			}
		}
	})
}

func TestARepricingThatStopsGoesOnAndOneThatFailsChangesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		s, noon := prepared(t, d, 1100)
		before := agrees(t, d, s)
		broken := errors.New("the account is broken")
		if _, err := s.Reprice(ctx, Repricing{Since: noon}, double, goOn, account{broken}); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if agrees(t, d, s) != before {
			t.Fatal("a batch whose hook fails was kept")
		}
		enough := errors.New("the one who asked has gone")
		part, err := s.Reprice(ctx, Repricing{Since: noon}, double, func(Repriced) error { return enough }, account{})
		if !errors.Is(err, enough) || part.Looked != 400 {
			t.Fatal(part, err)
		}
		if agrees(t, d, s) == before {
			t.Fatal("what was done was lost")
		}
		rest, err := s.Reprice(ctx, Repricing{Since: noon}, double, goOn, account{})
		if err != nil || rest.Changed != 11*60-part.Changed {
			t.Error(rest, part, err)
		}
		agrees(t, d, s)
	})
}

func TestTwoWhoRepriceAtOnceChangeEachCallOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, noon := prepared(t, d, 1000)
		var group sync.WaitGroup
		var changed [3]int64
		for i := range changed {
			group.Go(func() {
				sum, err := s.Reprice(context.Background(), Repricing{Since: noon}, double, goOn, account{})
				if err != nil {
					t.Error(err)
				}
				changed[i] = sum.Changed
			})
		}
		group.Wait()
		if changed[0]+changed[1]+changed[2] != 600 {
			t.Error(changed)
		}
		agrees(t, d, s)
	})
}

func TestARepricedRowKeepsWhatThisVersionDoesNotKnow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		s, noon := prepared(t, d, 1)
		if _, err := d.Exec(ctx, "UPDATE calls SET detail = ?", `{"deployment":"a/b","upstream_model":"small","input_tokens":10,"output_tokens":5,"price_id":"old","later":{"a":[1.50]}}`); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Reprice(ctx, Repricing{Since: noon}, double, goOn); err != nil {
			t.Fatal(err)
		}
		var text string
		var members map[string]json.RawMessage
		if err := d.QueryRow(ctx, "SELECT detail FROM calls").Scan(&text); err != nil || json.Unmarshal([]byte(text), &members) != nil || string(members["later"]) != `{"a":[1.50]}` || string(members["price_id"]) != `"double"` {
			t.Error(text, err)
		}
	})
}

func TestEveryBucketIsSummed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		u := llm.Usage{Input: 1, CacheRead: 2, CacheWrite: 3, CacheWriteLong: 4, AudioInput: 5, Output: 6, Reasoning: 7, AudioOutput: 8, Images: 9}
		var calls []llm.Call
		for i := range 3 {
			calls = append(calls, at(noon.Add(time.Duration(i)*time.Minute), func(c *llm.Call) { c.Usage = u }))
		}
		s := filled(t, d, calls)
		want := u.Add(u).Add(u)
		for _, latency := range []bool{false, true} {
			if list, err := s.Usage(context.Background(), UsageFilter{Latency: latency}); err != nil || len(list) != 1 || list[0].Usage != want {
				t.Errorf("%+v %v", list, err)
			}
		}
	})
}
