package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"airfield/internal/cache"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// tower is an upstream that speaks both APIs: chat answers at one path, messages at the other.
type tower struct {
	chat, messages http.HandlerFunc

	mu    sync.Mutex
	heard []string // path and body
}

func (u *tower) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.heard = append(u.heard, r.URL.Path+" "+string(body))
	u.mu.Unlock()
	answer := u.chat
	if strings.Contains(r.URL.Path, "/messages") {
		answer = u.messages
	}
	answer(w, r)
}

// last is the last request that arrived.
func (u *tower) last() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.heard) == 0 {
		return ""
	}
	return u.heard[len(u.heard)-1]
}

// bilingual is a world with the model chat at a provider that speaks chat completions, claude at one that speaks messages,
// and both, which is first asked of the latter.
func bilingual(t *testing.T, parts gateway.Parts, u *tower, change ...func(*gateway.Config)) *world {
	return newWorldOf(t, parts, u.ServeHTTP, append([]func(*gateway.Config){func(c *gateway.Config) {
		claude := c.Providers["up"]
		claude.Kind = "anthropic"
		c.Providers["claude"] = claude
		one := gateway.DeploymentConfig{Provider: "claude", Model: "real-claude"}
		c.Models["claude"] = gateway.ModelConfig{MaxOutput: 500, Deployments: []gateway.DeploymentConfig{one}}
		c.Models["both"] = gateway.ModelConfig{MaxOutput: 500, Deployments: []gateway.DeploymentConfig{one, {Provider: "up", Model: "real-chat"}}}
	}}, change...)...)
}

const (
	greeting       = `{"model":"chat","max_tokens":50,"messages":[{"role":"user","content":"Where is the parcel?"}]}`
	greetingStream = `{"model":"chat","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"Where is the parcel?"}]}`
	claudeAnswer   = `{"id":"msg_1","type":"message","role":"assistant","model":"real-claude","content":[{"type":"thinking","thinking":"Hm.","signature":"s"},{"type":"text","text":"It is here."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":60,"cache_read_input_tokens":40,"output_tokens":10}}`
)

func claudeStream(parts ...string) http.HandlerFunc {
	var b strings.Builder
	for _, p := range parts {
		var e struct{ Type string }
		json.Unmarshal([]byte(p), &e)
		b.WriteString("event: " + e.Type + "\ndata: " + p + "\n\n")
	}
	return events(b.String())
}

const (
	claudeStart = `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"real-claude","content":[],"usage":{"input_tokens":60,"cache_read_input_tokens":40,"output_tokens":1}}}`
	claudeOpen  = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	claudeText  = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"It is here, in the house next door."}}`
	claudeClose = `{"type":"content_block_stop","index":0}`
	claudeDelta = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":10}}`
	claudeStop  = `{"type":"message_stop"}`
)

// named are the events of a stream of messages.
func named(body string) string {
	var names []string
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "event: "); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestAMessageIsAnsweredByWhoSpeaksChatCompletions(t *testing.T) {
	u := &tower{chat: jsonAnswer(whole)}
	w := bilingual(t, gateway.Parts{}, u)
	a := w.post(t, "/v1/messages", greeting)
	row := w.log.last(t, 1)
	var m struct {
		Type, Role string
		Content    []struct{ Type, Text string }
		Stop       string `json:"stop_reason"`
		Usage      map[string]any
	}
	if json.Unmarshal([]byte(a.body), &m) != nil || m.Type != "message" || m.Content[0].Text != "Hello there" || m.Stop != "end_turn" || m.Usage["input_tokens"] != 60.0 || m.Usage["cache_read_input_tokens"] != 40.0 || m.Usage["output_tokens"] != 10.0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if want := (llm.Usage{Input: 60, CacheRead: 40, Output: 7, Reasoning: 3, Source: llm.Reported}); row.Usage != want || row.Surface != llm.Messages || row.Finish != "end_turn" || row.Provider != "up" || row.Outcome != llm.OK || row.Cost == 0 {
		t.Errorf("%+v", row)
	}
	if got := u.last(); !strings.HasPrefix(got, "/v1/chat/completions ") || !strings.Contains(got, `"model":"real-chat"`) || !strings.Contains(got, `"max_tokens":50`) {
		t.Error(got)
	}
	if a.header.Get("Request-Id") != row.ID || a.header.Get("X-Airfield-Cost-Usd") == "" {
		t.Error(a.header)
	}
}

