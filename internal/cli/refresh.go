package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func refreshCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "refresh", Short: "Change a collection's embedding model or chunking while it serves, and go back", Args: cobra.NoArgs,
		Long: `A refresh builds a second generation of a collection's vectors beside the live one: with another embedding model, cut in another way,
or the same anew. Queries go to the live one until the new one has everything, has been held against it, and takes its place in one
transaction. The one before is kept, and kept up to date, to go back to.`,
		Example: "  airfield refresh plan handbook --embedding-model text-embedding-3-large\n  airfield refresh start handbook --embedding-model text-embedding-3-large\n" +
			"  airfield refresh status handbook --wait\n  airfield refresh switch handbook\n  airfield refresh rollback handbook",
	}
	cmd.AddCommand(refreshPlan(env), refreshStart(env), refreshStatus(env), refreshSwitch(env),
		refreshStep(env, "rollback", "Make the generation live again that was so before", "%s is live again: %s\n"),
		refreshStep(env, "cancel", "End the refresh under way; what is live stays so", "%s is cancelled; what was built of %s goes\n"))
	return cmd
}

func refreshPath(collection, what string) string {
	return "/api/collections/" + url.PathEscape(collection) + "/refresh" + what
}

// refreshFlags are what a refresh can be asked for with.
func refreshFlags(cmd *cobra.Command) func() admin.RefreshRequest {
	var r admin.RefreshRequest
	var tokens, most, overlap int
	f := cmd.Flags()
	f.StringVar(&r.EmbeddingModel, "embedding-model", "", "the embedding model; the configured one where it is not given")
	f.StringVar(&r.Chunking.Strategy, "strategy", "", "how documents are cut; as configured where it is not given")
	f.IntVar(&tokens, "tokens", 0, "the size in tokens that chunks are packed to")
	f.IntVar(&most, "max-tokens", 0, "the most tokens a chunk may have; twice --tokens where only those are given")
	f.IntVar(&overlap, "overlap-tokens", 0, "tokens of the preceding chunk that are repeated")
	return func() admin.RefreshRequest {
		for name, set := range map[string]struct {
			to   **int
			from *int
		}{"tokens": {&r.Chunking.Tokens, &tokens}, "max-tokens": {&r.Chunking.Max, &most}, "overlap-tokens": {&r.Chunking.Overlap, &overlap}} {
			if f.Changed(name) {
				*set.to = set.from
			}
		}
		return r
	}
}

func refreshPlan(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "plan COLLECTION", Short: "Say what a refresh would do and cost; nothing is begun", Args: cobra.ExactArgs(1)}
	flags := refreshFlags(cmd)
	cmd.RunE = env.connected(func(ctx context.Context, c *client, args []string) error {
		var p ingest.RefreshPlan
		if err := c.do(ctx, http.MethodPost, refreshPath(args[0], "/plan"), flags(), &p); err != nil {
			return err
		}
		return env.show(p, func() { env.refreshPlan(p) })
	})
	return cmd
}

func (e *environment) refreshPlan(p ingest.RefreshPlan) {
	line := func(name, format string, args ...any) { e.printf("%-11s %s\n", name, fmt.Sprintf(format, args...)) }
	line("collection", "%s", p.Collection)
	line("live", "%s, %s", p.LiveModel, cutting(p.LiveChunking.Strategy, p.LiveChunking.Tokens))
	line("then", "%s, %s", p.Model, cutting(p.Chunking.Strategy, p.Chunking.Tokens))
	if p.Extract {
		line("reads", "%d documents anew, from the bucket", p.Documents)
	} else {
		line("reads", "the stored passages of %d documents; no file", p.Documents)
	}
	line("embeds", "%d chunks, about %d tokens", p.Chunks-p.AlreadyThere, p.Tokens)
	if p.AlreadyThere > 0 {
		line("has", "%d chunks already, from the refresh that failed", p.AlreadyThere)
	}
	if p.Priced {
		line("costs", "about %s at %s", p.CostUSD, p.Deployment)
	} else {
		line("costs", "not known: there is no price for %s (airfield prices)", p.Deployment)
	}
	if p.SecondsFrom != "" {
		line("takes", "about %s, by %s", brief(time.Duration(p.Seconds*float64(time.Second))), p.SecondsFrom)
	} else {
		line("takes", "not known: %s has not embedded for a refresh here", p.Model)
	}
	line("gate", "%d queries made of headings and titles, %d golden ones", p.SampledQueries, p.GoldenQueries)
	if p.UnderWay != "" {
		line("under way", "%s, of %s: airfield refresh status %s", p.UnderWay, p.UnderWayModel, p.Collection)
	}
}

func cutting(strategy string, tokens int) string {
	return fmt.Sprintf("chunks by %s of %d tokens", strategy, tokens)
}

func refreshStart(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "start COLLECTION", Short: "Build another generation beside the live one", Args: cobra.ExactArgs(1)}
	flags := refreshFlags(cmd)
	hold := cmd.Flags().Bool("hold", false, "leave the switch to you, whatever the configuration says")
	cmd.RunE = env.connected(func(ctx context.Context, c *client, args []string) error {
		r := flags()
		if *hold {
			r.AutoSwitch = new(bool)
		}
		var g ingest.Generation
		if err := c.do(ctx, http.MethodPost, refreshPath(args[0], ""), r, &g); err != nil {
			return err
		}
		return env.show(g, func() {
			env.printf("%s is being built with %s; airfield refresh status %s --wait waits for it\n", g.ID, g.Model, args[0])
		})
	})
	return cmd
}

