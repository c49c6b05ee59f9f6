package scale

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const limit = 3 * money.Dollar // of the budgets of this file

// billed is what the provider would charge, at models(u, 1, output).
func (f *fleet) billed() money.Nanos {
	c := f.upstream.Chats()
	return money.Nanos(c.Input*1000 + c.Output*output*1000)
}

const (
	inHard  = " WHERE account LIKE 'hard/%'"
	spentOf = "SELECT COALESCE((SELECT SUM(spent) FROM budget_accounts" + inHard + "), 0)"
	heldOf  = "COALESCE((SELECT SUM(amount) FROM budget_leases" + inHard + "), 0)"
)

// booked is the sum of the ledger as the budget counts it.
func (f *fleet) booked() money.Nanos {
	return money.Nanos(f.number("SELECT COALESCE(SUM(nanos_usd), 0) FROM ledger WHERE kind = 'call' OR deployment LIKE 'hard/%'"))
}

// watch looks until the returned function is called whether what is spent and held is ever less than the provider's count
// of just before, or more than the budget: in the database, and as a process says it.
func (f *fleet) watch() (end func()) {
	inDatabase := func() (spent, held money.Nanos, err error) {
		err = f.db.QueryRow(context.Background(), spentOf+", "+heldOf).Scan(&spent, &held)
		return spent, held, err
	}
	said := func() (spent, held money.Nanos, err error) {
		a := f.budgetOf(f.all[1]).Accounts[0]
		return dollars(f.t, a.Spent), dollars(f.t, a.Held), nil
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	for name, look := range map[string]func() (spent, held money.Nanos, err error){"in the database": inDatabase, "by the API": said} {
		wait.Go(func() {
			looked := 0
			for {
				select {
				case <-done:
					if looked < 20 {
						f.t.Errorf("looked only %d times %s", looked, name)
					}
					return
				case <-time.After(5 * time.Millisecond):
				}
				looked++
				before := f.billed()
				spent, held, err := look()
				if err != nil || spent > limit || spent+held < before || spent+held > limit {
					f.t.Errorf("%s, %s are spent and %s held of %s; the provider bills %s; %v", name, spent, held, limit, before, err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		wait.Wait()
	}
}

// killOneOfThree loads three processes and kills the first of them in the middle of calls. It returns the lease that the
// dead one has left, when the others have used up all that they can have.
func killOneOfThree(t *testing.T) (f *fleet, lease string, end func()) {
	t.Helper()
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Use: 1, Between: 40 * time.Millisecond}})
	url := dbtest.Postgres(t)
	f = launch(t, 3, u, url, stores(t, url)+redisFor(t)+models(u, 1, output)+workflow+"routing: {queue: {wait: 2s}}\n"+hard(limit.Decimal()))
	dead := f.all[0]
	if e, err := dead.Chat(t.Context(), question(0, used), binary.As(f.key)...); err != nil || !e.Whole {
		t.Fatalf("%d %s %v", e.Status, e.Text, err)
	}
	if err := f.db.QueryRow(t.Context(), "SELECT lease FROM budget_leases"+inHard).Scan(&lease); err != nil {
		t.Fatal(err) // it is the only one
	}
	end = f.watch()

	ctx, stop := context.WithCancel(t.Context())
	torn := make(chan int, 1)
	var wait sync.WaitGroup
	for _, s := range f.all {
		wait.Go(func() {
			cut := 0
			for _, e := range s.Load(ctx, 12, func(c, n int) []byte { return question(c, used) }, binary.As(f.key)...) {
				if s != dead && !e.Whole && e.Status != http.StatusTooManyRequests {
					t.Errorf("%d %s", e.Status, e.Text)
				}
				if !e.Whole && e.Status != http.StatusTooManyRequests {
					cut++
				}
			}
			if s == dead {
				torn <- cut
			}
		})
	}
	dead.Await("a hundred answers", func() bool { return u.Chats().Whole >= 100 })
	dead.Kill()
	dead.Await("the others to use up the budget", func() bool {
		return f.all[1].Metric("airfield_calls_total", `outcome="error"`) > 5 && f.all[2].Metric("airfield_calls_total", `outcome="error"`) > 5
	})
	stop()
	wait.Wait()
	f.flush()
	spent, held := money.Nanos(f.number(spentOf)), money.Nanos(f.number("SELECT "+heldOf))
	t.Logf("killed with %d calls in flight: %s spent, %s held; the provider bills %s", <-torn, spent, held, f.billed())
	if f.number("SELECT COALESCE(SUM(amount), 0) FROM budget_leases"+inHard+" AND lease = ?", lease) == 0 {
		t.Error("a dead process's money is free before its calls are known")
	}
	if spent+held < f.billed() || spent+held > limit {
		t.Error("that does not fit")
	}
	return f, lease, end
}

// usedUpAgain uses what came free, and looks whether everything fits.
func (f *fleet) usedUpAgain(lease string) {
	t := f.t
	t.Helper()
	if f.number("SELECT COUNT(*) FROM budget_leases WHERE lease = ?", lease) != 0 {
		t.Error("the dead process's lease is still there")
	}
	f.flush()
	before := money.Nanos(f.number(spentOf))
	if before != f.booked() || before < f.billed() {
		t.Errorf("%s are spent, %s in the ledger, and the provider bills %s", before, f.booked(), f.billed())
	}
	passed := 0
	alive := f.all
	if !f.all[0].Running() {
		f.all = f.all[1:]
	}
	for _, e := range f.volley(400, used) {
		if e.Whole {
			passed++
		} else if e.Status != http.StatusTooManyRequests {
			t.Errorf("%d %s", e.Status, e.Text)
		}
	}
	f.all = alive
	f.flush()
	spent, bound := money.Nanos(f.number(spentOf)), cent+200*1000 // the input is bounded by bytes
	t.Logf("%s spent, %d more calls, %s spent", before, passed, spent)
	if spent != f.booked() || spent < f.billed() || spent > limit || spent <= limit-bound {
		t.Errorf("%s are spent of %s, %s in the ledger, and the provider bills %s", spent, limit, f.booked(), f.billed())
	}
	if b := f.budget().Accounts[0]; dollars(t, b.Spent) != spent || b.Over {
		t.Errorf("%+v", b)
	}
}

func TestAProcessKilledUnderLoadKeepsWhatItHeldUntilItStartsAgain(t *testing.T) {
	f, lease, end := killOneOfThree(t)
	f.all[0].Start()
	f.all[0].Await("the lease to be released", func() bool {
		return f.number("SELECT COUNT(*) FROM budget_leases WHERE lease = ?", lease) == 0
	})
	f.usedUpAgain(lease)
	end()
	cut := 0
	for _, row := range f.rows() {
		if row.Outcome == "cut" {
			cut++
		}
	}
	if cut == 0 {
		t.Error("no call was cut in two: the test proves little")
	}
}

func TestAProcessKilledUnderLoadFreesItsMoneyWhenItsJournalIsDrained(t *testing.T) {
	f, lease, end := killOneOfThree(t)
	dead := f.all[0]
	journal := dead.Path("data", "journal")
	if said := f.command(f.all[1], 0, "journal", "drain", journal); !strings.Contains(said, "cut off") {
		t.Error(said)
	}
	if said := f.command(f.all[1], 0, "journal", "drain", journal); !strings.HasPrefix(said, "0 calls (0 of them cut off)") {
		t.Errorf("drained again: %s", said)
	}
	f.usedUpAgain(lease)
	end()
}

func TestWhatAProcessHeldWhoseDiskIsGoneIsWrittenOff(t *testing.T) {
	f, lease, end := killOneOfThree(t)
	if said := f.command(f.all[1], 1, "budgets", "write-off", lease); !strings.Contains(said, "was heard of") {
		t.Errorf("a process that may live was written off: %s", said)
	}
	// Two minutes later:
	if _, err := f.db.Exec(t.Context(), "UPDATE budget_leases SET seen_at = seen_at - 180000000 WHERE lease = ?", lease); err != nil {
		t.Fatal(err)
	}
	if said := f.command(f.all[1], 0, "budgets", "show", "hard"); !strings.Contains(said, "airfield budgets write-off "+lease) {
		t.Errorf("it is not shown what to do: %s", said)
	}
	if said := f.command(f.all[1], 0, "budgets", "write-off", lease); !strings.Contains(said, "written off: $") {
		t.Error(said)
	}
	if f.number("SELECT COUNT(*) FROM ledger WHERE kind = 'lost' AND deployment LIKE 'hard/%'") != 1 {
		t.Error("the ledger does not say that it is lost")
	}
	f.usedUpAgain(lease)
	end()
}

// command runs one of the command line at a process, and returns what it said.
func (f *fleet) command(s *binary.Server, exit int, args ...string) string {
	f.t.Helper()
	cmd := exec.Command(binary.Build(f.t), append(args, "--config", s.Path("airfield.yaml"))...)
	cmd.Dir = s.Dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exit {
		f.t.Errorf("airfield %s ended with %d: %s", strings.Join(args, " "), code, said.String())
	}
	return said.String()
}
