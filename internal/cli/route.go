package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/gateway"
)

func routeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "route", Short: "See where calls go, and why", Args: cobra.NoArgs,
		Example: "  airfield route status\n  airfield route explain --workflow support-bot --model assistant\n  airfield route explain --workflow support-bot --file request.json",
	}
	cmd.AddCommand(routeStatusCommand(env), routeExplainCommand(env))
	return cmd
}

func routeStatusCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show deployments, breakers, the queue and the limits, as the server sees them", Args: cobra.NoArgs,
		RunE: env.connected(func(ctx context.Context, c *client, _ []string) error {
			s, err := get[gateway.RouteState](ctx, c, "/api/route")
			if err != nil {
				return err
			}
			return env.show(s, func() { env.routeStatus(s) })
		}),
	}
}

func (e *environment) routeStatus(s gateway.RouteState) {
	var rows [][]any
	for _, d := range s.Deployments {
		rows = append(rows, []any{d.Deployment, strings.Join(d.Models, ", "), d.Breaker, d.InFlight, notNow(d.Reason, d.Until)})
	}
	e.table([]string{"DEPLOYMENT", "MODELS", "BREAKER", "IN FLIGHT", "NOT ASKED BECAUSE"}, rows, "there are no deployments")
	if len(s.Limits) > 0 {
		e.printf("\n")
		e.table([]string{"LIMIT OF", "UNIT", "LIMIT", "USED"}, limitRows(s.Limits), "")
	}
	waiting := 0
	for _, workflow := range sortedKeys(s.Waiting) {
		e.printf("%d calls of %s wait\n", s.Waiting[workflow], cmp.Or(printable(workflow), "no workflow"))
		waiting += s.Waiting[workflow]
	}
	if waiting == 0 {
		e.printf("no call waits\n")
	}
}

func limitRows(limits []gateway.LimitUse) (rows [][]any) {
	for _, l := range limits {
		rows = append(rows, []any{l.Name, strings.ReplaceAll(l.Unit, "_", " "), l.Limit, l.Used})
	}
	return rows
}

func notNow(reason string, until time.Time) string {
	if reason != "" && !until.IsZero() {
		return fmt.Sprintf("%s, until %s", reason, until.Local().Format("15:04:05"))
	}
	return reason
}

type explainFlags struct {
	workflow, model, message, file string
	maxTokens                      int
	embeddings                     bool
}

func routeExplainCommand(env *environment) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use: "explain", Short: "Say for a request which deployments there are and why each is asked or passed by", Args: cobra.NoArgs,
		Long: "Nothing is sent and nothing is taken: it is what would happen at this moment. The request is that of --file (- is standard input),\nor a short one made of --model and --message.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			request, err := f.request(env)
			if err != nil {
				return err
			}
			c, err := env.connect()
			if err != nil {
				return err
			}
			in := map[string]any{"workflow": f.workflow, "surface": "chat.completions", "request": request}
			if f.embeddings {
				in["surface"] = "embeddings"
			}
			x, err := post[gateway.RouteExplanation](cmd.Context(), c, "/api/route/explain", in)
			if err != nil {
				return err
			}
			return env.show(x, func() { env.explanation(x) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.workflow, "workflow", "", "whose call it would be")
	flags.StringVar(&f.model, "model", "", "the model it asks for, or tier/economy")
	flags.StringVar(&f.message, "message", "Hello", "what it says")
	flags.IntVar(&f.maxTokens, "max-tokens", 0, "the bound of its answer")
	flags.StringVar(&f.file, "file", "", "a request's body, as JSON")
	flags.BoolVar(&f.embeddings, "embeddings", false, "it asks for vectors")
	return cmd
}

// request is the body that is explained.
func (f *explainFlags) request(env *environment) (json.RawMessage, error) {
	switch {
	case f.file != "" && f.model != "":
		return nil, usage("--file says the model already: leave out --model")
	case f.file == "-":
		return io.ReadAll(io.LimitReader(env.in, 64<<20))
	case f.file != "":
		return os.ReadFile(f.file)
	case f.model == "":
		return nil, usage("say which request: --model NAME, or --file FILE")
	}
	body := map[string]any{"model": f.model, "messages": []map[string]string{{"role": "user", "content": f.message}}}
	if f.embeddings {
		body = map[string]any{"model": f.model, "input": f.message}
	} else if f.maxTokens > 0 {
		body["max_tokens"] = f.maxTokens
	}
	return json.Marshal(body)
}

func (e *environment) explanation(x gateway.RouteExplanation) {
	e.printf("%s, about %d tokens in and %d out", printable(x.Model), x.InputTokens, x.OutputTokens)
	if len(x.Needs) > 0 {
		e.printf("; needs %s", strings.Join(x.Needs, ", "))
	}
	e.printf("\n")
	if x.Refused != "" {
		e.printf("refused: %s\n", printable(x.Refused))
	}
	if x.Moved != "" {
		e.printf("moved to the economy tier: %s\n", printable(x.Moved))
	}
	var rows [][]any
	for _, c := range x.Candidates {
		order, most := "", "unpriced"
		if c.Order > 0 {
			order = fmt.Sprint(c.Order)
		}
		if c.Priced {
			most = fmt.Sprintf("%s, at most %s", c.ExpectedUSD, c.MostUSD)
		}
		rows = append(rows, []any{order, c.Model, c.Deployment, strings.ReplaceAll(c.State, "_", " "), most, notNow(c.Reason, c.Until)})
	}
	e.table([]string{"ORDER", "MODEL", "DEPLOYMENT", "ASKED", "COST", "WHY"}, rows, "nobody serves it")
	if len(x.Limits) > 0 {
		e.table([]string{"LIMIT OF", "UNIT", "LIMIT", "USED"}, limitRows(x.Limits), "")
	}
	if x.HardBudget {
		e.printf("a hard budget applies: the most that the call can cost is held while it runs\n")
	}
	e.printf("cache: %s · when none can serve it: %s, then an error\n", x.Cache, strings.Join(x.Ladder, ", "))
}
