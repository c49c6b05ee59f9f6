package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/redact"
)

func callsCommand(env *environment) *cobra.Command {
	var f struct {
		workflow, model, outcome string
		prompt                   string
		version                  int
		since                    time.Duration
		limit                    int
		follow                   bool
	}
	cmd := &cobra.Command{
		Use: "calls", Short: "List calls with their tokens, cost and outcome", Args: cobra.NoArgs,
		Example: "  airfield calls --since 1h --outcome error\n  airfield calls --follow\n  airfield calls show call_…",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notNegative("since", f.since); err != nil {
				return err
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(f.limit)}}
			for name, value := range map[string]string{"workflow": f.workflow, "model": f.model, "outcome": f.outcome, "prompt": f.prompt} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if f.version > 0 {
				q.Set("prompt_version", strconv.Itoa(f.version))
			}
			if f.since > 0 {
				q.Set("since", time.Now().Add(-f.since).UTC().Format(time.RFC3339Nano))
			}
			if f.follow {
				return env.follow(cmd.Context(), c, q)
			}
			page, err := get[admin.CallPage](cmd.Context(), c, "/api/calls?"+q.Encode())
			if err != nil {
				return err
			}
			return env.show(page.Calls, func() {
				empty := "no calls yet"
				if f.workflow+f.model+f.outcome+f.prompt != "" || f.version > 0 || f.since > 0 {
					empty = "no call matches"
				}
				env.callTable(page.Calls, empty)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.workflow, "workflow", "", "only of this workflow")
	flags.StringVar(&f.model, "model", "", "only for this model")
	flags.StringVar(&f.outcome, "outcome", "", "only ok, error, broken, cancelled or cut")
	flags.StringVar(&f.prompt, "prompt", "", "only of this prompt")
	flags.IntVar(&f.version, "prompt-version", 0, "only of this version of a prompt")
	flags.DurationVar(&f.since, "since", 0, "only what is not older, such as 1h")
	flags.IntVar(&f.limit, "limit", 20, "at most this many")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on as calls end, until interrupted")
	cmd.AddCommand(callsShowCommand(env))
	return cmd
}

func callsShowCommand(env *environment) *cobra.Command {
	var body, raw bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one call with its attempts, or what was asked and answered in it", Args: cobra.ExactArgs(1),
		Long:    "With --body it shows what was asked and answered, as it is kept: that takes a key with the role auditor or admin, and each showing is in the audit log.",
		Example: "  airfield calls show call_…\n  airfield calls show call_… --body",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			if raw && !body {
				return usage("--raw goes with --body")
			}
			if body {
				return env.callBody(ctx, c, args[0], raw)
			}
			call, err := get[admin.Call](ctx, c, "/api/calls/"+url.PathEscape(args[0]))
			if err != nil {
				return err
			}
			return env.show(call, func() { env.callDetail(call) })
		}),
	}
	cmd.Flags().BoolVar(&body, "body", false, "show the request and the answer")
	cmd.Flags().BoolVar(&raw, "raw", false, "with --body: byte for byte, as they are kept")
	return cmd
}

func (e *environment) callTable(calls []admin.Call, empty string) {
	var rows [][]any
	for _, c := range calls {
		rows = append(rows, callRow(c))
	}
	e.table([]string{"AT", "CALL", "WORKFLOW", "SURFACE", "MODEL", "OUTCOME", "IN", "OUT", "COST", "TOOK"}, rows, empty)
}

func callRow(c admin.Call) []any {
	outcome := c.Outcome
	if c.Outcome != "ok" {
		outcome = fmt.Sprintf("%s %d", c.Outcome, c.Status)
	}
	return []any{ago(c.StartedAt), c.ID, c.Workflow, c.Surface, c.Model, outcome, c.InputTokens, c.OutputTokens, callCost(c), brief(time.Duration(c.DurationMS * float64(time.Millisecond)))}
}

func callCost(c admin.Call) string {
	if !c.Priced && c.InputTokens+c.OutputTokens > 0 {
		return "unpriced"
	}
	return c.CostUSD.String()
}

