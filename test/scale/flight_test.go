package scale

import (
	"context"
	"testing"
	"time"

	"airfield/internal/money"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const flying = 1000

func TestKilledWithAThousandCallsInFlightAProcessLosesNone(t *testing.T) {
	u := upstream.New(t, upstream.Options{Events: 6})
	u.Behave(func(r *upstream.Request) upstream.Behaviour {
		return upstream.Behaviour{Use: 1, Between: time.Duration(200+r.N%8*60) * time.Millisecond}
	})
	f := launch(t, 1, u, "", "log: {level: warn}\n"+models(u, 1, output)+workflow+hard("100"))
	s := f.all[0]
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan []binary.Exchange, 1)
	go func() {
		done <- s.Load(ctx, flying, func(c, n int) []byte { return question(c, used) }, binary.As(f.key)...)
	}()
	s.Await("a thousand calls in flight, after some that were answered", func() bool {
		c := u.Chats()
		return c.Whole >= flying && c.Now >= flying*95/100
	})
	s.Kill()
	stop()
	seen := <-done
	s.Start()
	rows := f.rows()
	answered, torn, cut := 0, 0, 0
	for _, e := range seen {
		if e.ID == "" {
			continue
		}
		row, known := rows[e.ID]
		switch {
		case !known:
			t.Errorf("the call %s, of which the client got %d bytes, is not in the log", e.ID, len(e.Text))
		case e.Whole && row.Outcome != "ok":
			t.Errorf("the call %s was answered in full and is logged as %s", e.ID, row.Outcome)
		}
		if e.Whole {
			answered++
		} else {
			torn++
		}
	}
	for id, row := range rows {
		switch row.Outcome {
		case "ok":
			if row.UsageSource != "reported" || row.OutputTokens != used || row.CostUSD != cent+11*1000 {
				t.Errorf("%s: %s usage %d+%d at %s", id, row.UsageSource, row.InputTokens, row.OutputTokens, row.CostUSD)
			}
		case "cut":
			cut++
			if row.UsageSource != "estimated" || row.InputTokens < 11 || row.OutputTokens != used || row.CostUSD < cent+11*1000 || row.Error == "" {
				t.Errorf("%s was cut: %s usage %d+%d at %s", id, row.UsageSource, row.InputTokens, row.OutputTokens, row.CostUSD)
			}
		default:
			t.Errorf("%s ended as %s: %s", id, row.Outcome, row.Error)
		}
	}
	begun := int(u.Chats().Begun)
	t.Logf("%d answered, %d torn of which the client knows; %d rows, %d of them cut; %d at the provider", answered, torn, len(rows), cut, begun)
	if len(rows) < begun || len(rows)-cut < answered || cut < flying*9/10 || torn == 0 {
		t.Error("that does not fit")
	}
	spent := money.Nanos(f.number(spentOf))
	if spent != f.booked() || spent != f.costs() || spent < f.billed() {
		t.Errorf("%s are spent, %s in the ledger, %s in the roll-ups, and the provider bills %s", spent, f.booked(), f.costs(), f.billed())
	}
	if held := money.Nanos(f.number("SELECT " + heldOf)); held != 0 {
		t.Errorf("%s are held by nobody", held)
	}
}
