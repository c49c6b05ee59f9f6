package gateway_test

import (
	"testing"

	"airfield/internal/caller"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/money"
)

func TestAPromptOnTheListBringsItsModelAndOpensItForNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		list    string
		model   string // of the prompt
		body    string
		refused string
	}{
		"the prompt":                           {"prompt/reply", "chat", `{"model":"prompt/reply"}`, ""},
		"its label where none is said":         {"prompt/reply", "chat", `{"model":"prompt/reply@candidate"}`, ""},
		"by the field":                         {"prompt/reply", "chat", `{"prompt":{"name":"reply","version":3}}`, ""},
		"live is the label of who names none":  {"prompt/reply@live", "chat", `{"model":"prompt/reply"}`, ""},
		"also by the field":                    {"prompt/reply@live", "chat", `{"prompt":{"name":"reply"}}`, ""},
		"any label":                            {"prompt/reply@*", "chat", `{"model":"prompt/reply"}`, ""},
		"another label":                        {"prompt/reply@live", "chat", `{"model":"prompt/reply@candidate"}`, "model_not_allowed"},
		"another version":                      {"prompt/reply@live", "chat", `{"model":"prompt/reply@3"}`, "model_not_allowed"},
		"another prompt":                       {"prompt/replying", "chat", `{"model":"prompt/reply"}`, "model_not_allowed"},
		"its model by name":                    {"prompt/reply", "chat", `{"model":"chat","messages":[{"role":"user","content":"x"}]}`, "model_not_allowed"},
		"its model by name beside the prompt":  {"prompt/reply", "chat", `{"model":"chat","prompt":{"name":"reply"}}`, "model_not_allowed"},
		"another model beside the prompt":      {"prompt/reply", "chat", `{"model":"other","prompt":{"name":"reply"}}`, "model_not_allowed"},
		"a model that is said twice":           {"prompt/reply", "chat", `{"model":"prompt/reply","model":"other"}`, "duplicate_field"},
		"a prompt of a tier":                   {"prompt/reply", "tier/premium", `{"model":"prompt/reply"}`, ""},
		"the tier of a prompt":                 {"prompt/reply", "tier/premium", `{"model":"tier/premium","messages":[{"role":"user","content":"x"}]}`, "model_not_allowed"},
		"a model of the tier of a prompt":      {"prompt/reply", "tier/premium", `{"model":"chat","messages":[{"role":"user","content":"x"}]}`, "model_not_allowed"},
		"a model in the name of a prompt":      {"chat", "other", `{"model":"prompt/reply"}`, "model_not_allowed"},
		"a prompt whose model is on the list":  {"chat", "chat", `{"model":"prompt/reply"}`, ""},
		"a prompt that names a further prompt": {"prompt/*", "prompt/reply", `{"model":"prompt/reply"}`, "model_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			s, rendered := &seen{}, reply()
			rendered.Model = c.model
			w := newWorldOf(t, gateway.Parts{Prompts: &registered{prompt: rendered}}, s.answer, func(g *gateway.Config) {
				m := g.Models["chat"]
				m.Tier = "premium"
				g.Models["chat"], g.Models["other"] = m, g.Models["chat"]
				g.Workflows = map[string]gateway.WorkflowConfig{"support": {Models: []string{c.list}}}
			})
			upstream, err := sent(t, w, s, llm.ChatCompletions, c.body)
			if code(err) != c.refused || (upstream == "") != (c.refused != "") {
				t.Errorf("%v; sent %q", err, upstream)
			}
		})
	}
}

func TestAReplayTriesEveryVersionOfAPromptOnTheList(t *testing.T) {
	s := &seen{}
	w := newWorldOf(t, gateway.Parts{Prompts: &registered{prompt: reply()}}, s.answer, func(g *gateway.Config) {
		m := g.Models["chat"]
		m.MaxOutput = 100
		g.Models["chat"], g.Models["other"] = m, m
		g.Workflows = map[string]gateway.WorkflowConfig{"support": {Models: []string{"prompt/reply@live"}}}
	})
	ctx := caller.With(t.Context(), &caller.Caller{Role: caller.System, Workflow: "support", Environment: "dev"})
	again := gateway.Request{Surface: llm.ChatCompletions, Body: []byte(`{"prompt":{"name":"reply","version":3}}`), Allowance: gateway.NewAllowance(money.Nanos(1_000_000_000))}
	if _, err := w.Again(ctx, again); err != nil {
		t.Error(err)
	}
	again.Model = "other"
	if _, err := w.Again(ctx, again); code(err) != "model_not_allowed" {
		t.Errorf("another model: %v", err)
	}
}
