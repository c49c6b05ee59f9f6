package cli

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/access"
	"airfield/internal/fault"
)

func auditCommand(env *environment) *cobra.Command {
	var actor, action, target string
	var since time.Duration
	var limit int
	cmd := &cobra.Command{
		Use: "audit", Short: "Read the audit log, and prove that it is whole", Args: cobra.NoArgs,
		Example: "  airfield audit --action key.\n  airfield audit verify\n  airfield audit head",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notNegative("since", since); err != nil {
				return err
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"actor": actor, "action": action, "target": target} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if since > 0 {
				q.Set("from", time.Now().Add(-since).UTC().Format(time.RFC3339))
			}
			records, err := get[[]access.Record](cmd.Context(), c, "/api/audit?"+q.Encode())
			if err != nil {
				return err
			}
			return env.show(records, func() {
				var rows [][]any
				for _, r := range records {
					rows = append(rows, []any{r.Sequence, r.At.Local().Format("2006-01-02 15:04:05"), r.Actor, r.Action, r.Target, short(string(r.Detail), 60)})
				}
				env.table([]string{"#", "AT", "WHO", "DID", "TO", "DETAIL"}, rows, "nothing matches")
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&actor, "actor", "", "only what this actor did: key:ID")
	f.StringVar(&action, "action", "", "only this action: key.create, or key. for everything about keys")
	f.StringVar(&target, "target", "", "only what was done to this")
	f.DurationVar(&since, "since", 0, "only what is not older, such as 24h")
	f.IntVar(&limit, "limit", 50, "at most this many")
	cmd.AddCommand(auditVerifyCommand(env), &cobra.Command{
		Use: "head", Short: "Print the end of the chain, to note it elsewhere", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			head, err := get[access.Head](ctx, c, "/api/audit/head")
			if err != nil {
				return err
			}
			return env.show(head, func() { env.printf("%d:%s\n", head.Sequence, head.Hash) })
		}),
	})
	return cmd
}

func auditVerifyCommand(env *environment) *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use: "verify", Short: "Recompute the whole chain", Args: cobra.NoArgs,
		Long:    "Recomputes every hash and holds the end against what the database noted of it, and against a head noted elsewhere. Exit code 1 if the log was changed.",
		Example: "  airfield audit verify --head 42:9f86d08…",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if head != "" {
				sequence, hash, ok := strings.Cut(head, ":")
				if _, err := strconv.ParseInt(sequence, 10, 64); err != nil || !ok {
					return usage("--head is written as airfield audit head prints it: NUMBER:HASH")
				}
				q.Set("sequence", sequence)
				q.Set("hash", hash)
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			r, err := get[access.Report](cmd.Context(), c, "/api/audit/verify?"+q.Encode())
			if err != nil {
				return err
			}
			err = env.show(r, func() {
				if r.Whole {
					env.printf("whole: %d entries, the end is %d:%s\n", r.Entries, r.Head.Sequence, r.Head.Hash)
				}
			})
			if err == nil && !r.Whole {
				err = &fault.Fault{Kind: fault.Internal, Code: "audit_broken", Text: fmt.Sprintf("the audit log is broken at entry %d: %s", r.BrokenAt, r.Reason)}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "an end that was noted elsewhere, NUMBER:HASH")
	return cmd
}
