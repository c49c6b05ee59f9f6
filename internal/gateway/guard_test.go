package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/llm"
	"airfield/internal/redact"
)

func guarded(w gateway.WorkflowConfig) gateway.Config {
	cheap, dear := model("cheap"), model("dear")
	cheap.Tier, dear.Tier = "economy", "premium"
	chat := model("a")
	chat.Fallback = []string{"spare", "second"}
	vectors := model("vectors")
	vectors.Dimensions = 3
	return gateway.Config{
		Models:    map[string]gateway.ModelConfig{"chat": chat, "spare": model("b"), "second": model("c"), "mini": cheap, "maxi": dear, "embed": vectors},
		Workflows: map[string]gateway.WorkflowConfig{"support": w, "other": {}},
	}
}

func everyoneWorks() map[string]act {
	return map[string]act{"a": works, "b": works, "c": works, "cheap": works, "dear": works, "vectors": vectorsOf(`[1,0,0]`)}
}

func vectorsOf(v string) act {
	return answers(200, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":`+v+`}],"usage":{"prompt_tokens":5,"total_tokens":5}}`)
}

func asking(model string) string { return strings.Replace(ask, `"chat"`, `"`+model+`"`, 1) }

func TestAWorkflowAsksTheModelsOfItsListOnly(t *testing.T) {
	for name, c := range map[string]struct {
		list    []string
		model   string
		refused bool
	}{
		"no list":                        {nil, "maxi", false},
		"its name":                       {[]string{"chat"}, "chat", false},
		"another":                        {[]string{"chat"}, "maxi", true},
		"a pattern":                      {[]string{"m*"}, "maxi", false},
		"a pattern in the middle":        {[]string{"m*n*i"}, "mini", false},
		"a pattern that does not fit":    {[]string{"m*n*x"}, "mini", true},
		"a tier":                         {[]string{"tier/economy"}, "tier/economy", false},
		"a model of the tier":            {[]string{"tier/economy"}, "mini", false},
		"another tier":                   {[]string{"tier/economy"}, "tier/premium", true},
		"the tier of a model":            {[]string{"maxi"}, "tier/premium", true},
		"what is not there":              {[]string{"chat"}, "nothing", true},
		"what is not there, but allowed": {[]string{"noth*"}, "nothing", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, guarded(gateway.WorkflowConfig{Models: c.list}), everyoneWorks())
			_, err := s.ask(asking(c.model))
			if (err != nil) != c.refused || c.refused != (s.order() == "") {
				t.Fatalf("%v, asked %q", err, s.order())
			}
			f := fault.As(err)
			if !c.refused || c.model == "nothing" && c.list[0] != "chat" {
				return
			}
			d, ok := f.Detail.(*llm.Decision)
			if f.Kind != fault.Denied || f.Code != "model_not_allowed" || !strings.Contains(f.Hint, c.list[0]) || !ok || d.Rule != "models" || d.Name != c.model || d.Of != "support" {
				t.Errorf("%+v %+v", f, d)
			}
			if row := s.row(); row.Status != http.StatusForbidden || !strings.Contains(row.Decision, `"models"`) || row.Model != c.model {
				t.Errorf("%+v", row)
			}
			x, err := s.Explain(t.Context(), "support", &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(asking(c.model))})
			if err == nil && x.Refused != f.Text {
				t.Errorf("%+v", x)
			}
			s.balanced()
		})
	}
}