// follow prints calls as they end; it asks with the cursor of the last answer, so that none is missed or twice.
func (e *environment) follow(ctx context.Context, c *client, q url.Values) error {
	header, cursor := false, ""
	for {
		q.Set("after", cursor)
		page, err := get[admin.CallPage](ctx, c, "/api/calls/follow?"+q.Encode())
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		cursor = page.Next
		for _, call := range page.Calls {
			if e.json {
				if err := e.line(call); err != nil {
					return err
				}
				continue
			}
			if !header {
				e.printf("%-9s %-31s %-14s %-17s %-22s %-14s %7s %6s %-10s %s\n", "AT", "CALL", "WORKFLOW", "SURFACE", "MODEL", "OUTCOME", "IN", "OUT", "COST", "TOOK")
				header = true
			}
			row := callRow(call)
			e.printf("%-9s %-31s %-14s %-17s %-22s %-14s %7d %6d %-10s %s\n", row...)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (e *environment) callDetail(c admin.Call) {
	line := func(name, format string, args ...any) {
		if value := fmt.Sprintf(format, args...); value != "" {
			e.printf("%-14s %s\n", name, printable(value))
		}
	}
	line("call", "%s", c.ID)
	line("at", "%s", c.StartedAt.Local().Format("2006-01-02 15:04:05.000"))
	line("outcome", "%s, status %d", c.Outcome, c.Status)
	if c.Error != "" {
		line("error", "%s: %s", c.ErrorKind, c.Error)
	}
	if d := c.Decision; d != nil {
		line("decided by", "%s %s", d.Rule, d.Name)
		line("because", "%s", d.Reason)
	}
	if c.WaitedMS > 0 {
		line("waited", "%s", brief(time.Duration(c.WaitedMS*1e6)))
	}
	line("workflow", "%s", strings.TrimSuffix(c.Workflow+" · "+c.BusinessUnit, " · "))
	line("key", "%s", c.KeyID)
	line("user", "%s", c.User)
	line("session", "%s", c.Session)
	for _, name := range sortedKeys(c.Tags) {
		line("tag "+name, "%s", c.Tags[name])
	}
	line("surface", "%s", c.Surface)
	line("model", "%s", c.Model)
	if c.Prompt != "" {
		line("prompt", "%s@%d", c.Prompt, c.PromptVersion)
	}
	line("served by", "%s", c.Deployment)
	line("rung", "%s", c.Degraded)
	line("cache", "%s", c.Cache)
	line("redacted", "%s", strings.Trim(redact.Found(c.Redacted).String()+" · rules "+c.Redaction, " ·"))
	line("tokens", "%s", strings.TrimSuffix(fmt.Sprintf("%d in (%d from the provider's cache), %d out (%d reasoning), %s", c.InputTokens, c.CacheRead, c.OutputTokens, c.Reasoning, c.UsageSource), ", "))
	if c.CacheWrite+c.CacheLong > 0 {
		line("cache writes", "%d tokens, %d of them for an hour", c.CacheWrite+c.CacheLong, c.CacheLong)
	}
	if c.AudioInput+c.AudioOutput > 0 {
		line("sound", "%d tokens in, %d out", c.AudioInput, c.AudioOutput)
	}
	if c.Images > 0 {
		line("images", "%d", c.Images)
	}
	if c.ImageInput > 0 {
		line("pictures", "%d tokens in", c.ImageInput)
	}
	if c.Characters > 0 {
		line("characters", "%d spoken", c.Characters)
	}
	if c.Seconds > 0 {
		line("seconds", "%d of sound", c.Seconds)
	}
	line("service tier", "%s", c.ServiceTier)
	line("cost", "%s", strings.TrimSuffix(callCost(c)+" by price "+c.PriceID, " by price "))
	line("took", "%s, first byte after %s", brief(time.Duration(c.DurationMS*1e6)), brief(time.Duration(c.FirstByteMS*1e6)))
	line("bytes", "%s in, %s out", size(c.RequestBytes), size(c.ResponseBytes))
	line("bodies", "%s", bodiesLine(c))
	line("finish", "%s", c.Finish)
	line("trace", "%s", c.TraceID)
	for i, a := range c.Attempts {
		text := fmt.Sprintf("%s (%s): %s", a.Deployment, a.Model, a.Outcome)
		if a.Status > 0 {
			text += fmt.Sprintf(" %d", a.Status)
		}
		text += " in " + brief(time.Duration(a.DurationMS*1e6))
		if a.Error != "" {
			text += ": " + a.Error
		}
		line(fmt.Sprintf("attempt %d", i+1), "%s", text)
	}
}

// bodiesLine says what is kept of the request and the answer, and until when.
func bodiesLine(c admin.Call) string {
	if c.BodiesUntil == nil || c.Bodies == "expired" || c.Bodies == "lost" {
		return c.Bodies
	}
	return c.Bodies + ", until " + c.BodiesUntil.Local().Format("2006-01-02 15:04")
}

func traceCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "trace ID", Short: "Show a trace as a tree with durations", Args: cobra.ExactArgs(1),
		Long: "ID is a trace id, or the id of a call.",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			traceID := args[0]
			if strings.HasPrefix(traceID, "call_") {
				call, err := get[admin.Call](ctx, c, "/api/calls/"+url.PathEscape(traceID))
				if err != nil {
					return err
				}
				traceID = call.TraceID
			}
			trace, err := get[admin.Trace](ctx, c, "/api/traces/"+url.PathEscape(traceID))
			if err != nil {
				return err
			}
			return env.show(trace, func() { env.trace(trace) })
		}),
	}
}

func (e *environment) trace(t admin.Trace) {
	e.printf("trace %s · %s\n", t.TraceID, brief(time.Duration(t.DurationMS*1e6)))
	var walk func(nodes []admin.Node, indent string)
	walk = func(nodes []admin.Node, indent string) {
		slices.SortStableFunc(nodes, func(a, b admin.Node) int { return a.StartedAt.Compare(b.StartedAt) })
		for i, n := range nodes {
			branch, next := "├─ ", "│  "
			if i == len(nodes)-1 {
				branch, next = "└─ ", "   "
			}
			name := indent + branch + printable(n.Name)
			e.printf("%s%s %9s", name, strings.Repeat(" ", max(1, 44-len([]rune(name)))), brief(time.Duration(n.DurationMS*1e6)))
			if more := details(n); more != "" {
				e.printf("  %s", e.colour(text.Faint, printable(more)))
			}
			e.printf("\n")
			walk(n.Children, indent+next)
		}
	}
	walk(t.Spans, "")
}

// details joins a span's attributes, and its error first.
func details(n admin.Node) string {
	var parts []string
	if n.Error != "" {
		parts = append(parts, "ERROR "+n.Error)
	}
	for _, name := range sortedKeys(n.Attributes) {
		if value := n.Attributes[name]; value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	return strings.Join(parts, " ")
}
