package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/ingest"
)

const targets = "TARGET is a collection, COLLECTION/SOURCE (a source's name, upload or files), or the id of a run, which airfield ingest why and dlq list show."

func pauseCommand(env *environment) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause TARGET", Short: "Begin no more runs of a collection or a source, or not this run", Args: cobra.ExactArgs(1),
		Long: targets + "\nWhat a worker has in its hands is done to its end. Uploads are taken and sources are read as ever; what comes waits. Deletions and their purges are not held up. A pause outlives restarts.",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			if err := c.do(ctx, http.MethodPost, "/api/pause", admin.PauseBody{Target: args[0], Reason: reason}, nil); err != nil {
				return err
			}
			return env.show(map[string]string{"paused": args[0]}, func() { env.printf("paused %s\n", args[0]) })
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; airfield ingest why tells it")
	return cmd
}

func resumeCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "resume TARGET", Short: "Go on with what was paused", Args: cobra.ExactArgs(1), Long: targets,
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			if err := c.do(ctx, http.MethodPost, "/api/resume", admin.PauseBody{Target: args[0]}, nil); err != nil {
				return err
			}
			return env.show(map[string]string{"resumed": args[0]}, func() { env.printf("resumed %s\n", args[0]) })
		}),
	}
}

func cancelCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "cancel TARGET", Short: "End the runs of a collection or a source, or this run", Args: cobra.ExactArgs(1),
		Long: targets + "\nTheir versions are not ingested; what is live stays live. To have one after all, upload it again, or change it in its source.",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			count, err := post[admin.Count](ctx, c, "/api/cancel", admin.PauseBody{Target: args[0]})
			if err != nil {
				return err
			}
			return env.show(count, func() { env.printf("%d cancelled\n", count.Count) })
		}),
	}
}

func pausesCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "pauses", Short: "List what is paused, and how many runs it holds up", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			list, err := get[[]ingest.Pause](ctx, c, "/api/pauses")
			if err != nil {
				return err
			}
			return env.show(list, func() {
				var rows [][]any
				for _, p := range list {
					rows = append(rows, []any{p.Target, p.Waiting, ago(p.PausedAt), p.PausedBy, short(p.Reason, 60)})
				}
				env.table([]string{"PAUSED", "WAITING", "SINCE", "BY", "REASON"}, rows, "nothing is paused")
			})
		}),
	}
}
