package observe

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/cost"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// A process dies with money held for two calls: one it had written down, and one it had not. What its journal knows is
// spent, with all that it could cost, and only then is the rest free.
func TestWhatADeadProcessHeldIsSpentOrFreeOnceItsJournalIsIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, dir, at := context.Background(), t.TempDir(), time.Now()
		config := map[string]cost.BudgetConfig{"b": {Scope: "workflow", USD: 10 * money.Dollar, Period: cost.Monthly, Hard: true}}
		spender := llm.Spender{Workflow: "support"}
		four := cost.Amount{USD: 4 * money.Dollar}

		j := openJournal(t, dir)
		r := NewRecorder(j, nil, quiet)
		dead := cost.NewBudgets(config, d, cost.LeaseID(j.ID(), 1), nil, quiet)
		written, err := dead.Reserve(ctx, spender, at, four)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dead.Reserve(ctx, spender, at, four); err != nil {
			t.Fatal(err)
		}
		a := sampleCall()
		a.Outcome, a.Cost, a.Lease, a.Holds = "", four.USD, written.Lease(), written.Accounts()
		if err := r.Admit(&a); err != nil {
			t.Fatal(err)
		}
		j.Close()

		j = openJournal(t, dir)
		lease := cost.LeaseID(j.ID(), 2)
		living := cost.NewBudgets(config, d, lease, nil, quiet)
		c := Default()
		c.Linger = time.Millisecond
		drain := NewDrain(d, j, c, nil, quiet, cost.NewLedger(d), living)
		tries := atomic.Int64{}
		settled := make(chan struct{})
		drain.OnSettled(func(ctx context.Context) error {
			if tries.Add(1) == 1 {
				return errors.New("not yet")
			}
			if n := count(t, d, "SELECT COUNT(*) FROM calls WHERE outcome = 'cut'"); n != 1 {
				t.Error(n, "calls were cut before it was settled")
			}
			_, err := living.ReleaseDead(ctx, j.ID(), lease)
			close(settled)
			return err
		})
		running := start(t, drain)
		<-settled
		if spent, leases := count(t, d, "SELECT spent FROM budget_accounts"), count(t, d, "SELECT COUNT(*) FROM budget_leases"); spent != int64(four.USD) || leases != 0 {
			t.Errorf("%d spent, %d leases", spent, leases)
		}
		h, err := living.Reserve(ctx, spender, at, cost.Amount{USD: 6 * money.Dollar})
		if err != nil {
			t.Fatal(err)
		}
		h.Cancel()
		record(t, NewRecorder(j, nil, quiet), sampleCall())
		running.flush(t)
		if tries.Load() != 2 {
			t.Error(tries.Load(), "times")
		}
		for _, b := range []*cost.Budgets{dead, living} {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRefusedCallsAreFoundByTheirRule(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		j := openJournal(t, t.TempDir())
		r, running, s := NewRecorder(j, nil, quiet), start(t, newDrain(d, j)), NewStore(d)
		for decision, outcome := range map[string]llm.Outcome{
			`{"rule":"budget","name":"monthly","reason":"r"}`: llm.Failed, `{"rule":"budget","name":"daily","reason":"r"}`: llm.Failed,
			`{"rule":"limit","name":"monthly","reason":"r"}`: llm.Failed, `{"rule":"budget","name":"economy","reason":"moved"}`: llm.OK, "": llm.Failed,
		} {
			c := sampleCall()
			c.Outcome, c.Decision = outcome, decision
			record(t, r, c)
		}
		running.flush(t)
		for _, c := range []struct {
			rule, name string
			since      time.Duration
			want       int
		}{{"budget", "", time.Hour, 2}, {"budget", "monthly", time.Hour, 1}, {"limit", "", time.Hour, 1}, {"budget", "month", time.Hour, 0}, {"budget", "", -time.Hour, 0}} {
			calls, err := s.Refused(context.Background(), c.rule, c.name, time.Now().Add(-c.since), 10)
			if err != nil || len(calls) != c.want {
				t.Errorf("%+v: %d %v", c, len(calls), err)
			}
		}
	})
}
