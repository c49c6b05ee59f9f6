package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// registered is a registry of one prompt.
type registered struct {
	prompt gateway.RenderedPrompt
	err    error
	asked  []gateway.PromptRef
}

func (s *registered) Render(ref gateway.PromptRef) (gateway.RenderedPrompt, error) {
	s.asked = append(s.asked, ref)
	if ref.Name != s.prompt.Name {
		return gateway.RenderedPrompt{Name: ref.Name}, fault.New(fault.NotFound, "prompt_not_found", "there is no prompt %q", ref.Name)
	}
	return s.prompt, s.err
}

func reply() gateway.RenderedPrompt {
	return gateway.RenderedPrompt{Name: "reply", Version: 3, Model: "chat", Messages: []gateway.Message{{Role: "system", Content: "Be \"brief\" & <kind>."}, {Role: "user", Content: "Hi\nthere"}}}
}

// sent has a request of a surface sent and returns what came upstream.
func sent(t *testing.T, w *world, s *seen, surface llm.Surface, body string) (string, error) {
	t.Helper()
	s.bodies = nil
	ctx := caller.With(context.Background(), &caller.Caller{KeyID: "key_1", Workflow: "support", Environment: "dev"})
	err := w.Do(ctx, &gateway.Request{Surface: surface, Body: []byte(body), Session: "s"}, httptest.NewRecorder())
	return strings.Join(s.bodies, ""), err
}

// seen keeps what an upstream was asked.
type seen struct{ bodies []string }

func (s *seen) answer(w http.ResponseWriter, r *http.Request) {
	b := make([]byte, 1<<20)
	n := 0
	for {
		m, err := r.Body.Read(b[n:])
		if n += m; err != nil {
			break
		}
	}
	s.bodies = append(s.bodies, string(b[:n]))
	jsonAnswer(whole)(w, r)
}