func TestNoFallbackTierOrRungLeavesTheList(t *testing.T) {
	failing := map[string]act{"a": fails, "b": works, "c": works, "cheap": works, "dear": works}
	w := gateway.WorkflowConfig{Models: []string{"chat", "second"}}
	s := newStage(t, guarded(w), failing)
	if _, err := s.ask(ask); err != nil || !strings.HasSuffix(s.order(), "c") || strings.Contains(s.order(), "b") {
		t.Errorf("a fallback: %v, asked %s", err, s.order())
	}

	w = gateway.WorkflowConfig{Models: []string{"chat"}, Degrade: []gateway.RungConfig{{Tier: "economy"}}}
	s = newStage(t, guarded(w), failing)
	if _, err := s.ask(ask); err == nil || strings.Trim(s.order(), "a ") != "" {
		t.Errorf("a rung: %v, asked %s", err, s.order())
	}
	w.Models = []string{"chat", "mini"}
	s = newStage(t, guarded(w), failing)
	if _, err := s.ask(ask); err != nil || !strings.HasSuffix(s.order(), "cheap") {
		t.Errorf("a rung on the list: %v, asked %s", err, s.order())
	}

	s = newStage(t, guarded(gateway.WorkflowConfig{Models: []string{"chat"}}), everyoneWorks())
	s.purse.standing = gateway.Standing{Any: true, Economy: &llm.Decision{Rule: "budget", Reason: "most of it is spent"}}
	if _, err := s.ask(ask); err != nil || s.order() != "a" || s.row().Degraded != "" {
		t.Errorf("a soft budget: %v, asked %s", err, s.order())
	}

	x, err := s.Explain(t.Context(), "support", &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(ask)})
	if err != nil || len(x.Candidates) != 3 || x.Candidates[0].State != "first" || x.Candidates[1].State != "never" || !strings.Contains(x.Candidates[1].Reason, "may not use the model spare") {
		t.Errorf("%+v %v", x, err)
	}
}

func TestAWorkflowSeesTheModelsOfItsList(t *testing.T) {
	s := newStage(t, guarded(gateway.WorkflowConfig{Models: []string{"chat", "tier/economy"}}), nil)
	names := func(ctx context.Context) string {
		var all []string
		for _, m := range s.Models(ctx) {
			all = append(all, m.Name)
		}
		return strings.Join(all, " ")
	}
	ctx := caller.With(t.Context(), support)
	if got := names(ctx); got != "builtin-answer builtin-embed chat mini" {
		t.Error(got)
	}
	if got := names(t.Context()); !strings.Contains(got, "maxi") {
		t.Error(got)
	}
	if _, err := s.Model(ctx, "maxi"); fault.As(err).Kind != fault.NotFound {
		t.Error(err)
	}
	if m, err := s.Model(ctx, "mini"); err != nil || m.Name != "mini" {
		t.Error(m, err)
	}
}

// What retrieval embeds for a workflow is the collection's business; what it answers with is the workflow's.
func TestPartsOfAirfieldEmbedWhatTheyMust(t *testing.T) {
	s := newStage(t, guarded(gateway.WorkflowConfig{Models: []string{"chat"}, MaxInputTokens: 1, MaxRequestBytes: 1}), everyoneWorks())
	ctx := caller.With(t.Context(), support)
	if _, err := s.Embed(ctx, "embed", []string{"where is the parcel"}, nil, ""); err != nil {
		t.Error(err)
	}
	if _, err := s.Complete(ctx, gateway.Completion{Model: "chat", Messages: []gateway.Message{{Role: "user", Content: "where is the parcel"}}}); err != nil {
		t.Error(err)
	}
	if _, err := s.Complete(ctx, gateway.Completion{Model: "maxi", Messages: []gateway.Message{{Role: "user", Content: "hi"}}}); fault.As(err).Code != "model_not_allowed" {
		t.Error(err)
	}
	if _, err := s.call(ctx, gateway.Request{Surface: llm.Embeddings, Body: []byte(`{"model":"embed","input":"x"}`)}); err == nil {
		t.Error("a caller's own embeddings are bound by the list")
	}
}

// A line of a batch stays in the process and is its workflow's all the same.
func TestACallerWhoseAnswerStaysInTheProcessIsGuarded(t *testing.T) {
	w := gateway.WorkflowConfig{Models: []string{"chat"}, MaxRequestBytes: 2000, MaxInputTokens: 100, MaxOutputTokens: 500}
	for code, q := range map[string]gateway.Request{
		"model_not_allowed": {Surface: llm.Embeddings, Body: []byte(`{"model":"embed","input":"x"}`)},
		"max_request_bytes": {Surface: llm.ChatCompletions, Body: []byte(strings.Replace(ask, "{", `{"x":"`+strings.Repeat("a", 2000)+`",`, 1))},
		"max_input_tokens":  {Surface: llm.ChatCompletions, Body: []byte(strings.Replace(ask, "Where", strings.Repeat("where ", 200), 1))},
		"max_output_tokens": {Surface: llm.ChatCompletions, Body: []byte(strings.Replace(ask, "{", `{"max_tokens":501,`, 1))},
	} {
		s := newStage(t, guarded(w), everyoneWorks())
		if _, err := s.Answer(caller.With(t.Context(), support), &q); fault.As(err).Code != code || s.order() != "" {
			t.Errorf("%s: %v, asked %q", code, err, s.order())
		}
	}
	s := newStage(t, guarded(w), everyoneWorks())
	if _, err := s.Answer(caller.With(t.Context(), support), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(ask)}); err != nil || !strings.Contains(s.bodies[0], `"max_tokens":500`) {
		t.Errorf("an answer without a bound: %v %s", err, s.bodies)
	}
}