func TestAStreamOfMessagesIsToldEventByEvent(t *testing.T) {
	u := &tower{chat: events(delta("Hello"), delta(" there"), stop, usageOnly, done)}
	w := bilingual(t, gateway.Parts{}, u)
	a := w.post(t, "/v1/messages", greetingStream)
	row := w.log.last(t, 1)
	if got := named(a.body); got != "message_start ping content_block_start content_block_delta content_block_delta content_block_stop message_delta message_stop" {
		t.Errorf("%s\n%s", got, a.body)
	}
	if said, end := strings.Index(a.body, ": airfield {"), strings.Index(a.body, "event: message_stop"); said < 0 || said > end || end < 0 {
		t.Error(a.body)
	}
	if !strings.Contains(a.body, `"output_tokens":10`) || !strings.Contains(u.last(), `"include_usage":true`) {
		t.Error(a.body, u.last())
	}
	if want := (llm.Usage{Input: 60, CacheRead: 40, Output: 10, Source: llm.Reported}); row.Usage != want || row.Outcome != llm.OK || row.FirstByte == 0 {
		t.Errorf("%+v", row)
	}
}

func TestAChatCompletionIsAnsweredByWhoSpeaksMessages(t *testing.T) {
	u := &tower{messages: jsonAnswer(claudeAnswer)}
	w := bilingual(t, gateway.Parts{}, u)
	a := w.chat(t, strings.Replace(ask, "chat", "claude", 1))
	if !strings.Contains(a.body, `"content":"It is here."`) || !strings.Contains(a.body, `"reasoning_content":"Hm."`) || !strings.Contains(a.body, `"prompt_tokens":100`) || !strings.Contains(a.body, `"finish_reason":"stop"`) {
		t.Error(a.body)
	}
	if got := u.last(); !strings.HasPrefix(got, "/v1/messages ") || !strings.Contains(got, `"max_tokens":500`) {
		t.Error(got)
	}
	u.messages = claudeStream(claudeStart, claudeOpen, `{"type":"ping"}`, claudeText, claudeClose, claudeDelta, claudeStop)
	for n, body := range []string{askStream, strings.Replace(askStream, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)} {
		a = w.chat(t, strings.Replace(body, "chat", "claude", 1))
		row := w.log.last(t, 2+n)
		if !strings.HasSuffix(a.body, done) || !strings.Contains(a.body, "in the house") || strings.Contains(a.body, `"prompt_tokens":100`) != (n == 1) {
			t.Error(a.body)
		}
		if want := (llm.Usage{Input: 60, CacheRead: 40, Output: 10, Source: llm.Reported}); row.Usage != want || row.Outcome != llm.OK {
			t.Errorf("%+v", row)
		}
	}
}

func TestMessagesGoThroughAsTheyAre(t *testing.T) {
	u := &tower{messages: jsonAnswer(claudeAnswer)}
	w := bilingual(t, gateway.Parts{}, u)
	body := strings.Replace(greeting, `"chat"`, `"claude","x_new":{"a":1}`, 1)
	a := w.post(t, "/v1/messages", body)
	if a.body != claudeAnswer || u.last() != "/v1/messages "+strings.Replace(body, `"claude"`, `"real-claude"`, 1) {
		t.Error(a.body, u.last())
	}
	u.messages = claudeStream(claudeStart, claudeOpen, claudeText, claudeClose, claudeDelta, claudeStop)
	a = w.post(t, "/v1/messages", strings.Replace(greetingStream, `"chat"`, `"claude"`, 1))
	row := w.log.last(t, 2)
	if got := named(a.body); got != "message_start content_block_start content_block_delta content_block_stop message_delta message_stop" || !strings.Contains(a.body, ": airfield {") {
		t.Error(a.body)
	}
	if want := (llm.Usage{Input: 60, CacheRead: 40, Output: 10, Source: llm.Reported}); row.Usage != want || row.Finish != "end_turn" {
		t.Errorf("%+v", row)
	}
}

