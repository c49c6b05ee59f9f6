package cost

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// A clock that steps back over midnight brings calls into the day that was over: what is spent and held in each day stays what
// it was, and neither day is exceeded.
func TestAClockThatStepsBackOverTheEndOfAPeriodExceedsNeither(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := NewBudgets(map[string]BudgetConfig{"day": {Scope: "workflow", USD: 10 * money.Dollar, Period: Daily, Hard: true}}, d, LeaseID("jrn_1", 1), nil, slog.New(slog.DiscardHandler))
		defer b.Close()
		midnight := time.Now().UTC().Truncate(24 * time.Hour)
		before, after := midnight.Add(-time.Second), midnight.Add(time.Second)
		reserve := func(at time.Time, dollars money.Nanos) (*Hold, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			return b.Reserve(ctx, llm.Spender{Workflow: "team"}, at, Amount{USD: dollars * money.Dollar})
		}
		for _, c := range []struct {
			at      time.Time
			dollars money.Nanos
			passes  bool
		}{{before, 6, true}, {after, 7, true}, {before, 5, false}, {before, 4, true}, {after, 4, false}, {after, 3, true}, {before, 1, false}, {after, 1, false}} {
			h, err := reserve(c.at, c.dollars)
			if (err == nil) != c.passes {
				t.Errorf("%d dollars at %s: %v", c.dollars, c.at.Format(time.TimeOnly), err)
			}
			if err != nil {
				if f := fault.As(err); f.Code != "budget_exceeded" && f.Kind != fault.Timeout && f.Kind != fault.Cancelled {
					t.Errorf("%d dollars at %s: %v", c.dollars, c.at.Format(time.TimeOnly), err)
				}
				continue
			}
			h.Settle(Amount{USD: c.dollars * money.Dollar})
		}
	})
}
