package cost

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

func TestAlertsAreToldOnceAcrossProcesses(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, openDB func() *db.DB) {
		config := hard(10)
		config["soft"] = BudgetConfig{Scope: "workflow", Of: "support-bot", USD: dollars(10).USD, Period: Monthly, AlertAt: []int{50}}
		var tills []*till
		for i := range processes {
			tills = append(tills, open(t, openDB(), fmt.Sprint("j", i), config))
		}
		at := time.Now()
		for i := range 10 {
			tills[i%processes].pass(support, at, dollars(1))
		}
		for _, x := range tills {
			for range 2 {
				if _, err := x.reserve(support, at, dollars(1), time.Second); err == nil {
					t.Error("a call passed")
				}
			}
		}
		told := func() map[string]int {
			all := map[string]int{}
			for _, x := range tills {
				x.mu.Lock()
				for _, a := range x.alerts {
					all[fmt.Sprint(a.Budget, " ", a.Percent)]++
				}
				x.mu.Unlock()
			}
			return all
		}
		eventually(t, "four alerts", func() bool { return len(told()) == 4 })
		for what, n := range told() {
			if n != 1 {
				t.Errorf("%s was told %d times", what, n)
			}
		}
		var waiting int
		eventually(t, "all are noted as told", func() bool {
			return openDB().QueryRow(context.Background(), "SELECT COUNT(*) FROM budget_alerts WHERE delivered = 0").Scan(&waiting) == nil && waiting == 0
		})
	})
}

func TestAnAlertThatItsWriterDidNotLiveToTellIsTold(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d, "j", hard(10))
		x.pass(support, time.Now(), dollars(9))
		eventually(t, "it is told", func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.alerts) == 1 })
		eventually(t, "it is noted", func() bool {
			n, err := d.Exec(context.Background(), "UPDATE budget_alerts SET delivered = 0, at = at - ? WHERE delivered = 1", (2 * tellAgain).Microseconds())
			return err == nil && n == 1
		})
		for range 2 {
			if err := x.tellWaiting(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "it is told again", func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.alerts) == 2 })
		if text := x.alerts[1].Text; !strings.Contains(text, "workflow support-bot has used 90 % of its budget monthly of $10.00 a month: $9.00 spent") || x.alerts[0].Text != text {
			t.Errorf("%s\n%s", text, x.alerts[0].Text)
		}
	})
}

func TestASoftBudgetMovesCallsToTheEconomyTier(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, openDB func() *db.DB) {
		config := map[string]BudgetConfig{"soft": {Scope: "workflow", USD: dollars(10).USD, Period: Monthly, EconomyAt: 50}}
		x, y := open(t, openDB(), "j", config), open(t, openDB(), "k", config)
		at := time.Now()
		if s := x.Standing(support, at); !s.Any || s.HardUSD || s.HardTokens || s.Economy != nil {
			t.Errorf("%+v", s)
		}
		h, err := x.reserve(support, at, dollars(1000), time.Second)
		if err != nil || h.Lease() != x.lease || len(h.Accounts()) != 0 {
			t.Fatal("a soft budget held something: ", err)
		}
		x.settle(support, at, h, dollars(4))
		if s := x.Standing(support, at); s.Economy != nil {
			t.Errorf("%+v", s.Economy)
		}
		h, err = x.reserve(support, at, dollars(1000), time.Second) // in flight: it is expected to cost as the last
		if err != nil {
			t.Fatal(err)
		}
		s := x.Standing(support, at)
		if s.Economy == nil || s.Economy.Name != "soft" || s.Economy.Spent != "4" || s.Economy.Held != "4" || !strings.Contains(s.Economy.Reason, "80 % of $10.00 a month: from 50 % on") {
			t.Errorf("%+v", s.Economy)
		}
		x.settle(support, at, h, dollars(2))
		x.post()
		if s := x.Standing(support, at); s.Economy == nil {
			t.Errorf("%+v", s.Economy)
		}
		eventually(t, "the other process knows", func() bool { return y.Standing(support, at).Economy != nil })
	})
}