func TestSizesAreBoundPerWorkflow(t *testing.T) {
	w := gateway.WorkflowConfig{MaxRequestBytes: 2000, MaxInputTokens: 100, MaxOutputTokens: 500}
	with := func(field string) string { return strings.Replace(ask, "{", "{"+field+",", 1) }
	for name, c := range map[string]struct {
		body string
		code string
		kind fault.Kind
		says string
	}{
		"all within":             {with(`"max_tokens":500`), "", "", ""},
		"too many bytes":         {with(`"x":"` + strings.Repeat("a", 2000) + `"`), "max_request_bytes", fault.TooLarge, "may send 2000"},
		"too many bytes, broken": {strings.Repeat("{", 2001), "max_request_bytes", fault.TooLarge, "2001 bytes"},
		"too many tokens":        {strings.Replace(ask, "Where", strings.Repeat("where ", 200), 1), "max_input_tokens", fault.TooLarge, "may send 100"},
		"too long an answer":     {with(`"max_tokens":501`), "max_output_tokens", fault.Invalid, "501"},
		"in the other field":     {with(`"max_tokens":1,"max_completion_tokens":501`), "max_output_tokens", fault.Invalid, "may ask for 500"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, guarded(w), everyoneWorks())
			_, err := s.ask(c.body)
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			f := fault.As(err)
			d, _ := f.Detail.(*llm.Decision)
			if f.Kind != c.kind || f.Code != c.code || !strings.Contains(f.Text, c.says) || d == nil || d.Rule != "size" || d.Limit == "" || d.Asked == "" || s.order() != "" {
				t.Errorf("%+v %+v", f, d)
			}
			other := caller.With(t.Context(), &caller.Caller{Workflow: "other"})
			if _, err := s.call(other, gateway.Request{Body: []byte(c.body)}); err != nil && fault.As(err).Code == c.code {
				t.Errorf("another workflow: %v", err)
			}
			s.balanced()
		})
	}
}

func TestSizesAreOfWhatTheCallerSent(t *testing.T) {
	s := newStage(t, guarded(gateway.WorkflowConfig{MaxRequestBytes: 500, MaxInputTokens: 100}), everyoneWorks())
	long := strings.Replace(ask, "{", `{"x":"`+strings.Repeat("a", 500)+`",`, 1)
	wordy := strings.Replace(ask, "Where", strings.Repeat("where ", 200), 1)
	for _, c := range []struct {
		req  gateway.Request
		code string
	}{
		{gateway.Request{Body: []byte(long)}, "max_request_bytes"},
		{gateway.Request{Body: []byte(long), Sent: 500}, ""},
		{gateway.Request{Body: []byte(ask), Sent: 501}, "max_request_bytes"},
		{gateway.Request{Body: []byte(wordy), Sent: 100}, "max_input_tokens"}, // a conversation is the caller's
		{gateway.Request{Body: []byte(wordy), Sent: 100, Further: true}, ""},
	} {
		if _, err := s.call(t.Context(), c.req); code(err) != c.code {
			t.Errorf("%d bytes of %d, further %v: %v", c.req.Sent, len(c.req.Body), c.req.Further, err)
		}
	}
}

