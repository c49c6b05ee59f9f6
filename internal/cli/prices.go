package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/cost"
	"airfield/internal/fault"
	"airfield/internal/money"
)

func pricesCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "prices", Short: "Show, import and apply what models cost",
		Long: `A deployment's own prices in airfield.yaml go before prices that were imported, and those before the list in the binary, which
needs no network. Rates are dollars per million tokens; those of images, seconds and requests are dollars for one.`,
		Example: "  airfield prices list --provider openai\n  airfield prices import prices.json --dry-run\n  airfield prices reprice --since 720h --only-unpriced"}
	cmd.AddCommand(pricesListCommand(env), pricesImportCommand(env), pricesRemoveCommand(env), pricesRepriceCommand(env))
	return cmd
}

func pricesListCommand(env *environment) *cobra.Command {
	var provider, model, layer, at string
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "Show the prices in force, now or at another time", Args: cobra.NoArgs,
		Long:    "With --json the list is a file that can be imported.",
		Example: "  airfield prices list --provider google --model gemini-2.5\n  airfield prices list --model o3 --all\n  airfield prices list --model o3 --at 2025-06-01",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, value := range map[string]string{"provider": provider, "model": model, "layer": layer} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if at != "" {
				moment, err := when("at", at)
				if err != nil {
					return err
				}
				q.Set("at", moment.UTC().Format(time.RFC3339))
			}
			if all {
				q.Set("all", "true")
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			list, err := get[admin.PriceList](cmd.Context(), c, "/api/prices?"+q.Encode())
			if err != nil {
				return err
			}
			return env.show(list, func() { env.priceTable(list.Prices) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&provider, "provider", "", "only this provider's")
	f.StringVar(&model, "model", "", "only models with this in their name")
	f.StringVar(&layer, "layer", "", "only those from deployment, imported or list")
	f.StringVar(&at, "at", "", "in force on this day, 2026-03-01, or at this time (default: now)")
	f.BoolVar(&all, "all", false, "those of all times, also such as another layer goes before")
	return cmd
}

// when reads a day in UTC, a time, or how long ago.
func when(flag, text string) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("--%s is a day (2026-03-01), a time (2026-03-01T12:00:00Z) or how long ago (720h), not %q", flag, text)
}

func (e *environment) priceTable(quotes []cost.Quote) {
	var rows [][]any
	for _, q := range quotes {
		from := q.Layer
		if q.Deployment != "" {
			from = q.Deployment
		}
		during := ""
		switch {
		case !q.From.IsZero() && !q.Until.IsZero():
			during = day(q.From) + " to " + day(q.Until)
		case !q.From.IsZero():
			during = "from " + day(q.From)
		case !q.Until.IsZero():
			during = "until " + day(q.Until)
		}
		rows = append(rows, append(append([]any{q.Provider, strings.Join(append([]string{q.Model}, q.Aliases...), ", ")}, rateCells(q.Rates)...), during, from, day(q.AsOf), q.Source))
		tiers := func(what string, list []cost.ContextRow) {
			for _, t := range list {
				rows = append(rows, append([]any{"", fmt.Sprintf("  %sabove %d tokens", what, t.Above)}, rateCells(t.Rates)...))
			}
		}
		tiers("", q.Context)
		for _, name := range slices.Sorted(maps.Keys(q.Services)) {
			s := q.Services[name]
			rows = append(rows, append([]any{"", "  " + name}, rateCells(s.Rates)...))
			tiers(name+", ", s.Context)
		}
	}
	e.table([]string{"PROVIDER", "MODEL", "INPUT", "CACHE READ", "WRITE", "WRITE 1H", "OUTPUT", "MORE", "DURING", "FROM", "AS OF", "SOURCE"}, rows, "no price matches")
}

func day(d cost.Day) string {
	if d.IsZero() {
		return ""
	}
	return d.UTC().Format(time.DateOnly)
}

// otherRates are those beside tokens of text, each with its name.
func otherRates(r cost.Rates) (more []string) {
	for _, b := range []struct {
		name string
		rate cost.Dollars
	}{{"reasoning", r.Reasoning}, {"audio in", r.AudioInput}, {"audio out", r.AudioOutput}, {"image", r.Images}, {"request", r.Requests},
		{"image in", r.ImageInput}, {"characters", r.Characters}, {"second", r.Seconds}} {
		if b.rate > 0 {
			more = append(more, b.name+" "+rateText(b.rate))
		}
	}
	return more
}

func rateCells(r cost.Rates) []any {
	return []any{rateText(r.Input), rateText(r.CacheRead), rateText(r.CacheWrite), rateText(r.CacheWriteLong), rateText(r.Output), strings.Join(otherRates(r), ", ")}
}

func rateText(d cost.Dollars) string {
	if d == 0 {
		return ""
	}
	return money.Nanos(d).Decimal()
}

func pricesImportCommand(env *environment) *cobra.Command {
	var dry, skip bool
	var from, asOf string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take over a file of prices, all of it or nothing", Args: cobra.ExactArgs(1),
		Long: `FILE is a list of prices as airfield prices list --json prints it, or LiteLLM's model_prices_and_context_window.json; - is the
standard input. It shows what changes. A row that cannot be right refuses the whole file, unless --skip-bad leaves it out. Calls
that have ended keep their cost: airfield prices reprice applies prices to them.`,
		Example: "  airfield prices import prices.json --dry-run\n  airfield prices import model_prices_and_context_window.json --from 2026-03-01 --skip-bad",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			for name, on := range map[string]bool{"dry_run": dry, "skip_bad": skip} {
				if on {
					q.Set(name, "true")
				}
			}
			for name, value := range map[string]string{"from": from, "as_of": asOf} {
				if value != "" {
					q.Set(name, value)
				}
			}
			file := env.in
			if args[0] != "-" {
				opened, err := os.Open(args[0])
				if err != nil {
					return fault.New(fault.Invalid, "file", "the file cannot be read: %w", err)
				}
				defer opened.Close()
				file = opened
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			res, err := c.send(cmd.Context(), http.MethodPost, "/api/prices/import?"+q.Encode(), "application/json", io.LimitReader(file, cost.MaxFile+1))
			if err != nil {
				return err
			}
			defer res.Body.Close()
			var report cost.ImportReport
			if err := json.NewDecoder(res.Body).Decode(&report); err != nil {
				return fmt.Errorf("read the server's answer: %w", err)
			}
			if err := env.show(report, func() { env.importReport(report) }); err != nil || !report.Refused {
				return err
			}
			return fault.New(fault.Invalid, "prices_bad", "nothing was imported: %d rows are bad", len(report.Bad)).Hinted("mend them, or leave them out with --skip-bad")
		},
	}
	f := cmd.Flags()
	f.BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	f.BoolVar(&skip, "skip-bad", false, "leave out rows that are bad, instead of refusing all")
	f.StringVar(&from, "from", "", "the day from which rows without one hold; what was imported before ends there (default: always)")
	f.StringVar(&asOf, "as-of", "", "the day on which rows without one were true (default: today)")
	return cmd
}

