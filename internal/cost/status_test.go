package cost

import (
	"context"
	"sync"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/money"
)

func TestMoneyThatIsSpentWhileABudgetIsLookedAtIsNotMissed(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, openDB func() *db.DB) {
		x := open(t, openDB(), "journal", hard(1000))
		h, err := x.reserve(support, time.Now(), dollars(100), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Cancel()
		x.end()
		<-x.ended
		x.stop()
		x.work.Wait() // from now on only we change what is held
		total := x.only().granted
		other, ctx := openDB(), t.Context()
		done := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				err := other.Tx(ctx, func(tx *db.Tx) error {
					if _, err := tx.Exec(ctx, "UPDATE budget_accounts SET spent = spent + 1000"); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, "UPDATE budget_leases SET amount = amount - 1000")
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		for range 300 {
			states, err := x.Status(context.Background())
			if err != nil || len(states) != 1 || len(states[0].Accounts) != 1 {
				t.Fatal(states, err)
			}
			a := states[0].Accounts[0]
			spent, _ := money.Parse(a.Spent)
			held, _ := money.Parse(a.Held)
			if int64(spent+held) != total {
				t.Errorf("%s spent and %s held of %s", a.Spent, a.Held, sprint(total))
				break
			}
		}
		close(done)
		wait.Wait()
	})
}