func TestAnAnswerWithoutABoundGetsTheWorkflows(t *testing.T) {
	for name, c := range map[string]struct {
		body, want string
	}{
		"none":  {ask, `"max_tokens":500`},
		"null":  {strings.Replace(ask, "{", `{"max_tokens":null,`, 1), `"max_tokens":500`},
		"lower": {strings.Replace(ask, "{", `{"max_tokens":7,`, 1), `"max_tokens":7`},
	} {
		s := newStage(t, guarded(gateway.WorkflowConfig{MaxOutputTokens: 500}), everyoneWorks())
		if _, err := s.ask(c.body); err != nil || strings.Count(s.bodies[0], "max_tokens") != 1 || !strings.Contains(s.bodies[0], c.want) {
			t.Errorf("%s: %v %s", name, err, s.bodies)
		}
	}
	cfg := guarded(gateway.WorkflowConfig{MaxOutputTokens: 500})
	m := cfg.Models["chat"]
	m.MaxOutput = 300
	cfg.Models["chat"] = m
	s := newStage(t, cfg, everyoneWorks())
	s.purse.standing = hardUSD()
	if _, err := s.ask(ask); err != nil || !strings.Contains(s.bodies[0], `"max_tokens":300`) {
		t.Errorf("a model with shorter answers: %v %s", err, s.bodies)
	}
}

const personal = `{"model":"chat","user":"jane@example.com","messages":[{"role":"user","content":"I am jane@example.com, card 4111 1111 1111 1111. Write to joe\u0040example.com"}]}`

func TestARequestIsRedactedBeforeItIsSent(t *testing.T) {
	s := newStage(t, guarded(gateway.WorkflowConfig{Redact: "send", Cache: gateway.CacheConfig{TTL: 1e12}}), everyoneWorks())
	w, err := s.ask(personal)
	if err != nil || len(s.bodies) != 1 {
		t.Fatal(err)
	}
	want := `{"model":"a","user":"[email_1]","messages":[{"role":"user","content":"I am [email_1], card [card_1]. Write to [email_2]"}]}`
	if s.bodies[0] != want {
		t.Errorf("sent %s", s.bodies[0])
	}
	if got := w.Header().Get("X-Airfield-Redacted"); got != "card=1,email=3" {
		t.Errorf("said %q", got)
	}
	row := s.row()
	if redact.Found(row.Redacted).String() != "card=1,email=3" || row.Redaction == "" || row.RequestSize != int64(len(personal)) || strings.Contains(row.User, "jane") || !strings.HasPrefix(row.User, "[email_") {
		t.Errorf("%+v", row)
	}
	// The model cannot tell them apart, so the cache does not.
	other := strings.NewReplacer("jane@", "jill@", "joe\\u0040", "jim@").Replace(personal)
	if w, err := s.ask(other); err != nil || w.Header().Get("X-Airfield-Cache") != "hit" || s.row().User == row.User {
		t.Errorf("%v %v %s", err, w.Header(), s.row().User)
	}
}

func TestWhatIsWrittenDownIsRedacted(t *testing.T) {
	said := func(_ context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		body := `{"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnopqrst1234, ask ops@example.com"}}`
		return &gateway.Response{Status: 400, ContentType: "application/json", Size: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Meter: openai.NewMeter(a.Surface)}, nil
	}
	for _, mode := range []string{"", "log", "send", "off"} {
		s := newStage(t, guarded(gateway.WorkflowConfig{Redact: mode}), map[string]act{"a": said})
		w, err := s.call(t.Context(), gateway.Request{Body: []byte(personal), User: "jane@example.com", Session: "s-jane@example.com", Tags: map[string]string{"who": "jane@example.com", "team": "a"}})
		if err != nil || !strings.Contains(w.Body.String(), "ops@example.com") {
			t.Fatal(err, w.Body)
		}
		if sent := strings.Contains(s.bodies[0], "jane@"); sent != (mode != "send") {
			t.Errorf("%s: sent %s", mode, s.bodies[0])
		}
		row := s.row()
		kept := row.Error + row.Attempts[0].Error + row.User + row.Session + row.Tags["who"]
		if shown := strings.Contains(kept, "@example.com") || strings.Contains(kept, "sk-abc"); shown != (mode == "off") || row.Tags["team"] != "a" || (row.Redaction == "") != (mode == "off") {
			t.Errorf("%s: %+v", mode, row)
		}
		if mode == "log" && (row.Redacted["secret"] == 0 || w.Header().Get("X-Airfield-Redacted") != "") {
			t.Errorf("%+v %v", row.Redacted, w.Header())
		}
	}
}