func refreshStatus(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "status COLLECTION", Short: "Show a collection's generations, how far they are and the figures of their gates", Args: cobra.ExactArgs(1)}
	wait := cmd.Flags().Bool("wait", false, "wait until the newest is live, or waits for somebody; fails where it is held, failed or cancelled")
	cmd.RunE = env.connected(func(ctx context.Context, c *client, args []string) error {
		bar := env.progress(-1, "")
		for {
			list, err := get[[]ingest.Generation](ctx, c, refreshPath(args[0], ""))
			if err != nil {
				return err
			}
			g := list[0]
			if *wait && (g.State == ingest.GenerationBuilding || g.State == ingest.GenerationChecking || g.State == ingest.GenerationReady && g.AutoSwitch) {
				if g.Total > 0 && int(g.Total) != bar.GetMax() {
					bar.ChangeMax(int(g.Total))
				}
				bar.Describe(g.State + " " + g.Phase)
				bar.Set64(g.Done)
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(200 * time.Millisecond):
				}
				continue
			}
			bar.Finish()
			if err := env.show(list, func() { env.generations(list) }); err != nil || !*wait {
				return err
			}
			switch g.State {
			case ingest.GenerationHeld, ingest.GenerationFailed, ingest.GenerationCancelled:
				why := g.Error
				if g.State == ingest.GenerationHeld && g.Gate != nil {
					why = strings.Join(g.Gate.Reasons, "; ")
				}
				return fault.New(fault.Conflict, "refresh_"+g.State, "generation %s is %s: %s", g.ID, g.State, why)
			}
			return nil
		}
	})
	return cmd
}

func (e *environment) generations(list []ingest.Generation) {
	var rows [][]any
	for _, g := range list {
		rows = append(rows, []any{g.ID, g.State, g.Model, cutting(g.Chunking.Strategy, g.Chunking.Tokens), built(g), g.Refused, ago(g.CreatedAt)})
	}
	e.table([]string{"GENERATION", "STATE", "MODEL", "CUT", "DONE", "REFUSED", "MADE"}, rows, "")
	for _, g := range list {
		if g.Error != "" {
			e.printf("%s does not get on: %s\n", g.ID, printable(g.Error))
		}
		if g.State == ingest.GenerationPrevious {
			e.printf("%s is kept until %s\n", g.ID, g.KeptUntil.UTC().Format("2006-01-02 15:04 UTC"))
		}
	}
	if g := list[0]; g.Gate != nil {
		e.gate(*g.Gate)
	}
}

func (e *environment) gate(g ingest.Gate) {
	verdict := "passed"
	if !g.Passed {
		verdict = "not passed: " + strings.Join(g.Reasons, "; ")
	}
	e.printf("gate: %s\n", printable(verdict))
	e.printf("  overlap@10 %.2f over %d queries, by %s (at least %.2f)\n", g.Overlap, g.Queries, g.By, g.MinOverlap)
	if g.Golden > 0 {
		e.printf("  nDCG@10 %.3f over %d golden queries (live %.3f, at least %.3f)\n", g.NDCG, g.Golden, g.LiveNDCG, g.MinNDCG)
	}
	for _, a := range g.Apart {
		if a.Overlap < 1 {
			e.printf("  %.2f  %s\n", a.Overlap, printable(short(a.Query, 80)))
		}
	}
}

// built is a bar and what has been done of a phase.
func built(g ingest.Generation) string {
	if g.State != ingest.GenerationBuilding || g.Total <= 0 {
		if g.Behind > 0 {
			return fmt.Sprintf("%d changes behind", g.Behind)
		}
		return ""
	}
	full := int(barWidth * g.Done / g.Total)
	return fmt.Sprintf("%s [%s%s] %d/%d", g.Phase, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), g.Done, g.Total)
}

func refreshSwitch(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "switch COLLECTION", Short: "Make the generation that was built live", Args: cobra.ExactArgs(1)}
	force := cmd.Flags().Bool("force", false, "although it did not pass its gate")
	cmd.RunE = env.connected(func(ctx context.Context, c *client, args []string) error {
		var g ingest.Generation
		if err := c.do(ctx, http.MethodPost, refreshPath(args[0], "/switch"), map[string]bool{"force": *force}, &g); err != nil {
			return err
		}
		return env.show(g, func() { env.printf("%s is live: %s; airfield refresh rollback %s goes back\n", g.ID, g.Model, args[0]) })
	})
	return cmd
}

func refreshStep(env *environment, name, about, said string) *cobra.Command {
	return &cobra.Command{Use: name + " COLLECTION", Short: about, Args: cobra.ExactArgs(1),
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			var g ingest.Generation
			if err := c.do(ctx, http.MethodPost, refreshPath(args[0], "/"+name), nil, &g); err != nil {
				return err
			}
			return env.show(g, func() { env.printf(said, g.ID, g.Model) })
		}),
	}
}
