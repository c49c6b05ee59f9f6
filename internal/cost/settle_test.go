package cost

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
)

// pass makes a call that uses all it may, and posts it.
func (x *till) pass(s llm.Spender, at time.Time, a Amount) {
	x.t.Helper()
	h, err := x.reserve(s, at, a, time.Minute)
	if err != nil {
		x.t.Fatal(err)
	}
	x.settle(s, at, h, a)
	x.post()
}

// spent is what each account has, by budget/whose.
func (x *till) spent() map[string]string {
	all := map[string]string{}
	for _, a := range x.books() {
		budget, whose, _ := splitAccount(a.name)
		all[budget+"/"+whose] = fmt.Sprint(a.spent)
	}
	return all
}

func TestEachScopeCountsItsOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, k := range [][2]string{{"key_1", "search"}, {"key_2", "search"}, {"key_3", "other"}} {
			if _, err := d.Exec(context.Background(), "INSERT INTO keys (id, name, role, clearance, hash, hint, created_by, created_at) VALUES (?, ?, 'workflow', 1, ?, '', '', 0)", k[0], k[1], k[0]); err != nil {
				t.Fatal(err)
			}
		}
		config := map[string]BudgetConfig{
			"env":      {Scope: "environment", Tokens: 10_000, Period: Monthly, Hard: true},
			"unit":     {Scope: "business_unit", Of: "sales", Tokens: 10_000, Period: Monthly},
			"workflow": {Scope: "workflow", Tokens: 10_000, Period: Weekly, Hard: true},
			"byname":   {Scope: "key", Of: "search", Tokens: 10_000, Period: Daily, Hard: true},
			"byid":     {Scope: "key", Of: "key_3", Tokens: 10_000, Period: Daily, Hard: true},
			"keys":     {Scope: "key", Tokens: 10_000, Period: Daily, Hard: true},
			"people":   {Scope: "user", Tokens: 10_000, Period: Daily, Hard: true},
			"bob":      {Scope: "user", Of: "bob", Tokens: 10_000, Period: Daily, Hard: true},
		}
		x := open(t, d, "j", config)
		long := strings.Repeat("x", 5000) + "\xff\x00"
		at := time.Now()
		for i, s := range []llm.Spender{
			{Environment: "prod", BusinessUnit: "sales", Workflow: "a", KeyID: "key_1", KeyName: "search", User: "ann"},
			{Environment: "prod", BusinessUnit: "sales", Workflow: "b", KeyID: "key_2", KeyName: "search", User: "bob"},
			{Environment: "prod", BusinessUnit: "hr", Workflow: "b", KeyID: "key_3", KeyName: "other"},
			{Environment: "test", Workflow: "c", User: long},
			{Environment: "test", Workflow: "c", User: "it's / a % name"},
		} {
			x.pass(s, at, Amount{Tokens: 1 << i})
		}
		want := map[string]string{
			"env/prod": "7", "env/test": "24", "unit/sales": "3", "workflow/a": "1", "workflow/b": "6", "workflow/c": "24", "byname/search": "3", "byid/key_3": "4",
			"keys/key_1": "1", "keys/key_2": "2", "keys/key_3": "4", "people/ann": "1", "people/bob": "2", "people/it's / a % name": "16", "bob/bob": "2",
		}
		got := x.spent()
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s: %s, not %s", name, got[name], n)
			}
			delete(got, name)
		}
		if len(got) != 1 || got["people/"+spenderText(long)] != "8" {
			t.Errorf("also %v", got)
		}
	})
}

func TestABudgetAddedLaterBeginsWithWhatWasSpent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		at := time.Now()
		x := open(t, d, "j", nil)
		var calls []llm.Call
		for i := range 10 {
			c := logRow(support, at.Add(-time.Duration(i)*time.Millisecond), nothing, dollars(1))
			calls = append(calls, c)
		}
		calls[9].Start = at.AddDate(0, -2, 0) // another month
		calls[9].ID = "call_0" + calls[9].ID[6:]
		if err := x.postCalls(calls); err != nil {
			t.Fatal(err)
		}
		config := hard(10)
		config["env"] = BudgetConfig{Scope: "environment", USD: dollars(20).USD, Period: Monthly}
		config["people"] = BudgetConfig{Scope: "user", USD: dollars(20).USD, Period: Monthly, Hard: true}
		config["key"] = BudgetConfig{Scope: "key", Of: "key_1", USD: dollars(20).USD, Period: Monthly, Hard: true}
		x.Reload(config)
		if _, err := x.reserve(support, at, dollars(2), 5*time.Second); fault.As(err).Code != "budget_exceeded" || !strings.Contains(err.Error(), "$9.00 spent") {
			t.Fatal(err)
		}
		x.pass(support, at, dollars(1))
		if got := x.spent(); got["monthly/support-bot"] != "10000000000" || got["env/prod"] != "10000000000" || got["people/ann"] != "10000000000" || got["key/key_1"] != "10000000000" {
			t.Error(got)
		}
	})
}

