package cli

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/ingest"
)

func dlqCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dlq", Short: "Dead letters: documents that could not be ingested", Args: cobra.NoArgs,
		Example: "  airfield dlq list\n  airfield dlq show run_…\n  airfield dlq replay run_…\n  airfield dlq replay --all --code extract_timeout\n  airfield dlq discard run_…",
	}
	var collection, code string
	var older time.Duration
	filter := func(cmd *cobra.Command) {
		cmd.Flags().StringVarP(&collection, "collection", "c", "", "only of this collection")
		cmd.Flags().StringVar(&code, "code", "", "only those with this reason")
		cmd.Flags().DurationVar(&older, "older-than", 0, "only those that gave up so long ago, such as 24h")
	}
	query := func() (string, error) {
		if older < 0 {
			return "", usage("--older-than must not be negative")
		}
		return url.Values{"collection": {collection}, "code": {code}, "older_than_seconds": {strconv.FormatInt(int64(math.Ceil(older.Seconds())), 10)}}.Encode(), nil
	}
	list := &cobra.Command{
		Use: "list", Short: "List dead letters with their reasons", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			q, err := query()
			if err != nil {
				return err
			}
			letters, err := get[[]ingest.DeadLetter](ctx, c, "/api/dead-letters?"+q)
			if err != nil {
				return err
			}
			return env.show(letters, func() {
				var rows [][]any
				for _, l := range letters {
					rows = append(rows, []any{l.Run.ID, l.Collection, fmt.Sprintf("%s v%d", l.SourceKey, l.Number), l.Run.Step, l.Run.ErrorCode, short(l.Run.Error, 70), ago(l.Run.UpdatedAt)})
				}
				env.table([]string{"RUN", "COLLECTION", "DOCUMENT", "STEP", "REASON", "WHAT", "AT"}, rows, "there are no dead letters")
			})
		}),
	}
	filter(list)
	show := &cobra.Command{
		Use: "show RUN", Short: "Show one dead letter with the steps that were done", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			l, err := get[ingest.DeadLetter](ctx, c, "/api/dead-letters/"+url.PathEscape(args[0]))
			if err != nil {
				return err
			}
			return env.show(l, func() {
				env.printf("%s version %d of %s/%s (%s)\n", l.SourceKey, l.Number, l.Collection, l.Source, l.DocumentID)
				for _, s := range l.Run.Steps {
					env.printf("  done    %-9s %s\n", s.Name, brief(s.EndedAt.Sub(s.StartedAt)))
				}
				env.printf("  failed  %-9s %s: %s\n", l.Run.Step, l.Run.ErrorCode, printable(l.Run.Error))
				env.printf("replay: airfield dlq replay %s\n", l.Run.ID)
			})
		}),
	}
	var all bool
	replay := &cobra.Command{
		Use: "replay [RUN…]", Short: "Put dead letters on their way again, from the step that failed",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usage("name runs, or give --all with --collection, --code or --older-than if only some are meant")
			}
			q, err := query()
			if err != nil {
				return err
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			count := admin.Count{Count: len(args)}
			if all {
				err = c.do(cmd.Context(), http.MethodPost, "/api/dead-letters/replay?"+q, nil, &count)
			}
			for _, run := range args {
				if err == nil {
					err = c.do(cmd.Context(), http.MethodPost, "/api/dead-letters/"+url.PathEscape(run)+"/replay", nil, nil)
				}
			}
			if err != nil {
				return err
			}
			return env.show(count, func() {
				if count.Count == 1 {
					env.printf("1 is on its way again\n")
				} else {
					env.printf("%d are on their way again\n", count.Count)
				}
			})
		},
	}
	filter(replay)
	replay.Flags().BoolVar(&all, "all", false, "all that match")
	discard := &cobra.Command{
		Use: "discard RUN…", Short: "Give up dead letters for good", Args: cobra.MinimumNArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			for _, run := range args {
				if err := c.do(ctx, http.MethodPost, "/api/dead-letters/"+url.PathEscape(run)+"/discard", nil, nil); err != nil {
					return err
				}
			}
			return env.show(admin.Count{Count: len(args)}, func() { env.printf("%d discarded\n", len(args)) })
		}),
	}
	cmd.AddCommand(list, show, replay, discard)
	return cmd
}
