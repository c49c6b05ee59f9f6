package cost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// till is a process with budgets: its calls wait, as in a journal, until they are posted.
type till struct {
	t      testing.TB
	db     *db.DB
	ledger *Ledger
	*Budgets

	mu     sync.Mutex
	calls  []llm.Call
	alerts []BudgetAlert
	end    context.CancelFunc
	ended  chan struct{}
}

var starts atomic.Int64

// open starts a process; its journal has a name.
func open(t testing.TB, d *db.DB, journal string, config map[string]BudgetConfig) *till {
	t.Helper()
	x := &till{t: t, db: d, ledger: NewLedger(d), ended: make(chan struct{})}
	x.Budgets = NewBudgets(config, d, LeaseID(journal, starts.Add(1)), func(a BudgetAlert) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.alerts = append(x.alerts, a)
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	x.end = cancel
	go func() {
		defer close(x.ended)
		x.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-x.ended
		x.Budgets.stop()
		x.Budgets.work.Wait()
	})
	return x
}

// logRow is the call's row in the log, as its hold has it.
func logRow(s llm.Spender, at time.Time, h *Hold, used Amount) llm.Call {
	return llm.Call{
		ID: id.At("call", at), Start: at, Environment: s.Environment, BusinessUnit: s.BusinessUnit, Workflow: s.Workflow, KeyID: s.KeyID, User: s.User,
		Usage: llm.Usage{Input: used.Tokens, Source: llm.Reported}, Cost: used.USD, Priced: true, Lease: h.Lease(), Holds: h.Accounts(),
	}
}

// reserve holds money for a call, and settle ends it.
func (x *till) reserve(s llm.Spender, at time.Time, bound Amount, wait time.Duration) (*Hold, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return x.Reserve(ctx, s, at, bound)
}

func (x *till) settle(s llm.Spender, at time.Time, h *Hold, used Amount) {
	h.Settle(used)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calls = append(x.calls, logRow(s, at, h, used))
}

// take empties the journal.
func (x *till) take() []llm.Call {
	x.mu.Lock()
	defer x.mu.Unlock()
	calls := x.calls
	x.calls = nil
	return calls
}

// post brings what is in the journal into the database.
func (x *till) post() {
	x.t.Helper()
	if err := x.postCalls(x.take()); err != nil {
		x.t.Error(err)
	}
}

func (x *till) postCalls(calls []llm.Call) error {
	if len(calls) == 0 {
		return nil
	}
	ctx := context.Background()
	return x.db.Tx(ctx, func(tx *db.Tx) error {
		return errors.Join(x.ledger.Post(ctx, tx, calls), x.Post(ctx, tx, calls))
	})
}

// books are the accounts of the database, held against the ledger and, unless somebody used more than it held, against
// the budget.
func (x *till) books() map[string]account {
	x.t.Helper()
	books, err := readBooks(x.db)
	if err != nil {
		x.t.Fatal(err)
	}
	for at, a := range books {
		r, whose := x.ruleOf(at)
		if r == nil {
			continue
		}
		sum, err := sumLedger(context.Background(), x.db, r, whose, a.span)
		if err != nil {
			x.t.Fatal(err)
		}
		if sum != a.spent {
			x.t.Errorf("%s: %d spent, %d in the ledger", at, a.spent, sum)
		}
		if r.hard && a.spent+a.granted > r.limit {
			x.t.Errorf("%s: %d spent and %d held of %d", at, a.spent, a.granted, r.limit)
		}
	}
	return books
}

func readBooks(d *db.DB) (map[string]account, error) {
	rows, err := d.Query(context.Background(), `SELECT account, period, ends_at, spent, CAST(COALESCE((SELECT SUM(amount) FROM budget_leases l WHERE l.account = a.account AND l.period = a.period), 0) AS BIGINT) FROM budget_accounts a`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	books := map[string]account{}
	for rows.Next() {
		var a account
		if err := rows.Scan(&a.name, &a.span.start, &a.span.end, &a.spent, &a.granted); err != nil {
			return nil, err
		}
		books[a.name] = a
	}
	return books, rows.Err()
}

// only is the one account there is.
func (x *till) only() account {
	x.t.Helper()
	books := x.books()
	if len(books) != 1 {
		x.t.Fatalf("%d accounts", len(books))
	}
	for _, a := range books {
		return a
	}
	panic("unreachable")
}

var support = llm.Spender{Environment: "prod", BusinessUnit: "sales", Workflow: "support-bot", KeyID: "key_1", KeyName: "search", User: "ann"}

func dollars(n float64) Amount { return Amount{USD: money.Nanos(n * float64(money.Dollar))} }

// hard is a hard monthly budget of a workflow.
func hard(usd int) map[string]BudgetConfig {
	return map[string]BudgetConfig{"monthly": {Scope: "workflow", USD: money.Nanos(usd) * money.Dollar, Period: Monthly, Hard: true}}
}

// rush makes n calls at once, spread over processes, and counts those that passed, until their deadline.
func rush(t *testing.T, tills []*till, n int, bound, use Amount, deadline time.Duration) (passed int64) {
	t.Helper()
	var all sync.WaitGroup
	var ok, unexpected atomic.Int64
	at := time.Now()
	for i := range n {
		x := tills[i%len(tills)]
		all.Go(func() {
			h, err := x.reserve(support, at, bound, deadline)
			switch {
			case err == nil:
				time.Sleep(time.Duration(i%5) * time.Millisecond)
				x.settle(support, at, h, use)
				ok.Add(1)
			case fault.As(err).Code != "budget_exceeded":
				if unexpected.Add(1) == 1 {
					t.Errorf("refused with %v", err)
				}
			}
		})
	}
	all.Wait()
	return ok.Load()
}

// posting posts until it is stopped.
func posting(tills []*till) (stop func()) {
	quit := make(chan struct{})
	var all sync.WaitGroup
	for _, x := range tills {
		all.Go(func() {
			for {
				x.post()
				select {
				case <-quit:
					x.post()
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return func() { close(quit); all.Wait() }
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come about: %s", what)
		}
	}
}

func sprint(n int64) string { return fmt.Sprint(money.Nanos(n)) }