func TestAStreamThatBreaksIsNeverAnEnd(t *testing.T) {
	for name, c := range map[string]struct {
		path, model string
		chat        http.HandlerFunc
		messages    http.HandlerFunc
		problem     string
	}{
		"torn, told as messages":            {"/v1/messages", "chat", events(delta("Hello there, this is a long answer")), nil, "ended in the middle"},
		"dead, told as messages":            {"/v1/messages", "chat", die(events(delta("Hello there, this is a long answer"))), nil, "broke"},
		"an error, told as messages":        {"/v1/messages", "chat", events(delta("Hello there, this is a long answer"), `data: {"error":{"message":"overloaded"}}`+"\n\n"), nil, "overloaded"},
		"nonsense, told as messages":        {"/v1/messages", "chat", events(delta("Hello there, this is a long answer"), "data: <html>\n\n", done), nil, "cannot be read"},
		"torn messages":                     {"/v1/messages", "claude", nil, claudeStream(claudeStart, claudeOpen, claudeText), "ended in the middle"},
		"an error among messages":           {"/v1/messages", "claude", nil, claudeStream(claudeStart, claudeOpen, claudeText, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), "Overloaded"},
		"torn messages, told as chat":       {"/v1/chat/completions", "claude", nil, claudeStream(claudeStart, claudeOpen, claudeText, claudeClose), "ended in the middle"},
		"an error of messages, in a chat":   {"/v1/chat/completions", "claude", nil, claudeStream(claudeStart, claudeOpen, claudeText, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), "Overloaded"},
		"messages that begin in the middle": {"/v1/chat/completions", "claude", nil, claudeStream(claudeStart, claudeOpen, claudeText, claudeOpen, claudeStop), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := bilingual(t, gateway.Parts{}, &tower{chat: c.chat, messages: c.messages})
			a := w.post(t, c.path, strings.Replace(greetingStream, `"chat"`, `"`+c.model+`"`, 1))
			row := w.log.last(t, 1)
			if row.Outcome != llm.Broken || row.Usage.Output < 5 || row.Usage.Source != llm.Estimated || !strings.Contains(row.Error, c.problem) {
				t.Errorf("%+v", row)
			}
			if strings.Contains(a.body, "message_stop") || strings.Contains(a.body, "[DONE]") || !strings.Contains(a.body, c.problem) {
				t.Error(a.body)
			}
			if c.path == "/v1/messages" != strings.Contains(a.body, "event: error\ndata: {\"type\":\"error\",\"error\":{") {
				t.Error(a.body)
			}
		})
	}
}

func TestWhatABrokenTranslatedStreamUsedIsWhatItsProviderHadSaid(t *testing.T) {
	running := `data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hello there, this is a long answer"}}],"usage":{"prompt_tokens":900,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":800}}}` + "\n\n"
	for name, c := range map[string]struct {
		path, model    string
		chat, messages http.HandlerFunc
		input, read    int64
	}{
		"torn messages, told as chat":          {"/v1/chat/completions", "claude", nil, claudeStream(claudeStart, claudeOpen, claudeText), 60, 40},
		"messages that fail, told as chat":     {"/v1/chat/completions", "claude", nil, claudeStream(claudeStart, claudeOpen, claudeText, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), 60, 40},
		"a torn chat that counts as it goes":   {"/v1/messages", "chat", events(running), nil, 100, 800},
		"a chat that counts, and says why not": {"/v1/messages", "chat", events(running, `data: {"error":{"message":"overloaded"}}`+"\n\n"), nil, 100, 800},
	} {
		t.Run(name, func(t *testing.T) {
			w := bilingual(t, gateway.Parts{}, &tower{chat: c.chat, messages: c.messages})
			w.post(t, c.path, strings.Replace(greetingStream, `"chat"`, `"`+c.model+`"`, 1))
			row := w.log.last(t, 1)
			if row.Outcome != llm.Broken || row.Usage.Input != c.input || row.Usage.CacheRead != c.read || row.Usage.Output < 3 {
				t.Errorf("%+v", row.Usage)
			}
		})
	}
}

