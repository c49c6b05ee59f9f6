package cost

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
)

func TestARefusalExplainsItself(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		config := map[string]BudgetConfig{"monthly": {Scope: "workflow", USD: dollars(100).USD, Period: Monthly, TimeZone: "Europe/Berlin", Hard: true}}
		x := open(t, d, "j", config)
		at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		h, err := x.reserve(support, at, dollars(97.2), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		x.settle(support, at, h, dollars(97.2))
		if h, err = x.reserve(support, at, dollars(2.1), time.Second); err != nil {
			t.Fatal(err)
		}
		defer h.Cancel()
		_, err = x.reserve(support, at, dollars(1.4), 50*time.Millisecond)
		f := fault.As(err)
		want := "budget monthly of workflow support-bot: $100.00 a month, $97.20 spent, $2.10 held by calls in flight, this call may cost up to $1.40; it frees on 2026-12-01 00:00 Europe/Berlin"
		if f.Kind != fault.Limited || f.Code != "budget_exceeded" || f.Text != want || f.Hint == "" {
			t.Errorf("%s %s: %s (%s)", f.Kind, f.Code, f.Text, f.Hint)
		}
		decided, ok := f.Detail.(*llm.Decision)
		if !ok || decided.Waited < 40 {
			t.Fatalf("%+v", f.Detail)
		}
		decided.Waited, decided.FreesAt = 0, decided.FreesAt.UTC()
		if *decided != (llm.Decision{Rule: "budget", Name: "monthly", Scope: "workflow", Of: "support-bot", Unit: "usd", Limit: "100", Spent: "97.2", Held: "2.1", Asked: "1.4",
			FreesAt: time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC), Reason: want}) {
			t.Errorf("%+v", decided)
		}
	})
}