func (e *environment) importReport(r cost.ImportReport) {
	var rows [][]any
	for _, d := range r.Differences {
		old := ""
		if d.Old != nil {
			old = rateLine(d.Old.Row) + " (" + d.Old.Layer + ")"
		}
		rows = append(rows, []any{d.Kind, d.New.Provider, d.New.Model, old, rateLine(d.New), day(d.New.From)})
	}
	if len(rows) > 0 {
		e.table([]string{"", "PROVIDER", "MODEL", "WAS", "IS", "SINCE"}, rows, "")
	}
	for _, b := range r.Bad {
		e.printf("bad: %s: %s\n", printable(b.Where), printable(b.Reason))
	}
	for _, s := range r.Skipped {
		e.printf("left out: %d, %s\n", s.Rows, printable(s.Reason))
	}
	verb := "imported"
	if r.DryRun || r.Refused {
		verb = "not imported"
	}
	e.printf("%s, %s: %d new, %d changed, %d unchanged, %d bad\n", r.Format, verb, r.New, r.Changed, r.Unchanged, len(r.Bad))
}

// rateLine is a row's rates in short: in, out, and what there is besides.
func rateLine(r cost.Row) string {
	text, more := money.Nanos(r.Input).Decimal()+" / "+money.Nanos(r.Output).Decimal(), otherRates(r.Rates)
	switch {
	case len(more) > 0 && r.Input == 0 && r.Output == 0:
		text = strings.Join(more, ", ")
	case len(more) > 0:
		text += ", " + strings.Join(more, ", ")
	}
	for _, t := range r.Context {
		text += fmt.Sprintf(", above %d: %s / %s", t.Above, money.Nanos(t.Input).Decimal(), money.Nanos(t.Output).Decimal())
	}
	if len(r.Services) > 0 {
		text += ", " + strings.Join(slices.Sorted(maps.Keys(r.Services)), ", ")
	}
	return text
}

func pricesRemoveCommand(env *environment) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "remove PROVIDER MODEL", Short: "Take imported prices out: what lies beneath counts again", Args: cobra.ExactArgs(2),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			q := url.Values{"provider": {args[0]}, "model": {args[1]}}
			if from != "" {
				q.Set("from", from)
			}
			var removed admin.Removed
			if err := c.do(ctx, http.MethodDelete, "/api/prices?"+q.Encode(), nil, &removed); err != nil {
				return err
			}
			return env.show(removed, func() { env.printf("removed %d\n", removed.Rows) })
		}),
	}
	cmd.Flags().StringVar(&from, "from", "", "only the price that begins on this day, 2026-03-01")
	return cmd
}
