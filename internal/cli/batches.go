package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
)

func batchesCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "batches", Short: "Show and cancel batches: files of calls that are made when there is room",
		Long: `A batch is made by POST /v1/batches of a file whose lines are calls. Each line goes through the gateway like every other call of the
workflow, behind all that wait, at the service tier that batch.service_tier names where the deployment has a price for it.`,
		Example: "  airfield batches list\n  airfield batches show batch_01h…",
	}
	var workflow string
	listing := &cobra.Command{
		Use: "list", Short: "List batches, the newest first", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			list, err := get[[]admin.LineBatch](ctx, c, "/api/batches?workflow="+url.QueryEscape(workflow))
			if err != nil {
				return err
			}
			return env.show(list, func() {
				var rows [][]any
				for _, b := range list {
					rows = append(rows, []any{b.ID, b.Workflow, b.Endpoint, b.Status, progress(b), b.Failed, b.CostUSD, ago(b.CreatedAt)})
				}
				env.table([]string{"BATCH", "WORKFLOW", "ENDPOINT", "STATUS", "DONE", "FAILED", "COST", "MADE"}, rows, "there are no batches")
			})
		}),
	}
	listing.Flags().StringVar(&workflow, "workflow", "", "only of this workflow")
	cmd.AddCommand(listing, &cobra.Command{
		Use: "show BATCH", Short: "Show how far a batch is, what it cost and what is wrong with its input", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			b, err := get[admin.LineBatch](ctx, c, "/api/batches/"+url.PathEscape(args[0]))
			if err != nil {
				return err
			}
			return env.show(b, func() { env.batchDetail(b) })
		}),
	}, &cobra.Command{
		Use: "cancel BATCH", Short: "Stop what has not begun of a batch", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			var b admin.LineBatch
			if err := c.do(ctx, http.MethodPost, "/api/batches/"+url.PathEscape(args[0])+"/cancel", nil, &b); err != nil {
				return err
			}
			return env.show(b, func() {
				env.printf("%s is %s: %d of %d lines were made\n", b.ID, b.Status, b.Completed+b.Failed, b.Total)
			})
		}),
	})
	return cmd
}

// barWidth is that of a batch's bar, in characters.
const barWidth = 20

// progress is a bar and the share of lines that have ended.
func progress(b admin.LineBatch) string {
	if b.Total == 0 {
		return ""
	}
	done := b.Completed + b.Failed
	full := int(barWidth * done / b.Total)
	return fmt.Sprintf("[%s%s] %d/%d", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, b.Total)
}

func (e *environment) batchDetail(b admin.LineBatch) {
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			e.printf("%-14s %s\n", name, text)
		}
	}
	line("batch", "%s", b.ID)
	line("workflow", "%s", b.Workflow)
	line("endpoint", "%s", b.Endpoint)
	line("status", "%s", b.Status)
	line("done", "%s", progress(b))
	line("failed", "%d", b.Failed)
	line("cost", "%s", b.CostUSD)
	if b.Unpriced > 0 {
		line("unpriced", "%d lines whose cost is not known", b.Unpriced)
	}
	for _, tier := range slices.Sorted(maps.Keys(b.ServiceTiers)) {
		line("tier "+tier, "%d lines", b.ServiceTiers[tier])
	}
	line("input", "%s", b.InputFile)
	line("output", "%s", b.OutputFile)
	line("errors", "%s", b.ErrorFile)
	line("made", "%s", ago(b.CreatedAt))
	if b.EndedAt.IsZero() {
		line("expires", "%s", b.ExpiresAt.UTC().Format("2006-01-02 15:04 UTC"))
	} else {
		line("ended", "%s", ago(b.EndedAt))
	}
	var rows [][]any
	for _, p := range b.Problems {
		rows = append(rows, []any{p.Line, p.Code, p.Message})
	}
	if len(rows) > 0 {
		e.table([]string{"LINE", "CODE", "PROBLEM"}, rows, "")
	}
}
