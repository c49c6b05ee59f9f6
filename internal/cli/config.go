package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"airfield/internal/config"
)

func configCommand(env *environment) *cobra.Command {
	var diff, all bool
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Show the configuration that is in force",
		Long:    "Shows what airfield.yaml and the environment say, without what is as by default. Secrets appear by their reference.",
		Example: "  airfield config --diff\n  airfield config schema > airfield.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := env.load()
			if err != nil {
				return err
			}
			base := config.Baseline(c)
			if all {
				base = &config.Config{}
			}
			differences := config.Diff(base, c)
			return env.show(differences, func() {
				for _, d := range differences {
					if diff {
						env.printf("%s\n", d)
					} else {
						env.printf("%s: %s\n", d.Key, d.Value())
					}
				}
				if len(differences) == 0 {
					env.printf("everything is as by default\n")
				}
			})
		},
	}
	cmd.Flags().BoolVar(&diff, "diff", false, "show beside each value what it is by default")
	cmd.Flags().BoolVar(&all, "all", false, "show what is as by default too")
	cmd.AddCommand(&cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of airfield.yaml, for editors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			enc := json.NewEncoder(env.out)
			enc.SetIndent("", "  ")
			return enc.Encode(config.Schema())
		},
	})
	return cmd
}
