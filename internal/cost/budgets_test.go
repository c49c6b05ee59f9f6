package cost

import (
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/money"
)

const processes = 3

func TestAHardBudgetIsNeverExceeded(t *testing.T) {
	for name, c := range map[string]struct {
		processes  int
		bound, use float64
		least      int64
	}{
		"one process, each call uses what it may":      {1, 1, 1, 95},
		"one process, a twentieth of it":               {1, 20, 1, 81},
		"three processes, each call uses what it may":  {processes, 1, 1, 95},
		"three processes, each uses a twentieth of it": {processes, 20, 1, 81},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, openDB func() *db.DB) {
				var tills []*till
				for i := range c.processes {
					tills = append(tills, open(t, openDB(), "journal"+string(rune('a'+i)), hard(100)))
				}
				stop := posting(tills)
				began := time.Now()
				passed := rush(t, tills, 600, dollars(c.bound), dollars(c.use), 8*time.Second)
				took := time.Since(began)
				stop()
				a := tills[0].only()
				t.Logf("%d passed in %s, %s spent, %s held", passed, took, sprint(a.spent), sprint(a.granted))
				if passed > 100 || passed < c.least {
					t.Errorf("%d calls of 600 passed a budget for 100", passed)
				}
				if a.spent != passed*int64(money.Dollar) {
					t.Errorf("%s spent by %d calls of a dollar", sprint(a.spent), passed)
				}
			})
		})
	}
}