func TestARefusalIsToldInTheCallersShape(t *testing.T) {
	refuses := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	u := &tower{
		chat:     refuses(429, `{"error":{"message":"Slow down.","type":"requests","code":"rate_limit_exceeded"}}`),
		messages: refuses(400, `{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens is too large."}}`),
	}
	w := bilingual(t, gateway.Parts{}, u)
	a := w.post(t, "/v1/messages", greeting)
	if a.status != 429 || a.body != `{"type":"error","error":{"type":"rate_limit_error","message":"Slow down."}}` || a.header.Get("Retry-After") != "7" {
		t.Error(a.status, a.body)
	}
	a = w.chat(t, strings.Replace(ask, "chat", "claude", 1))
	if a.status != 400 || a.body != `{"error":{"code":null,"message":"max_tokens is too large.","param":null,"type":"invalid_request_error"}}` {
		t.Error(a.status, a.body)
	}
	if row := w.log.last(t, 2); !strings.Contains(row.Error, "max_tokens is too large") || row.Status != 400 {
		t.Errorf("%+v", row)
	}
}

func TestACallFallsBackFromOneKindOfProviderToAnother(t *testing.T) {
	u := &tower{chat: jsonAnswer(whole), messages: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(529) }}
	w := bilingual(t, gateway.Parts{}, u)
	both := func(s string) string { return strings.Replace(s, `"chat"`, `"both"`, 1) }
	if a := w.post(t, "/v1/messages", both(greeting)); !strings.Contains(a.body, `"type":"message"`) || !strings.Contains(a.body, "Hello there") {
		t.Error(a.body)
	}
	u.chat = events(delta("Hello"), stop, usageOnly, done)
	if a := w.post(t, "/v1/messages", both(greetingStream)); !strings.Contains(a.body, "message_stop") {
		t.Error(a.body)
	}
	if row := w.log.last(t, 2); len(row.Attempts) != 2 || row.Provider != "up" || row.Outcome != llm.OK {
		t.Errorf("%+v", row)
	}
	u.messages = jsonAnswer(`{"type":"message","content":`) // an answer that is none is an attempt that failed
	u.chat = jsonAnswer(whole)
	if a := w.chat(t, both(ask)); a.body != whole {
		t.Error(a.status, a.body)
	}
}

func TestWhatCannotBeToldIsRefusedBeforeItIsSent(t *testing.T) {
	u := &tower{chat: jsonAnswer(whole), messages: jsonAnswer(claudeAnswer)}
	w := bilingual(t, gateway.Parts{}, u)
	seeded := strings.Replace(ask, `{`, `{"seed":7,`, 1)
	if a := w.chat(t, strings.Replace(seeded, `"chat"`, `"claude"`, 1)); a.status != 400 || !strings.Contains(a.body, "no_deployment_fits") || u.last() != "" {
		t.Error(a.status, a.body, u.last())
	}
	if a := w.chat(t, strings.Replace(seeded, `"chat"`, `"both"`, 1)); a.status != 200 || !strings.HasPrefix(u.last(), "/v1/chat/completions") {
		t.Error(a.status, a.body, u.last())
	}
	search := strings.Replace(greeting, `{`, `{"tools":[{"type":"web_search_20250305","name":"web_search"}],`, 1)
	a := w.post(t, "/v1/messages", search)
	if row := w.log.last(t, 3); a.status != 400 || !strings.Contains(row.Error+row.Decision, "web_search_20250305") {
		t.Errorf("%d %s %+v", a.status, a.body, row)
	}
	if a := w.post(t, "/v1/messages", strings.Replace(search, `"chat"`, `"claude"`, 1)); a.status != 200 {
		t.Error(a.body)
	}
}