func TestACallBelongsToThePeriodInWhichItBegan(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", map[string]BudgetConfig{"daily": {Scope: "workflow", USD: dollars(10).USD, Period: Daily, TimeZone: "Asia/Tokyo", Hard: true}})
		midnight := time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)
		before, after := midnight.Add(-time.Second), midnight
		over, err := x.reserve(support, before, dollars(10), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		x.pass(support, after, dollars(10)) // the new day has its own
		if _, err := x.reserve(support, after, dollars(1), time.Minute); fault.As(err).Code != "budget_exceeded" {
			t.Error(err)
		}
		x.settle(support, before, over, dollars(3))
		x.pass(support, before, dollars(6)) // the clock stepped back
		x.post()
		spent := map[int64]int64{}
		rows, err := d.Query(context.Background(), "SELECT period, spent FROM budget_accounts")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var start, n int64
			if err := rows.Scan(&start, &n); err != nil {
				t.Fatal(err)
			}
			spent[start] = n
		}
		if len(spent) != 2 || spent[midnight.UnixMicro()] != dollars(10).in(unitUSD) || spent[midnight.AddDate(0, 0, -1).UnixMicro()] != dollars(9).in(unitUSD) {
			t.Error(spent)
		}
	})
}

func TestAReloadRaisesAndLowersInMidFlight(t *testing.T) {
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", hard(10))
	at := time.Now()
	first, err := x.reserve(support, at, dollars(10), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() {
		h, err := x.reserve(support, at, dollars(5), time.Minute)
		if err == nil {
			x.settle(support, at, h, dollars(5))
		}
		waited <- err
	}()
	eventually(t, "the call waits", func() bool {
		x.Budgets.mu.Lock()
		defer x.Budgets.mu.Unlock()
		return len(first.parts[0].account.queue) == 1
	})
	x.Reload(hard(20))
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	x.Reload(hard(6)) // below what is used and held
	if _, err := x.reserve(support, at, dollars(2), time.Second); fault.As(err).Code != "budget_exceeded" {
		t.Error(err)
	}
	x.settle(support, at, first, dollars(0.5))
	x.post()
	eventually(t, "what is beyond the lower budget is given back", func() bool {
		books, err := readBooks(x.db)
		for _, a := range books {
			if a.spent+a.granted > dollars(6).in(unitUSD) {
				return false
			}
		}
		return err == nil
	})
	if a := x.only(); a.spent != dollars(5.5).in(unitUSD) {
		t.Error(sprint(a.spent))
	}
	x.pass(support, at, dollars(0.5))
	x.Reload(nil) // no budget: no limit
	h, err := x.reserve(support, at, dollars(1000), time.Second)
	if err != nil || h.Lease() != "" || len(h.Accounts()) != 0 {
		t.Error(err)
	}
	h.Settle(dollars(1))
}

func TestMoreThanWasHeldShowsAsSuch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", hard(10))
		at := time.Now()
		h, err := x.reserve(support, at, dollars(4), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		x.settle(support, at, h, dollars(12))
		if _, err := x.reserve(support, at, dollars(1), time.Second); fault.As(err).Code != "budget_exceeded" {
			t.Errorf("before it is posted: %v", err)
		}
		x.post()
		if _, err := x.reserve(support, at, dollars(1), time.Second); fault.As(err).Code != "budget_exceeded" {
			t.Errorf("after it is posted: %v", err)
		}
		states, err := x.Status(context.Background())
		if err != nil || len(states) != 1 || len(states[0].Accounts) != 1 || !states[0].Accounts[0].Over || states[0].Accounts[0].Spent != "12" || states[0].Accounts[0].Left != "0" {
			t.Errorf("%+v %v", states, err)
		}
	})
}

func TestACrashIsNeverFreeMoney(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, openDB func() *db.DB) {
		ctx, at := context.Background(), time.Now()
		dead := open(t, openDB(), "j", hard(100))
		h, err := dead.reserve(support, at, dollars(60), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		cut := logRow(support, at, h, dollars(60)) // as its journal has it, with all that it could cost
		dead.end()
		next := open(t, openDB(), "j", hard(100))
		if _, err := next.reserve(support, at, dollars(90), 300*time.Millisecond); fault.As(err).Code != "budget_exceeded" {
			t.Errorf("what the dead held was given out: %v", err)
		}
		if err := next.postCalls([]llm.Call{cut}); err != nil {
			t.Fatal(err)
		}
		if n, err := next.ReleaseDead(ctx, "j", next.lease); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if n, err := next.ReleaseDead(ctx, "j", next.lease); err != nil || n != 0 {
			t.Fatal(n, err)
		}
		if _, err := next.reserve(support, at, dollars(41), time.Second); fault.As(err).Code != "budget_exceeded" {
			t.Error(err)
		}
		next.pass(support, at, dollars(40))
		if a := next.only(); a.spent != dollars(100).in(unitUSD) {
			t.Error(sprint(a.spent))
		}
	})
}

