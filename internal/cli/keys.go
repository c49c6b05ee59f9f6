package cli

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/access"
	"airfield/internal/api/admin"
)

func keysCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Make, list and revoke keys", Example: "  airfield keys create --workflow pilot --name \"search service\"\n  airfield keys list\n  airfield keys revoke key_…"}
	cmd.AddCommand(keysListCommand(env), keysCreateCommand(env), keysRevokeCommand(env))
	return cmd
}

func keysListCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List keys, without their texts", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			keys, err := get[[]access.Key](ctx, c, "/api/keys")
			if err != nil {
				return err
			}
			return env.show(keys, func() {
				var rows [][]any
				for _, k := range keys {
					rows = append(rows, []any{k.ID, k.Name, string(k.Role), k.Workflow, k.Clearance.String(), "…" + k.Hint, keyState(k), ago(k.LastUsedAt)})
				}
				env.table([]string{"ID", "NAME", "ROLE", "WORKFLOW", "CLEARANCE", "KEY", "STATE", "LAST USED"}, rows, "there are no keys: airfield keys create makes one")
			})
		}),
	}
}

func keyState(k access.Key) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(time.Now()):
		return "expired"
	case !k.ExpiresAt.IsZero():
		return "until " + k.ExpiresAt.Local().Format("2006-01-02")
	}
	return "active"
}

func keysCreateCommand(env *environment) *cobra.Command {
	var n admin.NewKey
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "Make a key and print it once", Args: cobra.NoArgs,
		Example: "  airfield keys create --workflow pilot --clearance public\n  airfield keys create --role auditor --name \"yearly audit\" --expires 720h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n.Workflow != "" && !cmd.Flags().Changed("role") {
				n.Role = "workflow"
			}
			if n.Role == "" {
				return usage("say whose key it is: --workflow NAME, or --role admin, operator, auditor or viewer")
			}
			if n.Name == "" {
				n.Name = n.Role
				if n.Workflow != "" {
					n.Name = n.Workflow
				}
			}
			if err := notNegative("expires", expires); err != nil {
				return err
			}
			if expires > 0 {
				at := time.Now().Add(expires)
				n.ExpiresAt = &at
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			var made admin.MadeKey
			if err := c.do(cmd.Context(), http.MethodPost, "/api/keys", n, &made); err != nil {
				return err
			}
			return env.show(made, func() {
				env.printf("%s\n", made.Text)
				if terminal(env.out) {
					env.printf("It is shown this once. Its id is %s; its clearance is %s.\n", made.ID, made.Clearance)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Name, "name", "", "for people: who or what uses it")
	f.StringVar(&n.Role, "role", "", "admin, operator, auditor, viewer or workflow")
	f.StringVar(&n.Workflow, "workflow", "", "the workflow it belongs to")
	f.StringVar(&n.Clearance, "clearance", "", "at most this access tier (default: the workflow's)")
	f.DurationVar(&expires, "expires", 0, "how long it is valid, such as 720h (default: for ever)")
	return cmd
}

func keysRevokeCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Revoke a key", Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			var key access.Key
			if err := c.do(ctx, http.MethodPost, "/api/keys/"+url.PathEscape(args[0])+"/revoke", nil, &key); err != nil {
				return err
			}
			return env.show(key, func() { env.printf("revoked %s (%s)\n", key.ID, key.Name) })
		}),
	}
}