// A budget for each user counts by the name that the rows have.
func TestAUserIsCountedByTheNameInTheRow(t *testing.T) {
	s := newStage(t, guarded(gateway.WorkflowConfig{}), everyoneWorks())
	if _, err := s.ask(personal); err != nil {
		t.Fatal(err)
	}
	if user := s.purse.spender.User; user == "" || user != s.row().User || strings.Contains(user, "jane") {
		t.Errorf("%q and %q", user, s.row().User)
	}
}

func TestGuardsThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		workflow gateway.WorkflowConfig
		rules    redact.Config
		want     string
	}{
		"an unknown way":      {gateway.WorkflowConfig{Redact: "maybe"}, redact.Config{}, "workflows.support.redact"},
		"a negative size":     {gateway.WorkflowConfig{MaxInputTokens: -1}, redact.Config{}, "max_input_tokens"},
		"a name of nothing":   {gateway.WorkflowConfig{Models: []string{" "}}, redact.Config{}, "models[0]"},
		"rules that are none": {gateway.WorkflowConfig{}, redact.Config{Custom: map[string]string{"x": "("}}, "redaction.custom.x"},
	} {
		cfg := guarded(c.workflow)
		cfg.Redaction, cfg.Providers = c.rules, stageProviders()
		if _, err := cfg.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := guarded(gateway.WorkflowConfig{Models: []string{"chat", "gone-*", "prompt/x"}})
	cfg.Providers = stageProviders()
	warnings, err := cfg.Check()
	if err != nil || !strings.Contains(strings.Join(warnings, "\n"), `workflows.support.models[1]: "gone-*"`) || strings.Contains(strings.Join(warnings, "\n"), "models[2]") {
		t.Error(warnings, err)
	}
}

func TestAFormIsRedactedBeforeItIsSentAndItsFilesStay(t *testing.T) {
	transcribed := answers(200, `{"text":"hello"}`)
	s := newStage(t, guarded(gateway.WorkflowConfig{Redact: "send"}), map[string]act{"a": transcribed})
	sound := wav(1) + `"jane@example.com"`
	contentType, body := form(t, "model", "chat", "prompt", `names: jane@example.com, "x"`, "file", "@"+sound)
	body = strings.Replace(body, "file.bin", "joe@example.com.wav", 1)
	if _, err := s.call(t.Context(), gateway.Request{Surface: llm.Transcriptions, ContentType: contentType, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 1 || !strings.Contains(s.bodies[0], sound) || !strings.Contains(s.bodies[0], `names: [email_`) || strings.Contains(strings.Replace(s.bodies[0], sound, "", 1), "@example.com") {
		t.Errorf("sent %.400q", s.bodies)
	}
	if row := s.row(); row.Redacted["email"] != 2 {
		t.Errorf("%+v", row)
	}
	// A sound in which something looks like an address is sent as it is.
	contentType, body = form(t, "model", "chat", "file", "@"+sound)
	if _, err := s.call(t.Context(), gateway.Request{Surface: llm.Transcriptions, ContentType: contentType, Body: []byte(body)}); err != nil || !strings.Contains(s.bodies[1], sound) {
		t.Error(err)
	}
}

func TestNamesThatCallersMakeUpAreRedacted(t *testing.T) {
	w := newWorldOf(t, gateway.Parts{Prompts: &registered{prompt: reply()}}, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for _, body := range []string{`{"model":"jane@example.com","messages":[]}`, `{"model":"prompt/jane@example.com"}`, `{"prompt":{"name":"jane@example.com"},"model":"chat"}`} {
		ctx := caller.With(t.Context(), support)
		req := gateway.Request{Surface: llm.ChatCompletions, Body: []byte(body), Tags: map[string]string{"for jane@example.com": "1", "team": "a"}}
		if err := w.Do(ctx, &req, httptest.NewRecorder()); err == nil {
			t.Errorf("%s is served", body)
		}
		row := w.log.finished[len(w.log.finished)-1]
		if text := fmt.Sprintf("%+v", row); strings.Contains(text, "jane@") || len(row.Tags) != 2 || row.Tags["team"] != "a" {
			t.Errorf("%s is written down as %s", body, text)
		}
	}
}