func TestAPromptIsWrittenIntoTheRequest(t *testing.T) {
	const turns = `{"role":"system","content":"Be \"brief\" & <kind>."},{"role":"user","content":"Hi\nthere"}`
	for name, c := range map[string]struct{ body, want string }{
		"named by the model alone":             {`{"model":"prompt/reply"}`, `{"messages":[` + turns + `],"model":"real-chat"}`},
		"before the caller's messages":         {`{"model":"prompt/reply@live","messages":[ {"role":"user","content":"x"}]}`, `{"model":"real-chat","messages":[` + turns + `, {"role":"user","content":"x"}]}`},
		"into an empty list":                   {`{"messages":[],"model":"prompt/reply@3"}`, `{"messages":[` + turns + `],"model":"real-chat"}`},
		"in place of null":                     {`{"messages":null,"model":"prompt/reply@3"}`, `{"messages":[` + turns + `],"model":"real-chat"}`},
		"by the field, at the beginning":       {`{"prompt":{"name":"reply"} , "model":"chat"}`, `{"messages":[` + turns + `], "model":"real-chat"}`},
		"by the field, at the end":             {`{"model":"chat", "prompt":{"id":"reply","version":"3"}}`, `{"messages":[` + turns + `],"model":"real-chat"}`},
		"by the field alone":                   {`{ "prompt":{"name":"reply","label":"live","variables":{}}}`, `{"model":"real-chat","messages":[` + turns + `] }`},
		"with what the gateway does not know":  {`{"model":"prompt/reply","x_\u00e9":[1.0, 2e3],"seed":12345678901234567890}`, `{"messages":[` + turns + `],"model":"real-chat","x_\u00e9":[1.0, 2e3],"seed":12345678901234567890}`},
		"named with escapes":                   {`{"\u006dodel":"chat","\u0070rompt":{"name":"reply"}}`, `{"messages":[` + turns + `],"\u006dodel":"real-chat"}`},
		"with variables beside the model form": {`{"model":"prompt/reply","prompt":{"variables":{"a":1}}}`, `{"messages":[` + turns + `],"model":"real-chat"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := &seen{}, &registered{prompt: reply()}
			w := newWorldOf(t, gateway.Parts{Prompts: p}, s.answer)
			got, err := sent(t, w, s, llm.ChatCompletions, c.body)
			if err != nil || got != c.want {
				t.Errorf("%v\n got %s\nwant %s", err, got, c.want)
			}
			row := w.log.last(t, 1)
			if row.Prompt != "reply" || row.Version != 3 || row.Model != "chat" || row.RequestSize != int64(len(c.body)) {
				t.Errorf("the row has %q %d for %q", row.Prompt, row.Version, row.Model)
			}
			if len(p.asked) != 1 || p.asked[0].By != "s" {
				t.Errorf("the prompt was asked for %d times: %+v", len(p.asked), p.asked)
			}
		})
	}
}

func TestParametersOfAPromptStandBehindTheCallers(t *testing.T) {
	p := reply()
	p.Messages = p.Messages[:1]
	p.Parameters = map[string]json.RawMessage{"temperature": json.RawMessage("0.2"), "max_tokens": json.RawMessage("50"), "stop": json.RawMessage(`"END"`)}
	s, registered := &seen{}, &registered{prompt: p}
	w := newWorldOf(t, gateway.Parts{Prompts: registered}, s.answer)
	got, err := sent(t, w, s, llm.ChatCompletions, `{"model":"prompt/reply","max_completion_tokens":9,"temperature":null}`)
	if want := `{"messages":[{"role":"system","content":"Be \"brief\" & <kind>."}],"stop":"END","model":"real-chat","max_completion_tokens":9,"temperature":0.2}`; err != nil || got != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
	registered.prompt.Locked = true
	for body, field := range map[string]string{
		`{"model":"prompt/reply","max_completion_tokens":9}`: "max_completion_tokens", `{"model":"prompt/reply","temperature":0.2}`: "temperature", `{"model":"embed","prompt":{"name":"reply"}}`: "model",
	} {
		if _, err := sent(t, w, s, llm.ChatCompletions, body); code(err) != "prompt_locked" || fault.As(err).Field != field {
			t.Errorf("%s: %v", body, err)
		}
	}
	if got, err := sent(t, w, s, llm.ChatCompletions, `{"model":"chat","prompt":{"name":"reply"},"user":"u"}`); err != nil || !strings.Contains(got, `"temperature":0.2`) {
		t.Errorf("a call that sets nothing of it: %s %v", got, err)
	}
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

func TestWhatIsWrongWithAPromptIsRefusedBeforeAnythingIsSent(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"prompt/none"}`:                                                     "prompt_not_found",
		`{"model":"prompt/"}`:                                                         "prompt_field",
		`{"model":"prompt/reply@"}`:                                                   "prompt_field",
		`{"model":"prompt/reply@0"}`:                                                  "prompt_field",
		`{"model":"prompt/reply@-1"}`:                                                 "prompt_field",
		`{"model":"chat","prompt":"x"}`:                                               "prompt_field",
		`{"model":"chat","prompt":{}}`:                                                "prompt_field",
		`{"model":"chat","prompt":[1]}`:                                               "prompt_field",
		`{"prompt":{"name":"reply"},"messages":{}}`:                                   "prompt_field",
		`{"prompt":{"name":"reply","id":"reply"}}`:                                    "prompt_field",
		`{"prompt":{"name":"reply","version":"two"}}`:                                 "prompt_field",
		`{"prompt":{"name":"reply","version":2,"label":"live"}}`:                      "prompt_field",
		`{"prompt":{"name":"reply","vars":{}}}`:                                       "prompt_field",
		`{"model":"prompt/reply","prompt":{"name":"other"}}`:                          "prompt_field",
		`{"prompt":{"name":"reply","name":"other"}}`:                                  "duplicate_field",
		`{"prompt":{"name":"reply"},"prompt":{"name":"reply"}}`:                       "duplicate_field",
		`{"prompt":{"name":"reply"},"messages":[],"messages":[]}`:                     "duplicate_field",
		`{"model":"prompt/reply","model":"chat"}`:                                     "duplicate_field",
		`{"model":"prompt/reply","messages":[}`:                                       "invalid_json",
		`{"model":"chat","messages":[{"role":"user","content":"a \"prompt\" here"}]}`: "",
		`{"model":"chat","prompt":null,"messages":[]}`:                                "",
	} {
		s, p := &seen{}, &registered{prompt: reply()}
		w := newWorldOf(t, gateway.Parts{Prompts: p}, s.answer)
		got, err := sent(t, w, s, llm.ChatCompletions, body)
		if code(err) != want || (want != "") != (got == "") {
			t.Errorf("%s: %v, sent %q", body, err, got)
		}
		if row := w.log.last(t, 1); want == "" && row.Prompt != "" || want == "prompt_not_found" && row.Prompt != "none" {
			t.Errorf("%s: the row has the prompt %q", body, row.Prompt)
		}
	}
}

func TestARefusalTellsTheVersionThatTheCallGot(t *testing.T) {
	s, p := &seen{}, &registered{prompt: reply(), err: fault.New(fault.Invalid, "variable_missing", "the variable name is missing")}
	w := newWorldOf(t, gateway.Parts{Prompts: p}, s.answer)
	a := w.chat(t, `{"model":"prompt/reply"}`)
	if a.status != 400 || !strings.Contains(a.body, "the variable name is missing") || a.header.Get("X-Airfield-Prompt-Version") != "reply@3" {
		t.Errorf("%+v", a)
	}
	if row := w.log.last(t, 1); row.Prompt != "reply" || row.Version != 3 || row.Status != 400 {
		t.Errorf("%+v", row)
	}
}

func TestAStreamTellsThePromptsVersionAtItsEnd(t *testing.T) {
	w := newWorldOf(t, gateway.Parts{Prompts: &registered{prompt: reply()}}, events(delta("x"), stop, usageOnly, done))
	a := w.chat(t, `{"model":"prompt/reply","stream":true}`)
	if a.header.Get("X-Airfield-Prompt-Version") != "reply@3" || !strings.Contains(a.body, `"prompt_version":"reply@3"`) {
		t.Errorf("%v %s", a.header, a.body)
	}
}

func TestParametersAreSaidInTheWordsOfEachSurface(t *testing.T) {
	p := gateway.RenderedPrompt{Name: "reply", Version: 1, Model: "chat", Messages: []gateway.Message{{Role: "system", Content: "S"}, {Role: "user", Content: "U"}, {Role: "assistant", Content: "A"}},
		Parameters: map[string]json.RawMessage{
			"max_tokens": json.RawMessage("7"), "temperature": json.RawMessage("0"), "tool_choice": json.RawMessage(`"required"`),
			"tools":           json.RawMessage(`[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]`),
			"response_format": json.RawMessage(`{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}`),
		}}
	for surface, c := range map[llm.Surface]struct{ body, want string }{
		llm.Messages: {`{"model":"prompt/reply","system":"own","messages":[{"role":"user","content":"x"}]}`,
			`{"model":"chat","system":[{"type":"text","text":"S"},{"type":"text","text":"own"}],"messages":[{"role":"user","content":"U"},{"role":"assistant","content":"A"},{"role":"user","content":"x"}],
			"max_tokens":7,"temperature":0,"tool_choice":{"type":"any"},"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}}`},
		llm.Responses: {`{"model":"prompt/reply","instructions":"own","input":"x"}`,
			`{"model":"chat","instructions":"S\n\nown","input":[{"role":"user","content":"U"},{"role":"assistant","content":"A"},{"role":"user","content":"x"}],
			"max_output_tokens":7,"temperature":0,"tool_choice":"required","tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"}}],
			"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}}`},
		llm.CountTokens: {`{"model":"prompt/reply"}`,
			`{"model":"chat","system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":"U"},{"role":"assistant","content":"A"}],
			"tool_choice":{"type":"any"},"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}]}`},
	} {
		got, err := gateway.Composed(surface, []byte(c.body), p)
		if err != nil {
			t.Fatalf("%s: %v", surface, err)
		}
		if same(t, string(got)) != same(t, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", surface, same(t, string(got)), same(t, c.want))
		}
	}
	p.Parameters = map[string]json.RawMessage{"seed": json.RawMessage("1")}
	if _, err := gateway.Composed(llm.Messages, []byte(`{"model":"prompt/reply"}`), p); code(err) != "prompt_parameter" || !strings.Contains(err.Error(), "seed") {
		t.Errorf("what messages cannot say: %v", err)
	}
}

// same writes JSON so that equal values are equal texts.
func same(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func TestAnAllowanceIsNotExceeded(t *testing.T) {
	s := &seen{}
	w := newWorldOf(t, gateway.Parts{Prompts: &registered{prompt: reply()}}, s.answer, func(c *gateway.Config) {
		m := c.Models["chat"]
		m.MaxOutput = 1000
		c.Models["chat"] = m
	})
	const all = 50_000 // nano-dollars: room for many calls as they are, and for few as they could be at the most
	a := gateway.NewAllowance(money.Nanos(all))
	ctx := caller.With(context.Background(), &caller.Caller{KeyID: "key_1", Environment: "dev"})
	var spent money.Nanos
	var last error
	for range 1000 {
		out, err := w.Again(ctx, gateway.Request{Surface: llm.ChatCompletions, Body: []byte(`{"model":"prompt/reply"}`), Allowance: a, Cache: gateway.CacheOff})
		if err != nil {
			last = err
			break
		}
		spent += out.Row.Cost
	}
	if code(last) != "allowance_spent" {
		t.Fatalf("no end: %v", last)
	}
	if spent == 0 || spent+a.Left() != all || spent > all || spent < all/3 {
		t.Errorf("%s spent, %s left", spent, a.Left())
	}
	if len(s.bodies) == 0 || slices.Contains(s.bodies, "") {
		t.Error(fmt.Sprint(s.bodies))
	}
}

func FuzzComposedRequestsAreJSONAndKeepTheirMembers(f *testing.F) {
	for _, s := range []string{`{"model":"prompt/reply"}`, `{ "prompt" : {"name":"reply"} , "x":1 }`, `{"x":[1],"prompt":{"name":"reply"}}`, `{"model":"prompt/reply","messages":[],"temperature":null}`, `{"prompt":{"name":"reply"}}`} {
		f.Add(s)
	}
	p := reply()
	p.Parameters = map[string]json.RawMessage{"temperature": json.RawMessage("0.2")}
	f.Fuzz(func(t *testing.T, body string) {
		var before, after map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &before) != nil {
			return
		}
		made, err := gateway.Composed(llm.ChatCompletions, []byte(body), p)
		if err != nil {
			return
		}
		if err := json.Unmarshal(made, &after); err != nil {
			t.Fatalf("%s became %s: %v", body, made, err)
		}
		for name := range before {
			if _, is := after[name]; !is && name != "prompt" {
				t.Fatalf("%s lost %q: %s", body, name, made)
			}
		}
	})
}
