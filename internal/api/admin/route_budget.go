package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/access"
	"airfield/internal/cost"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/llm"
)

// Budget is a budget with its accounts, and the calls it refused last.
type Budget struct {
	cost.BudgetState
	Refusals []Refusal `json:"refusals" doc:"The last calls that it refused within a day, the newest first."`
}

// Refusal is a call that a rule refused, and why.
type Refusal struct {
	CallID    string        `json:"call_id"`
	StartedAt time.Time     `json:"started_at"`
	Workflow  string        `json:"workflow"`
	User      string        `json:"user,omitempty"`
	Model     string        `json:"model"`
	Decision  *llm.Decision `json:"decision"`
}

// WriteOff names a process whose journal is gone.
type WriteOff struct {
	Lease string `json:"lease" minLength:"1" doc:"As GET /api/budgets lists it among the holders."`
}

type budgetsIn struct {
	Name string `query:"name" doc:"Only this one."`
}

type writeOffIn struct{ Body WriteOff }

const (
	refusalsOf    = 24 * time.Hour
	refusalsTime  = 2 * time.Second // to look for them: the log may be long
	refusalsShown = 10
)

func (d *Door) registerBudgets(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/budgets", "listBudgets", "Budgets: what is spent, held and left, who holds it, and why the last calls were refused", readers}, d.budgets)
	add(a, d.Log, route{http.MethodPost, "/api/budgets/write-off", "writeOffBudget", "Turn what a process holds that will never come back, nor its disk, into estimated spend", adminsOnly}, func(ctx context.Context, in *writeOffIn) (cost.WrittenOff, error) {
		return d.Budgets.WriteOff(ctx, in.Body.Lease, func(tx *db.Tx, w cost.WrittenOff) error {
			return d.Audit.Record(ctx, tx, access.Entry{Action: "budget.write_off", Target: w.Lease, Detail: w})
		})
	})
}

func (d *Door) budgets(ctx context.Context, in *budgetsIn) ([]Budget, error) {
	d.flush(ctx)
	states, err := d.Budgets.Status(ctx)
	if err != nil {
		return nil, err
	}
	list, names := []Budget{}, []string{}
	for _, s := range states {
		names = append(names, s.Name)
		if in.Name == "" || s.Name == in.Name {
			list = append(list, Budget{BudgetState: s, Refusals: []Refusal{}})
		}
	}
	if in.Name != "" && len(list) == 0 {
		f := fault.New(fault.NotFound, "budget_not_found", "there is no budget %q", in.Name)
		if len(names) > 0 {
			f = f.Hinted("there are: %s", strings.Join(names, ", "))
		}
		return nil, f
	}
	if len(list) > 0 {
		d.addRefusals(ctx, in.Name, list)
	}
	return list, nil
}

// addRefusals looks up the last refusals, as far as that is quick.
func (d *Door) addRefusals(ctx context.Context, name string, list []Budget) {
	ctx, cancel := context.WithTimeout(ctx, refusalsTime)
	defer cancel()
	calls, err := d.Calls.Refused(ctx, "budget", name, time.Now().Add(-refusalsOf), refusalsShown*len(list))
	if err != nil {
		d.Log.Warn("the last refusals of budgets could not be looked up", "error", err)
		return
	}
	for _, c := range calls {
		decided := decisionOf(c)
		for i := range list {
			if b := &list[i]; decided != nil && b.Name == decided.Name && len(b.Refusals) < refusalsShown {
				b.Refusals = append(b.Refusals, Refusal{CallID: c.ID, StartedAt: c.Start, Workflow: c.Workflow, User: c.User, Model: c.Model, Decision: decided})
			}
		}
	}
}
