package cost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/llm"
	"airfield/internal/money"
)

var errLost = errors.New("the answer was lost")

// flaky answers some transactions with an error although they were committed, and some without doing them.
func flaky(rng *rand.Rand, tx func(context.Context, func(*db.Tx) error) error) func(context.Context, func(*db.Tx) error) error {
	return func(ctx context.Context, fn func(*db.Tx) error) error {
		switch rng.IntN(10) {
		case 0:
			return errLost
		case 1, 2:
			return errors.Join(tx(ctx, fn), errLost)
		}
		return tx(ctx, fn)
	}
}

// postUnheard commits what is in the journal, but nobody hears of it.
func (x *till) postUnheard(calls []llm.Call) error {
	if len(calls) == 0 {
		return nil
	}
	ctx := context.Background()
	return x.db.Tx(ctx, func(tx *db.Tx) error {
		deaf := *tx
		return errors.Join(x.ledger.Post(ctx, &deaf, calls), x.Post(ctx, &deaf, calls))
	})
}

// flight is a call in flight: a process that crashes leaves it to its journal, with all that it could cost.
type flight struct {
	hold  *Hold
	s     llm.Spender
	bound int64
}

// world is processes over one database, and what is true of them.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	open    func() *db.DB
	config  map[string]BudgetConfig
	limit   int64
	tills   []*till
	flights []map[*flight]bool
	at      time.Time
	used    int64 // by all calls that have ended
	steps   []string
}

func (w *world) check() {
	w.t.Helper()
	promised := w.used
	for _, flights := range w.flights {
		for f := range flights {
			promised += f.bound
		}
	}
	if promised > w.limit {
		w.t.Errorf("%d used and promised of %d", promised, w.limit)
	}
	w.tills[0].books()
	for i, x := range w.tills {
		x.Budgets.mu.Lock()
		for _, a := range x.accounts {
			if a.rule.hard && a.free()+a.moving < 0 { // what moves may be back already
				w.t.Errorf("process %d promised more of %s than it leased: %d leased, %d moving, %d held, %d not posted", i, a.name, a.granted, a.moving, a.held, a.unposted())
			}
		}
		x.Budgets.mu.Unlock()
	}
	if w.t.Failed() {
		for i, s := range w.steps[max(0, len(w.steps)-15):] {
			w.t.Log(i, s)
		}
		w.t.FailNow()
	}
}

func (w *world) step() {
	i := w.rng.IntN(len(w.tills))
	x, flights := w.tills[i], w.flights[i]
	any := func() *flight {
		n := w.rng.IntN(max(1, len(flights)))
		for f := range flights {
			if n--; n < 0 {
				return f
			}
		}
		return nil
	}
	what := ""
	switch n := w.rng.IntN(100); {
	case n < 45:
		f := &flight{s: support, bound: 1 + w.rng.Int64N(20)}
		f.s.User = []string{"", "ann", "bob"}[w.rng.IntN(3)]
		h, err := x.reserve(f.s, w.at, Amount{USD: money.Nanos(f.bound)}, time.Duration(w.rng.IntN(40))*time.Millisecond)
		if what = fmt.Sprintf("reserve %d: %v", f.bound, err); err == nil {
			f.hold = h
			flights[f] = true
		}
	case n < 55:
		if f := any(); f != nil {
			most := 1 + w.rng.Int64N(30)
			err := f.hold.Raise(Amount{USD: money.Nanos(most)})
			if what = fmt.Sprintf("raise %d to %d: %v", f.bound, most, err); err == nil {
				f.bound = most
			}
		}
	case n < 75:
		if f := any(); f != nil {
			used := w.rng.Int64N(f.bound + 1)
			x.settle(f.s, w.at, f.hold, Amount{USD: money.Nanos(used)})
			w.used += used
			delete(flights, f)
			what = fmt.Sprintf("settle %d with %d", f.bound, used)
		}
	case n < 80:
		if f := any(); f != nil {
			f.hold.Cancel()
			delete(flights, f)
			what = "cancel"
		}
	case n < 92:
		what = "post"
		x.post()
	case n < 95:
		what = "post unheard"
		if err := x.postUnheard(x.take()); err != nil {
			w.t.Error(err)
		}
	case n < 97:
		what = "crash"
		w.crash(i)
	default:
		what = "reload"
		x.Reload(w.config)
	}
	w.steps = append(w.steps, fmt.Sprintf("%d: %s", i, what))
}

// crash ends a process without a word; the next over its journal brings in its calls, then frees the rest.
func (w *world) crash(i int) {
	dead := w.tills[i]
	dead.end()
	<-dead.ended
	dead.Budgets.mu.Lock()
	dead.stop()
	dead.Budgets.mu.Unlock()
	dead.work.Wait()
	next := open(w.t, w.open(), journalOf(dead.lease), w.config)
	next.inTx = dead.inTx
	calls := dead.take()
	for f := range w.flights[i] {
		if w.rng.IntN(3) == 0 {
			continue // it died before it had written down that the call began
		}
		calls = append(calls, logRow(f.s, w.at, f.hold, Amount{USD: money.Nanos(f.bound)}))
		w.used += f.bound
	}
	if err := next.postCalls(calls); err != nil {
		w.t.Error(err)
	}
	if _, err := next.ReleaseDead(context.Background(), journalOf(dead.lease), next.lease); err != nil {
		w.t.Error(err)
	}
	w.tills[i], w.flights[i] = next, map[*flight]bool{}
}

func TestWhateverHappensNothingIsPromisedTwice(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, openDB func() *db.DB) {
				w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), open: openDB, limit: 600, at: time.Now(), config: map[string]BudgetConfig{
					"monthly": {Scope: "workflow", USD: 600, Period: Monthly, Hard: true},
					"people":  {Scope: "user", USD: 300, Period: Daily, Hard: true},
					"all":     {Scope: "environment", USD: 500, Period: Weekly, EconomyAt: 50},
				}}
				for i := range processes {
					x := open(t, openDB(), fmt.Sprint("journal", i), w.config)
					x.Budgets.mu.Lock()
					x.inTx = flaky(rand.New(rand.NewPCG(seed, uint64(i))), x.db.Tx)
					x.Budgets.mu.Unlock()
					w.tills, w.flights = append(w.tills, x), append(w.flights, map[*flight]bool{})
				}
				for range 250 {
					w.step()
					w.check()
				}
				for i, flights := range w.flights {
					for f := range flights {
						f.hold.Cancel()
					}
					w.flights[i] = nil
					w.tills[i].post()
				}
				w.check()
				for i, x := range w.tills { // what is lost is not found here
					x.end()
					<-x.ended
					x.Budgets.mu.Lock()
					x.stop()
					x.Budgets.mu.Unlock()
					x.work.Wait()
					x.inTx = x.db.Tx
					x.Close()
					for _, a := range x.accounts {
						if a.rule.hard && (a.held != 0 || a.unposted() != 0) {
							t.Errorf("process %d: %s: %d held and %d not posted at the end", i, a.name, a.held, a.unposted())
						}
					}
				}
				for _, a := range w.tills[0].books() {
					if a.granted != 0 {
						t.Errorf("%s: %d is still leased at the end", a.name, a.granted)
					}
					if budget, _, _ := splitAccount(a.name); budget == "monthly" && a.spent != w.used {
						t.Errorf("%d spent, %d used", a.spent, w.used)
					}
				}
			})
		})
	}
}
