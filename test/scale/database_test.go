package scale

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// outage is how long the database is away, and fresh for how long keys are good without it.
func outage() (away, fresh time.Duration) {
	if os.Getenv("AIRFIELD_LONG") != "" {
		return 75 * time.Second, time.Minute
	}
	return 7 * time.Second, 3 * time.Second
}

// stamped is what became of a call, and when it was made.
type stamped struct {
	binary.Exchange
	at time.Time
}

// keepAsking has every process asked by a few clients until ctx ends.
func (f *fleet) keepAsking(ctx context.Context, clients int, pause time.Duration, key string) (end func() []stamped) {
	var mu sync.Mutex
	var all []stamped
	var wait sync.WaitGroup
	for _, s := range f.all {
		for c := range clients {
			wait.Go(func() {
				for n := c; ctx.Err() == nil; n++ {
					at := time.Now()
					e, err := s.Chat(context.Background(), question(n, used), binary.As(key)...)
					if err != nil {
						f.t.Error(err)
					}
					mu.Lock()
					all = append(all, stamped{e, at})
					mu.Unlock()
					time.Sleep(pause) // a client's own pace
				}
			})
		}
	}
	return func() []stamped { wait.Wait(); return all }
}

func TestTheDatabaseAwayUnderLoadCostsNoCallThatCouldGoOnAndNoRow(t *testing.T) {
	withoutDatabase(t, (*link).Cut, (*link).Mend)
}

func TestTheDatabaseHaltedUnderLoadCostsNoCallThatCouldGoOnAndNoRow(t *testing.T) {
	withoutDatabase(t, (*link).Halt, (*link).Resume)
}

// withoutDatabase takes the database from three processes that are asked all the time, and gives it back.
func withoutDatabase(t *testing.T, take, give func(*link)) {
	away, fresh := outage()
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Use: 1, Between: 10 * time.Millisecond}})
	direct := dbtest.Postgres(t)
	way, through := newLink(t, direct)
	// The budget rich has money for all that is asked; near leaves a process a few calls beyond what is leased.
	config := stores(t, through) + redisFor(t) + models(u, 0, output) + fmt.Sprintf("access: {key_cache: %s, key_poll: 200ms}\nlog: {level: error}\n", fresh) +
		team + "workflows: {team: {business_unit: product, clearance: internal}, poor: {business_unit: product, clearance: internal}}\n" +
		"budgets:\n  hard: {scope: workflow, of: team, usd: 10000, period: month, hard: true}\n  near: {scope: workflow, of: poor, usd: 4, period: month, hard: true}\n"
	f := launch(t, 3, u, direct, config)
	poor := f.all[0].Key("poor")
	ctx, stop := context.WithCancel(t.Context())
	rich := f.keepAsking(ctx, 8, 150*time.Millisecond, f.key)
	f.all[0].Await("every process to have leased for a while", func() bool {
		return f.number("SELECT COUNT(*) FROM budget_leases WHERE account LIKE 'hard/%' AND amount > ?", int64(1000*cent)) == 3
	})
	for i := range f.all { // each has the key, and some money
		if e := f.chat(i, poor, i); !e.Whole {
			t.Fatalf("%d %s", e.Status, e.Text)
		}
	}
	cut := time.Now()
	take(way)
	few, enough := context.WithCancel(ctx)
	edge := f.keepAsking(few, 4, 20*time.Millisecond, poor)
	time.Sleep(away) // it is what is tested
	back := time.Now()
	give(way)
	enough()
	poorer := edge()
	f.all[0].Await("keys to be good again", func() bool { e := f.chat(0, f.key, 1); return e.Whole })
	for i := range f.all {
		f.all[i].Await("every process to serve again", func() bool {
			return f.chat(i, f.key, 1).Whole && f.chat(i, poor, 1).Status != http.StatusServiceUnavailable
		})
	}
	mended := u.Chats().Whole
	f.all[0].Await("calls after it", func() bool { return u.Chats().Whole > mended+100 })
	stop()
	seen := rich()

	during, late := 0, 0
	for _, e := range seen {
		switch {
		case e.Whole && e.at.After(cut) && e.at.Before(back):
			during++
		case e.Whole:
		case e.Status != http.StatusServiceUnavailable || code(e.Exchange) != "keys_unavailable" || e.Header.Get("Retry-After") == "":
			t.Errorf("%s after the cut: %d %s", e.at.Sub(cut), e.Status, e.Text)
		case e.at.Before(cut.Add(fresh - 1500*time.Millisecond)): // from the last poll on
			t.Errorf("refused %s after the cut, while its key was good for %s", e.at.Sub(cut), fresh)
		default:
			late++
		}
	}
	leased, spent := 0, 0
	for _, e := range poorer {
		switch {
		case e.Whole:
			leased++
		case e.Status == http.StatusServiceUnavailable && code(e.Exchange) == "budget_unavailable":
			spent++
		case e.Status != http.StatusServiceUnavailable || code(e.Exchange) != "keys_unavailable":
			t.Errorf("with little money, %s after the cut: %d %s", e.at.Sub(cut), e.Status, e.Text)
		}
	}
	t.Logf("away for %s: %d calls went on, then %d were refused; with little money %d went on and %d were refused", back.Sub(cut).Round(time.Millisecond), during, late, leased, spent)
	if during < 50 || late == 0 || leased == 0 || spent == 0 {
		t.Error("that proves little")
	}
	f.quiet()
	f.everyCallIsIn(slices.Concat(seen, poorer))
}

// everyCallIsIn looks, when all is in the database, whether it says what the provider and the clients say.
func (f *fleet) everyCallIsIn(seen []stamped) {
	t := f.t
	t.Helper()
	rows, ok := f.rows(), 0
	for _, e := range seen {
		row, known := rows[e.ID]
		if e.Whole && (!known || row.Outcome != "ok") {
			t.Errorf("the call %s was answered; it is in the log: %t, as %s", e.ID, known, row.Outcome)
		}
	}
	for id, row := range rows {
		if row.Outcome == "ok" {
			ok++
		} else if row.ErrorKind == "" {
			t.Errorf("%s ended as %s", id, row.Outcome)
		}
	}
	billed := money.Nanos(f.upstream.Chats().Output * output * 1000)
	spent := money.Nanos(f.number("SELECT COALESCE(SUM(spent), 0) FROM budget_accounts"))
	ledger := money.Nanos(f.number("SELECT COALESCE(SUM(nanos_usd), 0) FROM ledger"))
	if whole := int(f.upstream.Chats().Whole); ok != whole || spent != billed || ledger != billed || f.costs() != billed {
		t.Errorf("%d rows of %d calls; %s are spent, %s in the ledger, %s in the roll-ups, and the provider bills %s", ok, whole, spent, ledger, f.costs(), billed)
	}
}
