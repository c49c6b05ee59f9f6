package cost

import (
	"context"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
)

func TestACallPostedByAProcessThatDidNotKnowOfABudgetIsFound(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, openDB func() *db.DB) {
		x, old := open(t, openDB(), "j", hard(100)), open(t, openDB(), "k", nil)
		at := time.Now()
		x.pass(support, at, dollars(1))
		if err := old.postCalls([]llm.Call{logRow(support, at, nothing, dollars(5))}); err != nil {
			t.Fatal(err)
		}
		if _, err := x.db.Exec(context.Background(), "UPDATE budget_accounts SET verify_at = ?", time.Now().UnixMicro()); err != nil {
			t.Fatal(err)
		}
		x.pass(support, at, dollars(1))
		if a := x.only(); a.spent != dollars(7).in(unitUSD) {
			t.Error(sprint(a.spent))
		}
	})
}

func TestABudgetThatWasAwayForAWhileIsSummedAnew(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", hard(10))
		at := time.Now()
		x.pass(support, at, dollars(1))
		x.Reload(nil)
		x.pass(support, at, dollars(8)) // under no budget
		x.Reload(hard(10))
		eventually(t, "the account is summed anew", func() bool {
			h, err := x.reserve(support, at, dollars(2), time.Second)
			if err == nil {
				h.Cancel()
				x.pass(support, at, dollars(0)) // nothing, so that the lease is not simply used on
				x.Reload(hard(10))
				return false
			}
			return fault.As(err).Code == "budget_exceeded"
		})
		x.pass(support, at, dollars(1))
		if a := x.only(); a.spent != dollars(10).in(unitUSD) {
			t.Error(sprint(a.spent))
		}
	})
}

func TestAnotherPeriodIsAnotherAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		of := func(period string, tokens int64) map[string]BudgetConfig {
			c := BudgetConfig{Scope: "workflow", USD: dollars(10).USD, Period: period, Hard: true}
			if tokens > 0 {
				c.USD, c.Tokens = 0, tokens
			}
			return map[string]BudgetConfig{"b": c}
		}
		x := open(t, d, "j", of(Daily, 0))
		first := time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC) // a Monday, and the first of a month
		x.pass(support, first, Amount{USD: dollars(4).USD, Tokens: 100})
		x.pass(support, first.AddDate(0, 0, 1), Amount{USD: dollars(4).USD, Tokens: 100})
		x.Reload(of(Monthly, 0))
		x.pass(support, first, Amount{USD: dollars(1).USD, Tokens: 100})
		if _, err := x.reserve(support, first, dollars(2), time.Second); fault.As(err).Code != "budget_exceeded" {
			t.Error(err)
		}
		x.Reload(of(Monthly, 1000))
		x.pass(support, first, Amount{USD: dollars(100).USD, Tokens: 700})
		if _, err := x.reserve(support, first, Amount{Tokens: 1}, time.Second); fault.As(err).Code != "budget_exceeded" {
			t.Error(err)
		}
		x.books()
	})
}

func TestANewAccountOfABudgetLongKnownBeginsWithNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", map[string]BudgetConfig{"people": {Scope: "user", USD: dollars(10).USD, Period: Daily, Hard: true}, "all": {Scope: "environment", USD: dollars(10).USD, Period: Daily}})
		at := time.Now()
		for _, r := range x.plan.Load().rules {
			eventually(t, "the budget was met", func() bool {
				since, err := knownSince(context.Background(), d, r)
				return err == nil && since > 0
			})
			if _, err := d.Exec(context.Background(), "UPDATE settings SET value = '1' WHERE name = ?", r.sinceSetting()); err != nil {
				t.Fatal(err)
			}
		}
		x.pass(support, at, dollars(2))
		bob := support
		bob.User = "bob"
		x.pass(bob, at, dollars(3))
		if got := x.spent(); got["people/ann"] != "2000000000" || got["people/bob"] != "3000000000" || got["all/prod"] != "5000000000" {
			t.Error(got)
		}
		var sums int
		if err := d.QueryRow(context.Background(), "SELECT COUNT(*) FROM budget_accounts WHERE verify_at > 0").Scan(&sums); err != nil || sums != 0 {
			t.Error(sums, "accounts were summed", err)
		}
	})
}