func TestACallThatCanNeverFitIsRefusedAtOnce(t *testing.T) {
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", hard(10))
	at, began := time.Now(), time.Now()
	_, err := x.reserve(support, at, dollars(10.5), time.Minute)
	if f := fault.As(err); f.Code != "budget_exceeded" || !strings.Contains(f.Text, "this call may cost up to $10.50, which is more than the whole budget") || strings.Contains(f.Text, "spent") || f.RetryAfter != 0 {
		t.Errorf("%v, after %s", err, f.RetryAfter)
	}
	if x.Budgets.work.Wait(); len(x.alerts) != 0 {
		t.Error("a call that is too large is no budget that refuses: ", x.alerts)
	}
	h, err := x.reserve(support, at, dollars(9), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	h.Settle(dollars(9))
	if _, err = x.reserve(support, at, dollars(2), time.Minute); fault.As(err).Code != "budget_exceeded" {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("they waited, %s", took)
	}
}

func TestACallWaitsForOthersToSettleInItsTurn(t *testing.T) {
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", hard(10))
	at := time.Now()
	first, err := x.reserve(support, at, dollars(10), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan int, 2)
	waiting := func(n int) func() bool {
		return func() bool {
			x.Budgets.mu.Lock()
			defer x.Budgets.mu.Unlock()
			return len(first.parts[0].account.queue) == n
		}
	}
	for i, bound := range []float64{6, 3} { // the second would fit sooner, and does not overtake
		go func() {
			h, err := x.reserve(support, at, dollars(bound), time.Minute)
			if err != nil {
				t.Error(err)
			}
			order <- i
			h.Settle(dollars(1))
		}()
		eventually(t, "the call waits", waiting(i+1))
	}
	if err := first.Raise(dollars(5)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both still wait", waiting(2))
	first.Settle(dollars(2))
	if a, b := <-order, <-order; a != 0 || b != 1 {
		t.Error("the second overtook the first")
	}
}

func TestACallerThatLeavesIsNotRefusedAndHoldsNothing(t *testing.T) {
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", hard(10))
	at := time.Now()
	first, err := x.reserve(support, at, dollars(10), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, leave)
	if _, err := x.Reserve(ctx, support, at, dollars(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	first.Cancel()
	first.Cancel() // does nothing
	h, err := x.reserve(support, at, dollars(10), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	h.Settle(dollars(3))
	h.Settle(dollars(3)) // does nothing, either
	h.Cancel()
	if err := h.Raise(dollars(1)); err == nil {
		t.Error("a settled hold was raised")
	}
	a := h.parts[0].account
	if a.held != 0 || a.unposted() != dollars(3).in(unitUSD) || len(a.queue) != 0 {
		t.Errorf("%d held, %d used, %d wait", a.held, a.unposted(), len(a.queue))
	}
}

func TestRaisingIsAllOrNothing(t *testing.T) {
	config := hard(10)
	config["people"] = BudgetConfig{Scope: "user", USD: dollars(4).USD, Period: Daily, Hard: true}
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", config)
	h, err := x.reserve(support, time.Now(), dollars(1), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "money is leased ahead", func() bool { return h.Raise(dollars(1.2)) == nil })
	if f := fault.As(h.Raise(dollars(5))); f.Code != "budget_exceeded" {
		t.Error(f)
	}
	for _, p := range h.parts {
		if p.bound != dollars(1.2).in(unitUSD) || p.account.held != p.bound {
			t.Errorf("%s: %d held, bound %d", p.account.name, p.account.held, p.bound)
		}
	}
}

func TestWithoutTheDatabaseCallsGoOnWhileLeasedMoneyLasts(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", hard(1000))
		at := time.Now()
		h, err := x.reserve(support, at, dollars(1), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		h.Settle(dollars(1))
		a := h.parts[0].account
		eventually(t, "money is leased ahead", func() bool {
			x.Budgets.mu.Lock()
			defer x.Budgets.mu.Unlock()
			return a.free() >= dollars(5).in(unitUSD) && !a.ask.busy && !a.ask.wanted
		})
		d.Close()
		leased := a.free()
		passed := int64(0)
		for {
			began := time.Now()
			h, err := x.reserve(support, at, dollars(1), time.Minute)
			if err != nil {
				f := fault.As(err)
				if f.Kind != fault.Unavailable || f.Code != "budget_unavailable" || !strings.Contains(f.Text, "monthly of workflow support-bot") || time.Since(began) > awayAfter+time.Second {
					t.Errorf("%s after %s", err, time.Since(began))
				}
				break
			}
			if took := time.Since(began); took > 100*time.Millisecond {
				t.Errorf("a call with leased money waited %s for the database", took)
			}
			h.Settle(dollars(1))
			passed++
		}
		if passed != leased/dollars(1).in(unitUSD) {
			t.Errorf("%d calls of a dollar passed with %s", passed, sprint(leased))
		}
		began := time.Now()
		if _, err := x.reserve(support, at, dollars(1), time.Minute); fault.As(err).Code != "budget_unavailable" || time.Since(began) > time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestASlowDatabaseDoesNotHoldUpLeasedMoney(t *testing.T) {
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", hard(1000))
	at := time.Now()
	h, err := x.reserve(support, at, dollars(1), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	h.Cancel()
	a := h.parts[0].account
	eventually(t, "money is leased ahead", func() bool {
		x.Budgets.mu.Lock()
		defer x.Budgets.mu.Unlock()
		return a.free() >= dollars(5).in(unitUSD) && !a.ask.busy && !a.ask.wanted
	})
	release := make(chan struct{})
	held := make(chan struct{})
	go x.db.Tx(context.Background(), func(*db.Tx) error { close(held); <-release; return nil }) // SQLite has one writer
	<-held
	defer close(release)
	for range int(a.free() / dollars(1).in(unitUSD)) {
		began := time.Now()
		h, err := x.reserve(support, at, dollars(1), time.Minute)
		if err != nil || time.Since(began) > 100*time.Millisecond {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		h.Settle(dollars(1))
	}
	if _, err := x.reserve(support, at, dollars(1), 300*time.Millisecond); err == nil {
		t.Error("a call passed without money")
	}
}

func TestAnEmptyBudgetIsNotBlamedForAShortDeadline(t *testing.T) {
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", hard(100))
	at := time.Now()
	h, err := x.reserve(support, at, dollars(0.01), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	release, held := make(chan struct{}), make(chan struct{})
	go x.db.Tx(context.Background(), func(*db.Tx) error { close(held); <-release; return nil })
	<-held
	defer close(release)
	if f := fault.As(h.Raise(dollars(90))); f.Code != "budget_unavailable" {
		t.Error(f)
	}
	h.Cancel()
	if _, err := x.reserve(support, at, dollars(90), 20*time.Millisecond); fault.As(err).Code != "budget_unavailable" || !strings.Contains(err.Error(), "deadline") {
		t.Error(err)
	}
	if len(x.alerts) != 0 {
		t.Error(x.alerts)
	}
}

// Two accounts, of which one is used up: who waits for it does not keep others from the other.
func TestWhoWaitsForOneBudgetDoesNotHoldUpAnother(t *testing.T) {
	config := map[string]BudgetConfig{"all": {Scope: "environment", USD: dollars(1000).USD, Period: Monthly, Hard: true}, "people": {Scope: "user", USD: dollars(10).USD, Period: Daily, Hard: true}}
	x := open(t, dbtest.Open(t, dbtest.SQLite(t)), "j", config)
	at := time.Now()
	first, err := x.reserve(support, at, dollars(10), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() {
		h, err := x.reserve(support, at, dollars(10), time.Minute)
		if err == nil {
			h.Settle(dollars(10))
		}
		waited <- err
	}()
	eventually(t, "ann waits", func() bool {
		x.Budgets.mu.Lock()
		defer x.Budgets.mu.Unlock()
		return len(first.parts[1].account.queue) == 1
	})
	bob := support
	bob.User = "bob"
	for range 20 {
		h, err := x.reserve(bob, at, dollars(0.1), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		h.Settle(dollars(0.1))
	}
	first.Cancel()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}