func TestABoundIsSetInTheProvidersWords(t *testing.T) {
	u := &tower{messages: jsonAnswer(claudeAnswer), chat: jsonAnswer(whole)}
	purse := &purse{t: t, standing: gateway.Standing{Any: true, HardTokens: true}}
	w := bilingual(t, gateway.Parts{Budgets: purse}, u)
	w.chat(t, `{"model":"claude","reasoning_effort":"high","messages":[{"role":"user","content":"hi"}]}`)
	if got := u.last(); !strings.Contains(got, `"max_tokens":500`) {
		t.Error(got)
	}
	// A bound that only a lenient reader sees does not lift ours.
	w.chat(t, `{"model":"claude","MAX_TOKENS":90000,"messages":[{"role":"user","content":"hi"}]}`)
	if got := u.last(); strings.Contains(got, "90000") {
		t.Error(got)
	}
	search := `{"model":"claude","max_tokens":9,"tools":[{"type":"web_search_20250305","name":"web_search"}],"messages":[{"role":"user","content":"hi"}]}`
	if a := w.post(t, "/v1/messages", search); a.status != 400 || !strings.Contains(a.body, "no_deployment_fits") {
		t.Error("tools that run at the provider cost any amount:", a.status, a.body)
	}
}

func TestUsageThatIsNotToldIsEstimated(t *testing.T) {
	u := &tower{chat: events(delta("Hello there, how are you this morning?"), stop, done)}
	w := bilingual(t, gateway.Parts{}, u)
	a := w.post(t, "/v1/messages", greetingStream)
	row := w.log.last(t, 1)
	if row.Outcome != llm.OK || row.Usage.Source != llm.Estimated || row.Usage.Output < 5 || row.Usage.Input < 3 || !strings.Contains(a.body, fmt.Sprintf(`"output_tokens":%d`, row.Usage.Output)) {
		t.Errorf("%+v %s", row, a.body)
	}
}

func TestATranslatedStreamIsGivenAgain(t *testing.T) {
	kept, err := cache.NewMemory(cache.Default())
	if err != nil {
		t.Fatal(err)
	}
	u := &tower{chat: events(delta("Hello"), stop, usageOnly, done)}
	w := bilingual(t, gateway.Parts{Cache: kept}, u, func(c *gateway.Config) {
		c.Workflows = map[string]gateway.WorkflowConfig{"support": {Cache: gateway.CacheConfig{TTL: 1 << 40}}}
	})
	first := w.post(t, "/v1/messages", greetingStream)
	again := w.post(t, "/v1/messages", greetingStream)
	w.header = http.Header{"Anthropic-Beta": {"another-meaning"}}
	if a := w.post(t, "/v1/messages", greetingStream); a.header.Get("X-Airfield-Cache") != "miss" {
		t.Error("what changes the meaning of a request is not part of its key:", a.header)
	}
	other := w.chat(t, greetingStream)
	if again.header.Get("X-Airfield-Cache") != "hit" || named(again.body) != named(first.body) || named(first.body) == "" || strings.Count(again.body, ": airfield ") != 1 {
		t.Errorf("%v\n%s\n%s", again.header, first.body, again.body)
	}
	if other.header.Get("X-Airfield-Cache") != "miss" || !strings.HasSuffix(other.body, done) {
		t.Error("one API is answered with what was kept for another:", other.body)
	}
}