func TestAnEndGivesBackWhatIsIdle(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", hard(100))
		at := time.Now()
		x.pass(support, at, dollars(1))
		h, err := x.reserve(support, at, dollars(2), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		x.settle(support, at, h, dollars(2)) // and not posted: its money must stay
		x.end()
		<-x.ended
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if a := x.only(); a.spent != dollars(1).in(unitUSD) || a.granted != dollars(2).in(unitUSD) {
			t.Errorf("%s spent, %s held", sprint(a.spent), sprint(a.granted))
		}
	})
}

func TestALostProcessIsWrittenOff(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, at := context.Background(), time.Now()
		config := hard(100)
		config["tokens"] = BudgetConfig{Scope: "user", Tokens: 1000, Period: Daily, Hard: true}
		lost := open(t, d, "gone", config)
		if _, err := lost.reserve(support, at, Amount{USD: dollars(60).USD, Tokens: 500}, time.Minute); err != nil {
			t.Fatal(err)
		}
		lost.end()
		<-lost.ended
		x := open(t, d, "j", config)
		noted := 0
		note := func(*db.Tx, WrittenOff) error { noted++; return nil }
		if _, err := x.WriteOff(ctx, lost.lease, note); fault.As(err).Code != "lease_alive" {
			t.Fatal(err)
		}
		if _, err := x.WriteOff(ctx, "nobody", note); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if _, err := d.Exec(ctx, "UPDATE budget_leases SET seen_at = seen_at - ?", (3 * time.Minute).Microseconds()); err != nil {
			t.Fatal(err)
		}
		states, err := x.Status(ctx)
		if err != nil || !states[0].Accounts[0].Holders[0].Dead || !strings.Contains(states[0].Accounts[0].Holders[0].Hint, "write-off "+lost.lease) {
			t.Fatalf("%+v %v", states, err)
		}
		w, err := x.WriteOff(ctx, lost.lease, note)
		if err != nil || w.Accounts != 2 || w.USD < dollars(60).USD || w.Tokens < 500 || noted != 1 {
			t.Fatalf("%+v %v, noted %d times", w, err, noted)
		}
		books := x.books() // what is spent is in the ledger
		for _, a := range books {
			if a.granted != 0 || a.spent == 0 {
				t.Errorf("%s: %d spent, %d held", a.name, a.spent, a.granted)
			}
		}
		var n int
		var kinds string
		if err := d.QueryRow(ctx, "SELECT COUNT(*), MIN(kind) FROM ledger").Scan(&n, &kinds); err != nil || n != 2 || kinds != "lost" {
			t.Error(n, kinds, err)
		}
	})
}

func TestACommitOfWhichNothingWasHeardIsNotCountedTwice(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		config := hard(10)
		config["soft"] = BudgetConfig{Scope: "workflow", USD: dollars(10).USD, Period: Monthly}
		x := open(t, d, "j", config)
		at := time.Now()
		for range 4 {
			h, err := x.reserve(support, at, dollars(2), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			x.settle(support, at, h, dollars(2))
			if err := x.postUnheard(x.take()); err != nil {
				t.Fatal(err)
			}
		}
		x.pass(support, at, dollars(1))
		x.pass(support, at, dollars(1)) // ten dollars of ten
		x.Budgets.mu.Lock()
		defer x.Budgets.mu.Unlock()
		for _, a := range x.accounts {
			if a.unposted() != 0 || a.spent != dollars(10).in(unitUSD) {
				t.Errorf("%s: %s spent, %s not posted", a.name, sprint(a.spent), sprint(a.unposted()))
			}
		}
	})
}

func TestAccountsWithoutCallsAreForgotten(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", map[string]BudgetConfig{"people": {Scope: "user", USD: dollars(10).USD, Period: Daily, Hard: true}, "soft": {Scope: "user", USD: dollars(10).USD, Period: Daily}})
		at := time.Now()
		for i := range 50 {
			s := support
			s.User = fmt.Sprint("user ", i)
			x.pass(s, at, dollars(1))
		}
		x.Budgets.mu.Lock()
		for _, a := range x.accounts {
			a.used -= 2 * idleAfter.Microseconds()
		}
		x.Budgets.mu.Unlock()
		eventually(t, "nothing is known any more, and nothing held", func() bool {
			if err := x.sweep(context.Background()); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := d.QueryRow(context.Background(), "SELECT COUNT(*) FROM budget_leases").Scan(&n); err != nil {
				t.Fatal(err)
			}
			x.Budgets.mu.Lock()
			defer x.Budgets.mu.Unlock()
			return n == 0 && len(x.accounts) == 0 && len(x.byName) == 0
		})
		s := support
		s.User = "user 7"
		x.pass(s, at, dollars(9)) // and is known again
		if _, err := x.reserve(s, at, dollars(1), time.Second); fault.As(err).Code != "budget_exceeded" {
			t.Error(err)
		}
	})
}

func TestOldPeriodsAreDeleted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", hard(10))
		x.pass(support, time.Now(), dollars(9))
		x.pass(support, time.Now().AddDate(-2, 0, 0), dollars(9))
		if err := x.clean(context.Background()); err != nil {
			t.Fatal(err)
		}
		if a := x.only(); a.span.end < time.Now().UnixMicro() {
			t.Error("the wrong one is left")
		}
	})
}
