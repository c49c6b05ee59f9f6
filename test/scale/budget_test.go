package scale

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"airfield/internal/api/admin"
	"airfield/internal/db/dbtest"
	"airfield/internal/id"
	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const (
	calls  = 600              // that are made at once
	cent   = money.Nanos(1e7) // what each uses: ten tokens at a thousand dollars a million
	output = 1000
	used   = 10 // tokens of each call
)

// hard is a budget for a number of dollars, below one that never matters.
func hard(usd string) string {
	return fmt.Sprintf("budgets:\n  hard: {scope: workflow, of: team, usd: %s, period: month, hard: true}\n  all: {scope: environment, usd: 1000, period: month, hard: true}\n", usd)
}

// redisFor names the shared Redis, with keys of the test's own. A busy machine is no failure of Redis.
func redisFor(t *testing.T) string {
	return fmt.Sprintf("redis: {url: %q, prefix: %q, timeout: 10s}\n", binary.Redis(t), id.New("test")+":")
}

const workflow = team + "workflows: {team: {business_unit: product, clearance: internal}}\n"

func onOneDatabase(t *testing.T, u *upstream.Upstream, usd string) *fleet {
	url := dbtest.Postgres(t)
	return launch(t, 3, u, url, stores(t, url)+redisFor(t)+models(u, 0, output)+workflow+hard(usd))
}

func TestThreeProcessesPassAHundredOfSixHundredCallsAndNeverMore(t *testing.T) {
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Use: 1}})
	f := onOneDatabase(t, u, "1.00")
	f.passesAHundred(used, cent)
}

func TestOneProcessOnSQLitePassesAHundredOfSixHundredCallsAndNeverMore(t *testing.T) {
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Use: 1}})
	f := launch(t, 1, u, "", models(u, 0, output)+workflow+hard("1.00"))
	f.passesAHundred(used, cent)
}

func TestThreeProcessesUseABudgetUpThoughEachCallHoldsTwentyTimesItsUse(t *testing.T) {
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Use: 0.05}})
	f := onOneDatabase(t, u, "1.00")
	f.usesUp(20*used, 20*cent)
}

func TestOneProcessOnSQLiteUsesABudgetUpThoughEachCallHoldsTwentyTimesItsUse(t *testing.T) {
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Use: 0.05}})
	f := launch(t, 1, u, "", models(u, 0, output)+workflow+hard("1.00"))
	f.usesUp(20*used, 20*cent)
}

// passesAHundred asks six hundred times for a hundredth of the budget.
func (f *fleet) passesAHundred(most int, bound money.Nanos) {
	f.t.Helper()
	passed := f.fire(most, bound)
	if passed < 95 || passed > 100 {
		f.t.Errorf("%d calls passed a budget for 100", passed)
	}
}

// usesUp does so with calls that hold more than they use: they wait for one another, and what is left is less than one
// of them may cost.
func (f *fleet) usesUp(most int, bound money.Nanos) {
	f.t.Helper()
	passed := f.fire(most, bound)
	if left := money.Dollar - money.Nanos(passed)*cent; left < 0 || left >= bound {
		f.t.Errorf("%d calls passed, and %s are left of the budget", passed, left)
	}
}

// fire makes all calls at once, and holds what is said of them in every place against the others.
func (f *fleet) fire(most int, bound money.Nanos) (passed int) {
	t := f.t
	t.Helper()
	begin := time.Now()
	seen := f.volley(calls, most)
	took := time.Since(begin)
	f.quiet()
	rows := f.rows()
	if len(rows) != calls {
		t.Errorf("%d rows of %d calls", len(rows), calls)
	}
	asked := 0
	for _, e := range seen {
		row := rows[e.ID]
		switch {
		case e.Whole:
			passed++
			if row.Outcome != "ok" || row.CostUSD != cent || row.UsageSource != "reported" {
				t.Errorf("the call %s passed and is logged as %s at %s", e.ID, row.Outcome, row.CostUSD)
			}
		case e.Status != http.StatusTooManyRequests:
			t.Errorf("the call %s: %d %s", e.ID, e.Status, e.Text)
		default:
			f.explained(e, row, bound)
			if asked++; asked <= 9 { // the list has shown the same rows
				var one admin.Call
				f.all[asked%len(f.all)].Call(http.MethodGet, "/api/calls/"+e.ID, nil, &one)
				f.explained(e, one, bound)
			}
		}
	}
	b := f.budget()
	spent, ledger := dollars(t, b.Accounts[0].Spent), money.Nanos(f.number("SELECT COALESCE(SUM(nanos_usd), 0) FROM ledger"))
	billed := money.Nanos(f.upstream.Chats().Output * output * 1000)
	t.Logf("%d of %d calls passed in %s; spent %s", passed, calls, took.Round(time.Millisecond), spent)
	if got := f.upstream.Chats(); got.Begun != int64(passed) || got.Whole != int64(passed) {
		t.Errorf("%d calls passed, and the provider has %+v", passed, got)
	}
	if want := money.Nanos(passed) * cent; spent != want || ledger != want || f.costs() != want || billed != want || spent > money.Dollar {
		t.Errorf("%d calls passed: %s are spent, %s in the ledger, %s in the roll-ups, and the provider bills %s", passed, spent, ledger, f.costs(), billed)
	}
	if len(b.Refusals) == 0 || b.Refusals[0].Decision.Reason == "" {
		t.Error("the budget does not say whom it refused")
	}
	for _, s := range f.all {
		s.Stop()
	}
	if held := f.number("SELECT COALESCE(SUM(amount), 0) FROM budget_leases"); held != 0 {
		t.Errorf("%s are held when every process has ended", money.Nanos(held))
	}
	return passed
}

// explained looks at a refusal, in the error and in the log.
func (f *fleet) explained(e binary.Exchange, row admin.Call, bound money.Nanos) {
	f.t.Helper()
	d := refusal(e)
	if d == nil || row.Decision == nil {
		f.t.Errorf("the call %s was refused without a reason: %s, and in the log %+v", e.ID, e.Text, row.Decision)
		return
	}
	spent, held := dollars(f.t, d.Spent), dollars(f.t, d.Held)
	switch {
	case d.Rule != "budget" || d.Name != "hard" || d.Of != "team" || dollars(f.t, d.Limit) != money.Dollar || dollars(f.t, d.Asked) != bound || d.FreesAt.Before(time.Now()):
		f.t.Errorf("the call %s was refused with %+v", e.ID, d)
	case spent == 0 && held == 0:
		f.t.Errorf("the call %s was refused with nothing spent and nothing held: %s", e.ID, d.Reason)
	case spent+held+bound <= money.Dollar:
		f.t.Errorf("the call %s was refused though there was room: %s", e.ID, d.Reason)
	case d.Reason != row.Decision.Reason || d.Spent != row.Decision.Spent || row.Status != http.StatusTooManyRequests:
		f.t.Errorf("the call %s was told %q; its row says %d %q", e.ID, d.Reason, row.Status, row.Decision.Reason)
	}
}