func TestAnExtractiveAnswerIsInTheCallersShape(t *testing.T) {
	u := &tower{chat: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }}
	w := bilingual(t, gateway.Parts{Extractor: quoting{}}, u, func(c *gateway.Config) {
		c.Workflows = map[string]gateway.WorkflowConfig{"support": {Degrade: []gateway.RungConfig{{Extractive: []string{"handbook"}}}}}
	})
	a := w.post(t, "/v1/messages", greeting)
	var m struct {
		Type     string
		Content  []struct{ Text string }
		Airfield struct {
			Degraded  string
			Citations []any
		}
	}
	if json.Unmarshal([]byte(a.body), &m) != nil || m.Type != "message" || m.Airfield.Degraded != "extractive" || len(m.Airfield.Citations) == 0 || m.Content[0].Text == "" {
		t.Error(a.status, a.body)
	}
	a = w.post(t, "/v1/messages", greetingStream)
	if got := named(a.body); got != "message_start ping content_block_start content_block_delta content_block_stop message_delta message_stop" || !strings.Contains(a.body, `"airfield":{"citations":`) || strings.Index(a.body, ": airfield {") > strings.Index(a.body, "event: message_stop") {
		t.Error(a.body)
	}
	for line := range strings.Lines(a.body) {
		if data, ok := strings.CutPrefix(line, "data: "); ok && !json.Valid([]byte(data)) {
			t.Error(line)
		}
	}
}

func TestTokensAreCountedForNothing(t *testing.T) {
	u := &tower{messages: jsonAnswer(`{"input_tokens":14}`)}
	w := bilingual(t, gateway.Parts{}, u)
	count := `{"model":"chat","system":"You are brief.","messages":[{"role":"user","content":"Where is the parcel that I sent on Monday?"}],"tools":[{"name":"f","description":"Looks for a parcel.","input_schema":{"type":"object"}}]}`
	a := w.post(t, "/v1/messages/count_tokens", count)
	row := w.log.last(t, 1)
	var said struct {
		Tokens int64 `json:"input_tokens"`
	}
	if json.Unmarshal([]byte(a.body), &said) != nil || said.Tokens < 20 || said.Tokens > 80 || u.last() != "" {
		t.Error(a.body, u.last())
	}
	if row.Surface != llm.CountTokens || !row.Usage.Empty() || row.Cost != 0 || !row.Priced || row.Outcome != llm.OK {
		t.Errorf("%+v", row)
	}
	a = w.post(t, "/v1/messages/count_tokens", strings.Replace(count, `"chat"`, `"claude"`, 1))
	if row := w.log.last(t, 2); a.body != `{"input_tokens":14}` || !strings.HasPrefix(u.last(), "/v1/messages/count_tokens ") || row.Cost != 0 || !row.Usage.Empty() {
		t.Errorf("%s %s %+v", a.body, u.last(), row)
	}
	if a := w.post(t, "/v1/messages/count_tokens", `{"model":"chat","messages":7}`); a.status != 400 {
		t.Error(a.status, a.body)
	}
}

func TestAClientThatLeavesEndsATranslatedStream(t *testing.T) {
	gone := make(chan struct{})
	u := &tower{chat: func(w http.ResponseWriter, r *http.Request) {
		events(delta("Hello there, this is a long answer"))(w, r)
		<-r.Context().Done()
		close(gone)
	}}
	w := bilingual(t, gateway.Parts{}, u)
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", w.url+"/v1/messages", strings.NewReader(greetingStream))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan() && !strings.Contains(lines.Text(), "text_delta"); {
	}
	leave()
	<-gone
	if row := w.log.last(t, 1); row.Outcome != llm.Cancelled || row.Usage.Output < 5 {
		t.Errorf("%+v", row)
	}
}

func TestTheUserOfAMessageIsTheCallsUser(t *testing.T) {
	u := &tower{messages: jsonAnswer(claudeAnswer)}
	w := bilingual(t, gateway.Parts{}, u)
	w.nobody = true
	w.post(t, "/v1/messages", `{"model":"claude","max_tokens":5,"metadata":{"user_id":"ann"},"messages":[{"role":"user","content":"hi"}]}`)
	if row := w.log.last(t, 1); row.User != "ann" {
		t.Errorf("%+v", row)
	}
}
