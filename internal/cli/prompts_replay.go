package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airfield/internal/api/admin"
	"airfield/internal/fault"
	"airfield/internal/prompt"
)

func promptsReplayCommand(env *environment) *cobra.Command {
	var f struct {
		from, model, budget string
		last, concurrency   int
	}
	cmd := &cobra.Command{
		Use: "replay NAME@X", Short: "Run past calls under another version or model, and compare the answers", Args: cobra.ExactArgs(1),
		Long: `Past calls of the prompt are made again with the variables and messages that they had. The new calls cost money: the most that
each can cost is held before it is made, so that the budget is never exceeded. They are metered for the workflow of the past
call, carry the tag replay and are not cached. It needs the bodies of past calls, and an admin's key: it shows what was asked.`,
		Example: "  airfield prompts replay support-reply@candidate --last 50 --budget 0.50\n  airfield prompts replay support-reply@live --model small --from support-reply@live",
		RunE: env.connected(func(ctx context.Context, c *client, args []string) error {
			name, which, at := strings.Cut(args[0], "@")
			if !at {
				return usage("say which version is tried: %s@candidate, or %s@4", name, name)
			}
			q := url.Values{"to": {which}, "last": {strconv.Itoa(f.last)}, "budget": {f.budget}, "concurrency": {strconv.Itoa(f.concurrency)}}
			if f.model != "" {
				q.Set("model", f.model)
			}
			if f.from != "" {
				of, version, at := strings.Cut(f.from, "@")
				if !at || of != name {
					return usage("--from is a version of the same prompt, such as %s@live, not %q", name, f.from)
				}
				q.Set("from", version)
			}
			return env.replay(ctx, c, promptPath(name, "replay")+"?"+q.Encode(), f.last)
		}),
	}
	flags := cmd.Flags()
	flags.IntVar(&f.last, "last", 50, "how many calls, the newest ones")
	flags.StringVar(&f.from, "from", "", "only calls that got this version, NAME@X")
	flags.StringVar(&f.model, "model", "", "ask this model in place of the one that the call or the prompt names")
	flags.StringVar(&f.budget, "budget", "1.00", "what it may cost at the most, in dollars")
	flags.IntVar(&f.concurrency, "concurrency", 4, "how many calls run at once")
	return cmd
}

func (e *environment) replay(ctx context.Context, c *client, path string, last int) error {
	res, err := c.send(ctx, http.MethodPost, path, "application/json", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	bar := e.progress(last, "replaying")
	defer bar.Finish()
	var all []prompt.Replayed
	lines := json.NewDecoder(res.Body)
	for {
		var line admin.ReplayLine
		if err := lines.Decode(&line); err != nil {
			if errors.Is(err, io.EOF) {
				err = fault.New(fault.Unavailable, "server_away", "the server broke the answer off")
			}
			return err
		}
		switch {
		case line.Error != nil:
			return &fault.Fault{Kind: fault.Unavailable, Code: line.Error.Code, Text: line.Error.Detail, Hint: line.Error.Hint}
		case line.Call != nil:
			all = append(all, *line.Call)
			bar.Add(1)
		case line.Done != nil:
			bar.Finish()
			return e.show(map[string]any{"calls": all, "total": line.Done}, func() { e.replayed(all, *line.Done) })
		}
	}
}

func (e *environment) replayed(all []prompt.Replayed, sum prompt.ReplayTotals) {
	for _, r := range all {
		if r.Same {
			continue
		}
		e.printf("── %s, version %d, %s\n", r.Old.CallID, r.Old.Version, sideText(r.Old))
		e.lines(r.Old.Answer)
		if r.Error != "" {
			e.printf("── no new answer: %s\n\n", printable(r.Error))
			continue
		}
		e.printf("── %s, version %d, %s\n", r.New.CallID, r.New.Version, sideText(r.New))
		e.lines(r.New.Answer)
		e.printf("\n")
	}
	e.table([]string{"", "OLD", "NEW"}, [][]any{
		{"cost", sum.OldUSD.String(), sum.NewUSD.String()},
		{"mean time", millisText(sum.OldMS), millisText(sum.NewMS)},
		{"ended by", counts(sum.OldFinish), counts(sum.NewFinish)},
		{"against the schema", sum.OldInvalid, sum.NewInvalid},
	}, "")
	e.printf("%d calls replayed under %s@%d, %d with the same answer; %d failed, %d without a kept request, %d for which the budget had no room; spent %s\n",
		sum.Replayed, printable(sum.Name), sum.Version, sum.Same, sum.Failed, sum.NotKept, sum.NotRun, sum.SpentUSD)
}

func sideText(s prompt.Side) string {
	cost := "unpriced"
	if s.Priced {
		cost = s.CostUSD.String()
	}
	text := fmt.Sprintf("%s, %s, %s", printable(s.Model), cost, millisText(s.DurationMS))
	if s.Valid != nil && !*s.Valid {
		text += ", not as the schema says"
	}
	return text
}

func millisText(ms float64) string { return brief(time.Duration(ms * float64(time.Millisecond))) }

func counts(of map[string]int) string {
	var all []string
	for _, name := range sortedKeys(of) {
		all = append(all, fmt.Sprintf("%s %d", printable(name), of[name]))
	}
	return strings.Join(all, ", ")
}
