package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/api"
	"airfield/internal/fault"
	"airfield/internal/money"
	"airfield/internal/prompt"
)

// NewTarget is what a label is to stand for.
type NewTarget struct {
	prompt.Target
	Reason string `json:"reason,omitempty" maxLength:"2000"`
}

// Moved says what a label stands for now.
type Moved struct {
	Name  string        `json:"name"`
	Label string        `json:"label"`
	Move  *prompt.Move  `json:"move,omitempty" doc:"Without it the label stood so already."`
	To    prompt.Target `json:"to"`
}

// RenderPrompt is what a version is filled with, to look at.
type RenderPrompt struct {
	Label     string          `json:"label,omitempty" doc:"By default live."`
	Version   int             `json:"version,omitempty" minimum:"0"`
	Variables json.RawMessage `json:"variables,omitempty"`
	Prompt    *prompt.Prompt  `json:"prompt,omitempty" doc:"A prompt that was not pushed, in place of a version."`
}

// ReplayLine is a line of the answer to a replay: a call, and at last done or error.
type ReplayLine struct {
	Call  *prompt.Replayed     `json:"call,omitempty"`
	Done  *prompt.ReplayTotals `json:"done,omitempty"`
	Error *api.Problem         `json:"error,omitempty"`
}

type promptIn struct {
	Name string `path:"name"`
}

type promptVersionIn struct {
	Name    string `path:"name"`
	Version string `path:"version" doc:"A number, a label, or latest."`
}

type pushIn struct {
	Name string `path:"name"`
	Body prompt.Push
}

type labelIn struct {
	Name  string `path:"name"`
	Label string `path:"label"`
	Body  NewTarget
}

type rollbackIn struct {
	Name  string `path:"name"`
	Label string `path:"label"`
	Body  struct {
		Reason string `json:"reason,omitempty" maxLength:"2000"`
	}
}

type renderIn struct {
	Name string `path:"name"`
	Body RenderPrompt
}

func (d *Door) registerPrompts(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/prompts", "listPrompts", "Prompts with their newest version and their labels", readers}, func(ctx context.Context, _ *struct{}) ([]prompt.PromptSummary, error) {
		return d.Prompts.List(ctx)
	})
	add(a, d.Log, route{http.MethodGet, "/api/prompts/{name}/history", "promptHistory", "The versions of a prompt and the moves of its labels, newest first", readers}, func(ctx context.Context, in *promptIn) (prompt.PromptHistory, error) {
		return d.Prompts.History(ctx, in.Name)
	})
	add(a, d.Log, route{http.MethodGet, "/api/prompts/{name}/versions/{version}", "getPrompt", "One version of a prompt", texts}, func(ctx context.Context, in *promptVersionIn) (prompt.PromptVersion, error) {
		return d.Prompts.Find(ctx, in.Name, in.Version)
	})
	add(a, d.Log, route{http.MethodPost, "/api/prompts/{name}/versions", "pushPrompt", "Make a version of a prompt, unless its content is there; a label can be moved to it in the same step", operators}, func(ctx context.Context, in *pushIn) (prompt.Pushed, error) {
		return d.Prompts.Push(ctx, in.Name, in.Body)
	})
	add(a, d.Log, route{http.MethodPost, "/api/prompts/{name}/labels/{label}", "setPromptLabel", "Have a label stand for a version, or share its calls between two", operators}, func(ctx context.Context, in *labelIn) (Moved, error) {
		move, err := d.Prompts.SetLabel(ctx, in.Name, in.Label, in.Body.Target, in.Body.Reason)
		return moved(in.Name, in.Label, in.Body.Target, move), err
	})
	add(a, d.Log, route{http.MethodPost, "/api/prompts/{name}/labels/{label}/rollback", "rollbackPrompt", "Have a label stand for the version that it had before", operators}, func(ctx context.Context, in *rollbackIn) (Moved, error) {
		move, err := d.Prompts.Rollback(ctx, in.Name, in.Label, in.Body.Reason)
		return moved(in.Name, in.Label, prompt.Target{}, move), err
	})
	add(a, d.Log, route{http.MethodPost, "/api/prompts/{name}/render", "renderPrompt", "Fill a version, to look at; nothing is sent", texts}, func(_ context.Context, in *renderIn) (prompt.Rendered, error) {
		if in.Body.Prompt != nil {
			return prompt.Draft(in.Name, in.Body.Prompt, in.Body.Variables)
		}
		return d.Prompts.Render(prompt.Ref{Name: in.Name, Label: in.Body.Label, Version: in.Body.Version}, in.Body.Variables, "")
	})
}

func moved(name, label string, to prompt.Target, m *prompt.Move) Moved {
	if m != nil {
		to = m.To
	}
	return Moved{Name: name, Label: label, Move: m, To: to}
}

// replayPrompt answers with a line for each call. An error after the first line is the last line.
func (d *Door) replayPrompt(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	replay := prompt.Replay{To: prompt.Ref{Name: r.PathValue("name"), Label: cmp.Or(q.Get("to"), "candidate")}, From: q.Get("from"), Model: q.Get("model"), Last: 50, Concurrency: 4}
	if n, err := strconv.Atoi(replay.To.Label); err == nil {
		replay.To.Label, replay.To.Version = "", n
	}
	for name, into := range map[string]*int{"last": &replay.Last, "concurrency": &replay.Concurrency} {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fault.New(fault.Invalid, "number", "%s is a number, not %q", name, text).At(name)
			}
			*into = n
		}
	}
	var err error
	if replay.Budget, err = money.Parse(q.Get("budget")); err != nil {
		return fault.New(fault.Invalid, "replay_budget", "budget is an amount of dollars such as 1.00: %w", err).At("budget")
	}
	d.flush(r.Context())
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush, begun := json.NewEncoder(w), http.NewResponseController(w), false
	sum, err := d.Replays.Run(r.Context(), replay, func(c prompt.Replayed) error {
		begun = true
		if err := out.Encode(ReplayLine{Call: &c}); err != nil {
			return err
		}
		return flush.Flush()
	})
	if err == nil {
		return out.Encode(ReplayLine{Done: &sum})
	}
	if !begun {
		w.Header().Del("Content-Type")
		return err
	}
	api.LogInternal(d.Log, r, err)
	return out.Encode(ReplayLine{Error: api.ProblemOf(err)})
}
