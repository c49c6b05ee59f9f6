package app

import (
	"context"

	"airfield/internal/caller"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/money"
	"airfield/internal/observe"
	"airfield/internal/prompt"
)

// prompts are the registered ones, as the gateway needs them.
type prompts struct{ registry *prompt.Registry }

func (p prompts) Render(ref gateway.PromptRef) (gateway.RenderedPrompt, error) {
	r, err := p.registry.Render(prompt.Ref{Name: ref.Name, Label: ref.Label, Version: ref.Version}, ref.Variables, ref.By)
	made := gateway.RenderedPrompt{Name: r.Name, Version: r.Version, Model: r.Model, Locked: r.Locked, Parameters: r.Parameters}
	for _, m := range r.Messages {
		made.Messages = append(made.Messages, gateway.Message(m))
	}
	return made, err
}

// replayer runs past calls again, the way every call goes.
func (p *parts) replayer() *prompt.Replayer {
	return &prompt.Replayer{Registry: p.prompts, Past: past{p}, Bodies: p.bodies, Begin: func(budget money.Nanos) prompt.Again {
		allowance := gateway.NewAllowance(budget)
		return func(ctx context.Context, row *llm.Call, body []byte, model string, tags map[string]string) (llm.Call, []byte, error) {
			who := &caller.Caller{Role: caller.System, KeyName: "replay", Workflow: row.Workflow, BusinessUnit: row.BusinessUnit, Environment: row.Environment}
			if from := caller.From(ctx); from != nil {
				who.KeyID = from.KeyID // whose key it was, and not that of the past call
			}
			done, err := p.gateway.Again(caller.With(ctx, who), gateway.Request{
				Surface: row.Surface, Body: body, Tags: tags, Session: row.Session, User: row.User, Model: model, Allowance: allowance, Cache: gateway.CacheOff, Priority: "low",
			})
			return done.Row, done.Answer, err
		}
	}}
}

// past is the log of calls, as a replay needs it.
type past struct{ parts *parts }

func (p past) CallsOf(ctx context.Context, name string, version int, before string, limit int) ([]llm.Call, error) {
	return p.parts.store.Calls(ctx, observe.Filter{Prompt: name, Version: version, Outcome: llm.OK, Before: before, Limit: limit})
}
