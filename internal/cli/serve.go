package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"airfield/internal/app"
	"airfield/internal/fault"
	"airfield/internal/ingest/extract"
)

func serveCommand(env *environment) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the server until it is told to stop (SIGTERM, Ctrl-C; a second one ends it at once). It logs to standard error.
SIGHUP, or a change of the file, loads the configuration again: all of it or none.`,
		Example: "  airfield serve --config my-pilot/airfield.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := env.configPath()
			if _, err := os.Stat(path); os.IsNotExist(err) {
				_, _, err := env.load()
				return err
			}
			return app.Serve(cmd.Context(), app.Options{ConfigPath: path, Role: role, Version: Version(), Log: env.err, Hangup: hangups(cmd.Context())})
		},
	}
	cmd.Flags().StringVar(&role, "role", "all", "what this process does: all, gateway, worker or api")
	return cmd
}

// hangups delivers SIGHUPs until ctx ends.
func hangups(ctx context.Context) <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	context.AfterFunc(ctx, func() { signal.Stop(c) })
	return c
}

func checkCommand(env *environment) *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Check airfield.yaml and everything it names",
		Long:    "Reads the file strictly, then reaches every backend and provider it names, and warns about what is unwise. Exit code 0 means that a server would start.",
		Example: "  airfield check --config my-pilot/airfield.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, warnings, err := env.load()
			if err != nil {
				return err
			}
			var reached []app.Reached
			if !offline {
				reached = app.Reach(cmd.Context(), c)
			}
			failed := 0
			for _, r := range reached {
				if !r.OK {
					failed++
				}
			}
			err = env.show(map[string]any{"warnings": append([]string{}, warnings...), "reached": append([]app.Reached{}, reached...)}, func() {
				for _, w := range warnings {
					env.printf("warning: %s\n", w)
				}
				for _, r := range reached {
					mark := "ok  "
					if !r.OK {
						mark = "FAIL"
					}
					env.printf("%s  %-28s %s\n", mark, r.Name, r.Detail)
				}
				if failed == 0 {
					env.printf("%s is good\n", env.configPath())
				}
			})
			if err == nil && failed > 0 {
				err = fault.New(fault.Unavailable, "check_failed", "%d of %d things that %s names cannot be reached", failed, len(reached), env.configPath())
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not reach anything: check the file alone")
	return cmd
}

// extractChild is how the server runs itself to read files. It is not for people.
func extractChildCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "extract-child", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return extract.Child(env.in, env.out) },
	}
}
