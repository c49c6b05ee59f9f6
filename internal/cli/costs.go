package cli

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/money"
)

func costsCommand(env *environment) *cobra.Command {
	var by string
	var since time.Duration
	cmd := &cobra.Command{
		Use: "costs", Short: "Show what calls cost, by workflow or another dimension", Args: cobra.NoArgs,
		Long:    "Sums whole hours, by default those of this month. A call whose price is not known is counted as unpriced, never as free.",
		Example: "  airfield costs --by business_unit\n  airfield costs --by model --since 24h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notNegative("since", since); err != nil {
				return err
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			q := url.Values{"by": {by}}
			if since > 0 {
				q.Set("from", time.Now().Add(-since).UTC().Format(time.RFC3339))
			}
			costs, err := get[admin.Costs](cmd.Context(), c, "/api/costs?"+q.Encode())
			if err != nil {
				return err
			}
			return env.show(costs, func() { env.costTable(costs) })
		},
	}
	cmd.Flags().StringVar(&by, "by", "workflow", "hour, environment, business_unit, workflow, surface, model or deployment")
	cmd.Flags().DurationVar(&since, "since", 0, "only what is not older, such as 24h (default: this month)")
	return cmd
}

func (e *environment) costTable(costs admin.Costs) {
	var rows [][]any
	var sum money.Nanos
	for _, r := range costs.Rows {
		cost := r.CostUSD.String()
		if r.Unpriced > 0 {
			cost += fmt.Sprintf(" + %d unpriced", r.Unpriced)
		}
		sum = sum.Add(r.CostUSD)
		rows = append(rows, []any{r.Group, r.Calls, r.Errors, r.InputTokens, r.OutputTokens, cost, brief(time.Duration(r.P50MS * 1e6)), brief(time.Duration(r.P99MS * 1e6))})
	}
	since := costs.From.Local().Format("2006-01-02 15:04")
	e.table([]string{strings.ToUpper(strings.ReplaceAll(costs.By, "_", " ")), "CALLS", "ERRORS", "TOKENS IN", "TOKENS OUT", "COST", "P50", "P99"}, rows, "no calls since "+since)
	if len(rows) > 1 {
		e.printf("in all %s since %s\n", sum, since)
	}
}
