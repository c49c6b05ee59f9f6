package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/fault"
	"airfield/internal/observe"
)

func pricesRepriceCommand(env *environment) *cobra.Command {
	var since, until, workflow, model string
	var unpriced, dry bool
	cmd := &cobra.Command{
		Use: "reprice --since WHEN", Short: "Find the cost of calls in the log anew", Args: cobra.NoArgs,
		Long: `Charges each call by what is known today of the price at the time of the call, and brings the log, the ledger and the hourly sums in
line. A call for which no price is known stays as it is. It can be interrupted and run again: what is right is not touched.`,
		Example: "  airfield prices reprice --since 720h --only-unpriced --dry-run\n  airfield prices reprice --since 2026-03-01 --until 2026-04-01 --model small",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since == "" {
				return usage("--since is missing: a day (2026-03-01), a time or how long ago (720h)\nsee: %s --help", cmd.CommandPath())
			}
			q := url.Values{}
			for _, f := range []struct{ name, text string }{{"since", since}, {"until", until}} {
				if f.text == "" {
					continue
				}
				at, err := when(f.name, f.text)
				if err != nil {
					return err
				}
				q.Set(f.name, at.UTC().Format(time.RFC3339))
			}
			for name, value := range map[string]string{"workflow": workflow, "model": model} {
				if value != "" {
					q.Set(name, value)
				}
			}
			for name, on := range map[string]bool{"only_unpriced": unpriced, "dry_run": dry} {
				if on {
					q.Set(name, "true")
				}
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			sum, err := env.reprice(cmd, c, q)
			if err != nil {
				return err
			}
			return env.show(sum, func() {
				verb := "changed"
				if dry {
					verb = "would change"
				}
				env.printf("looked at %d calls, %s %d: %s before, %s now\n", sum.Looked, verb, sum.Changed, sum.Old, sum.New)
				if sum.Unknown > 0 {
					env.printf("%d calls stay as they are: no price is known for them\n", sum.Unknown)
				}
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "calls that began on or after this day, at this time, or so long ago: 2026-03-01, 720h")
	f.StringVar(&until, "until", "", "calls that began before (default: now)")
	f.StringVar(&workflow, "workflow", "", "only this workflow's")
	f.StringVar(&model, "model", "", "only those that asked for this model")
	f.BoolVar(&unpriced, "only-unpriced", false, "only calls whose price was not known")
	f.BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	return cmd
}

// reprice follows the server's lines to the last one.
func (e *environment) reprice(cmd *cobra.Command, c *client, q url.Values) (observe.Repriced, error) {
	res, err := c.send(cmd.Context(), http.MethodPost, "/api/prices/reprice?"+q.Encode(), "application/json", nil)
	if err != nil {
		return observe.Repriced{}, err
	}
	defer res.Body.Close()
	bar := e.progress(-1, "repricing")
	defer bar.Finish()
	for lines := json.NewDecoder(res.Body); ; {
		var line admin.RepriceLine
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return observe.Repriced{}, errRepriceCut
		case err != nil:
			return observe.Repriced{}, fmt.Errorf("%w: %w", errRepriceCut, err)
		case line.Error != nil:
			return observe.Repriced{}, &fault.Fault{Kind: fault.Internal, Code: line.Error.Code, Text: line.Error.Detail, Hint: line.Error.Hint}
		case line.Done != nil:
			return *line.Done, nil
		case line.Progress != nil:
			bar.Set64(line.Progress.Looked)
		}
	}
}

// errRepriceCut says that the answer ended before its end.
var errRepriceCut = errors.New("the server's answer ended before the repricing did; run it again: what is done is not done twice")
