package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/cost"
	"airfield/internal/money"
)

const noBudgets = `there are no budgets. In airfield.yaml:

  budgets:
    monthly:
      scope: workflow        # each workflow has this amount; of: NAME is for one
      usd: 100
      period: month
      hard: true             # held before a call is sent, and never exceeded`

func budgetsCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "budgets", Short: "Show what of each budget is spent, held and left", Args: cobra.NoArgs,
		Long: `Spent is what calls have cost in the running period. Held is what processes have taken aside, for calls in flight and those to
come; what calls do not use goes back. A hard budget is never exceeded; others alert, or move calls to the economy tier.`,
		Example: "  airfield budgets\n  airfield budgets show monthly",
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			list, err := get[[]admin.Budget](ctx, c, "/api/budgets")
			if err != nil {
				return err
			}
			return env.show(list, func() { env.budgetTable(list) })
		}),
	}
	cmd.AddCommand(&cobra.Command{
		Use: "show NAME", Short: "Show a budget with its accounts, who holds money of them, and the last refusals", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			list, err := get[[]admin.Budget](ctx, c, "/api/budgets?name="+url.QueryEscape(args[0]))
			if err != nil {
				return err
			}
			return env.show(list[0], func() { env.budgetDetail(list[0]) })
		}),
	}, &cobra.Command{
		Use: "write-off LEASE", Short: "Count what a lost process holds as spent", Args: cobra.ExactArgs(1),
		Long: `For a process that will never come back, nor its disk. What it holds becomes estimated spend, with entries of the kind lost in the
ledger and one in the audit log. Where its journal is still there, use airfield journal drain DIR instead: that brings in what
its calls really cost.`,
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			var w cost.WrittenOff
			if err := c.do(ctx, http.MethodPost, "/api/budgets/write-off", admin.WriteOff{Lease: args[0]}, &w); err != nil {
				return err
			}
			return env.show(w, func() {
				env.printf("written off: %s in dollars and %d tokens at the most, in %d accounts\n", w.USD, w.Tokens, w.Accounts)
			})
		}),
	})
	return cmd
}

func (e *environment) budgetTable(list []admin.Budget) {
	var rows [][]any
	for _, b := range list {
		rows = append(rows, budgetRows(b)...)
	}
	e.table([]string{"BUDGET", "WHOSE", "PERIOD", "LIMIT", "SPENT", "HELD", "LEFT", "%", "ENDS"}, rows, noBudgets)
	for _, b := range list {
		if b.More {
			e.printf("there are more accounts of %s than are listed\n", b.Name)
		}
	}
}

// budgetRows are a line for each account; of a budget that nobody has used yet, one for all.
func budgetRows(b admin.Budget) (rows [][]any) {
	row := func(whose, spent, held, left, percent string) {
		kind := b.Period
		if b.Hard {
			kind += ", hard"
		}
		rows = append(rows, []any{b.Name, strings.ReplaceAll(b.Scope, "_", " ") + " " + whose, kind, amount(b.Unit, b.Limit), amount(b.Unit, spent), amount(b.Unit, held), amount(b.Unit, left), percent,
			ends(b)})
	}
	for _, a := range b.Accounts {
		row(a.Of, a.Spent, a.Held, a.Left, fmt.Sprintf("%.0f", a.Percent))
	}
	if len(b.Accounts) == 0 {
		row("(each)", "0", "0", b.Limit, "0")
	}
	return rows
}

// ends is when a budget begins anew, in its own time zone.
func ends(b admin.Budget) string {
	zone, err := time.LoadLocation(b.TimeZone)
	if err != nil {
		return b.End.UTC().Format("2006-01-02 15:04 UTC")
	}
	return b.End.In(zone).Format("2006-01-02 15:04 ") + b.TimeZone
}

// amount writes what the API says for people.
func amount(unit, text string) string {
	if unit != "usd" {
		return text
	}
	n, err := money.Parse(text)
	if err != nil {
		return text
	}
	return n.String()
}

func (e *environment) budgetDetail(b admin.Budget) {
	e.budgetTable([]admin.Budget{b})
	var holders [][]any
	for _, a := range b.Accounts {
		for _, h := range a.Holders {
			state := "alive"
			if h.Dead {
				state = h.Hint
			}
			holders = append(holders, []any{a.Of, h.Lease, amount(b.Unit, h.Amount), ago(h.SeenAt), state})
		}
	}
	if len(holders) > 0 {
		e.printf("\nheld by\n")
		e.table([]string{"OF", "LEASE", "HOLDS", "SEEN", "STATE"}, holders, "")
	}
	var refusals [][]any
	for _, r := range b.Refusals {
		refusals = append(refusals, []any{ago(r.StartedAt), r.CallID, r.Workflow, r.User, r.Model, r.Decision.Reason})
	}
	e.printf("\nlast refusals\n")
	e.table([]string{"AT", "CALL", "WORKFLOW", "USER", "MODEL", "WHY"}, refusals, "none within a day")
}
