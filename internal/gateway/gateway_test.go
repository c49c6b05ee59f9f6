package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

func TestAWholeAnswerGoesThroughUntouchedAndItsRowIsComplete(t *testing.T) {
	var sent string
	var header http.Header
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		sent, header = string(b), r.Header.Clone()
		jsonAnswer(whole)(rw, r)
	})
	req, _ := http.NewRequest("POST", w.url+"/v1/chat/completions", strings.NewReader(`{ "x_new_field" : {"a":[1,2.50]}, "model":"chat","messages":[{"role":"user","content":"hi"}]}`))
	req.Header.Set("Authorization", "Bearer afk_of_the_caller")
	req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if string(body) != whole || r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, body)
	}
	if want := `{ "x_new_field" : {"a":[1,2.50]}, "model":"real-chat","messages":[{"role":"user","content":"hi"}]}`; sent != want {
		t.Errorf("sent upstream\n%s\nwant\n%s", sent, want)
	}
	if header.Get("Authorization") != "Bearer sk-provider-secret" {
		t.Errorf("upstream saw %q", header.Get("Authorization"))
	}
	if _, ok := header["Idempotency-Key"]; ok {
		t.Error("an empty Idempotency-Key was sent")
	}
	row := w.log.last(t, 1)
	if got := header.Get("Traceparent"); got != "00-0af7651916cd43dd8448eb211c80319c-"+row.SpanID+"-01" || r.Header.Get("Traceparent") != got {
		t.Errorf("traceparent upstream %q, to the caller %q, span %s", got, r.Header.Get("Traceparent"), row.SpanID)
	}
	// 60×1 + 40×0.1 + 7×10 + 3×20 dollars per million, in nano-dollars
	wantUsage := llm.Usage{Input: 60, CacheRead: 40, Output: 7, Reasoning: 3, Source: llm.Reported}
	if row.Usage != wantUsage || row.Cost != 60+4+70+60 || !row.Priced || row.PriceID != "test" {
		t.Errorf("usage %+v cost %d priced %v by %s", row.Usage, row.Cost, row.Priced, row.PriceID)
	}
	if row.ParentSpanID != "b7ad6b7169203331" || row.Workflow != "support" || row.KeyID != "key_1" || row.User != "u" || row.Session != "s" || row.Tags["team"] != "a" {
		t.Errorf("row %+v", row)
	}
	if row.Outcome != llm.OK || row.Status != 200 || row.Finish != "stop" || row.Model != "chat" || row.Upstream != "real-chat" || row.Deployment != "up/real-chat" || row.Duration <= 0 || row.FirstByte <= 0 || row.ResponseSize != int64(len(whole)) {
		t.Errorf("row %+v", row)
	}
	if len(row.Attempts) != 1 || row.Attempts[0].RequestID != "req_up_1" || row.Attempts[0].Status != 200 || row.Attempts[0].Outcome != llm.OK || row.Attempts[0].Duration <= 0 {
		t.Errorf("attempts %+v", row.Attempts)
	}
	if h := r.Header; h.Get("X-Airfield-Call-Id") != row.ID || h.Get("X-Airfield-Cost-Usd") != "0.000000194" ||
		h.Get("X-Airfield-Usage") != `{"input_tokens":60,"cache_read_tokens":40,"output_tokens":7,"reasoning_tokens":3,"usage_source":"reported"}` || h.Get("X-Request-Id") != "" {
		t.Errorf("headers %v", h)
	}
	var usage llm.Usage
	if err := json.Unmarshal([]byte(r.Header.Get("X-Airfield-Usage")), &usage); err != nil || usage != wantUsage {
		t.Errorf("the usage header is not what llm.Usage writes: %v %+v", err, usage)
	}
	if a := w.log.admitted[0]; a.ID != row.ID || a.Outcome != "" || a.Usage.Source != llm.Estimated || a.Usage.Input == 0 || a.Usage.Output == 0 || a.Cost == 0 || a.Deployment != "up/real-chat" {
		t.Errorf("admitted %+v", a)
	}
}

func TestWhatCannotBeServedIsRefusedAndWrittenDown(t *testing.T) {
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	for name, c := range map[string]struct{ body, code, field string }{
		"nothing at all":                 {``, "invalid_json", ""},
		"JSON that ends early":           {`{"model":"chat","messages":[`, "invalid_json", ""},
		"JSON that is no object":         {`[1,2]`, "invalid_json", ""},
		"something after the object":     {`{"model":"chat"} x`, "invalid_json", ""},
		"a value that is no JSON":        {`{"model":"chat","x":nope}`, "invalid_json", ""},
		"nesting without end":            {`{"model":"chat","x":` + deep + `}`, "invalid_json", ""},
		"bytes that are not UTF-8":       {"{\"model\":\"chat\",\"messages\":\"\xff\"}", "invalid_utf8", ""},
		"two models":                     {`{"model":"chat","model":"other"}`, "duplicate_field", "model"},
		"two models, one in disguise":    {`{"model":"chat","mod\u0065l":"other"}`, "duplicate_field", "model"},
		"two bounds":                     {`{"model":"chat","max_tokens":1,"max_tokens":100000}`, "duplicate_field", "max_tokens"},
		"two messages":                   {`{"model":"chat","messages":[],"messages":[]}`, "duplicate_field", "messages"},
		"two include_usage":              {`{"model":"chat","stream_options":{"include_usage":true,"include_usage":false}}`, "duplicate_field", "stream_options.include_usage"},
		"no model":                       {`{"messages":[]}`, "model_missing", "model"},
		"a model that is a number":       {`{"model":7}`, "invalid_field", "model"},
		"a stream that is a string":      {`{"model":"chat","stream":"yes"}`, "invalid_field", "stream"},
		"a negative bound":               {`{"model":"chat","max_tokens":-1}`, "invalid_field", "max_tokens"},
		"half an answer":                 {`{"model":"chat","n":1.5}`, "invalid_field", "n"},
		"stream_options that are a list": {`{"model":"chat","stream_options":[]}`, "invalid_field", "stream_options"},
		"an unknown model":               {`{"model":"gpt-nine"}`, "model_not_found", "model"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent upstream") })
			out := httptest.NewRecorder()
			err := w.Do(context.Background(), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(c.body)}, out)
			f := fault.As(err)
			if f.Code != c.code || f.Field != c.field {
				t.Fatalf("fault %s at %q: %v", f.Code, f.Field, f)
			}
			row := w.log.last(t, 1)
			if out.Header().Get("X-Airfield-Call-Id") != row.ID || out.Body.Len() > 0 {
				t.Errorf("the refusal does not name its call: %v", out.Header())
			}
			if row.Outcome != llm.Failed || row.Status != f.Kind.Status() || row.ErrorKind != string(f.Kind) || row.Cost != 0 || !row.Priced || row.Usage.Total() != 0 || len(w.log.admitted) != 0 {
				t.Errorf("row %+v", row)
			}
		})
	}
}

func TestARowIsBoundedWhateverIsAskedFor(t *testing.T) {
	w := newWorld(t, jsonAnswer(whole))
	w.chat(t, `{"model":"`+strings.Repeat("long", 10_000)+`"}`)
	if row := w.log.last(t, 1); len(row.Model) > 300 || len(row.Error) > 600 {
		t.Errorf("the model takes %d bytes of the row, the error %d", len(row.Model), len(row.Error))
	}
	w.chat(t, `{"model":"chat","messages":[],"n":9223372036854775807,"max_tokens":9223372036854775807}`)
	if admitted := w.log.admitted[len(w.log.admitted)-1]; admitted.Usage.Output <= 0 || admitted.Usage.Output > 1<<30 || admitted.Cost < 0 {
		t.Errorf("admitted with %+v for %d", admitted.Usage, admitted.Cost)
	}
}

func TestNothingIsSentWhenTheCallCannotBeWrittenDown(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent upstream") })
	w.log.admitErr = errors.New("disk full")
	if a := w.chat(t, ask); a.status != 503 || !strings.Contains(a.body, "call_log_unavailable") || strings.Contains(a.body, "disk full") {
		t.Fatalf("%+v", a)
	}
	w.log.admitErr = fault.New(fault.Unavailable, "journal_full", "the journal is full")
	if a := w.chat(t, ask); a.status != 503 || !strings.Contains(a.body, "journal_full") {
		t.Fatalf("%+v", a)
	}
}

func TestAnAnswerIsGivenThoughItsEndCannotBeWrittenDown(t *testing.T) {
	w := newWorld(t, jsonAnswer(whole))
	w.log.finErr = errors.New("disk full")
	if a := w.chat(t, ask); a.status != 200 || a.body != whole {
		t.Fatalf("%+v", a)
	}
}

func TestAnUnpricedModelIsFlaggedAndNotFree(t *testing.T) {
	w := newWorld(t, jsonAnswer(whole), func(c *gateway.Config) {
		c.Models["chat"] = gateway.ModelConfig{Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "unheard-of"}}}
	})
	a := w.chat(t, ask)
	if row := w.log.last(t, 1); row.Priced || row.PriceID != "" || a.header.Get("X-Airfield-Cost-Usd") != "unknown" {
		t.Fatalf("row %+v, header %q", row, a.header.Get("X-Airfield-Cost-Usd"))
	}
}

func TestAPriceInTheConfigurationWins(t *testing.T) {
	w := newWorld(t, jsonAnswer(whole), func(c *gateway.Config) {
		c.Models["chat"] = gateway.ModelConfig{Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-chat", Prices: &gateway.PriceConfig{Input: 3_000_000}}}}
	})
	w.chat(t, ask)
	if row := w.log.last(t, 1); row.Cost != 300 || row.PriceID != "config:up/real-chat" {
		t.Fatalf("cost %d by %s", row.Cost, row.PriceID)
	}
}

func TestEmbeddingsAndCompletionsOfOurOwnLeaveRowsToo(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/v1/embeddings") {
			jsonAnswer(`{"object":"list","data":[{"index":1,"embedding":[0,1,0]},{"index":0,"embedding":[1,0,0.5]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`)(rw, r)
			return
		}
		jsonAnswer(whole)(rw, r)
	})
	vectors, err := w.Embed(context.Background(), "embed", []string{"a", "b"}, map[string]string{"purpose": "ingest"}, "")
	if err != nil || len(vectors) != 2 || vectors[0][2] != 0.5 || vectors[1][1] != 1 {
		t.Fatal(vectors, err)
	}
	if row := w.log.last(t, 1); row.Surface != llm.Embeddings || row.Usage.Input != 8 || row.Cost != 8 || row.Tags["purpose"] != "ingest" {
		t.Fatalf("%+v", row)
	}
	got, err := w.Complete(context.Background(), gateway.Completion{Model: "chat", Messages: []gateway.Message{{Role: "user", Content: "hi"}}, MaxTokens: 5})
	if err != nil || got.Text != "Hello there" || got.Finish != "stop" || got.Cost != 194 || got.CallID != w.log.last(t, 2).ID || got.Model != "real-chat" {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := w.Embed(context.Background(), "embed", nil, nil, ""); err != nil {
		t.Fatal(err)
	}
}

func TestVectorsThatDoNotFitTheTextsAreAnError(t *testing.T) {
	for name, data := range map[string]string{
		"too few":            `[{"index":0,"embedding":[1]}]`,
		"one twice":          `[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]`,
		"an index too large": `[{"index":0,"embedding":[1]},{"index":9,"embedding":[1]}]`,
		"of two lengths":     `[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]`,
		"an empty one":       `[{"index":0,"embedding":[1]},{"index":1,"embedding":[]}]`,
		"words":              `[{"index":0,"embedding":["x"]},{"index":1,"embedding":["x"]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jsonAnswer(`{"data":`+data+`,"usage":{"prompt_tokens":8,"total_tokens":8}}`))
			if v, err := w.Embed(context.Background(), "embed", []string{"a", "b"}, nil, ""); !fault.Is(err, fault.Upstream) {
				t.Fatal(v, err)
			}
		})
	}
}

func TestReloadIsAllOrNothing(t *testing.T) {
	w := newWorld(t, jsonAnswer(whole))
	provider := gateway.ProviderConfig{Kind: "openai", BaseURL: w.upstream.URL, Timeouts: patient()}
	bad := gateway.Config{
		Providers: map[string]gateway.ProviderConfig{"up": provider, "bad": {Kind: "telepathy", BaseURL: "http://127.0.0.1:1"}},
		Models:    map[string]gateway.ModelConfig{"renamed": {Deployments: []gateway.DeploymentConfig{{Provider: "up"}}}},
	}
	if err := w.Reload(bad); !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	if a := w.chat(t, ask); a.status != 200 {
		t.Fatalf("after a refused reload: %+v", a)
	}
	delete(bad.Providers, "bad")
	if err := w.Reload(bad); err != nil {
		t.Fatal(err)
	}
	if a := w.chat(t, ask); a.status != 404 {
		t.Fatalf("after a reload: %+v", a)
	}
	var names []string
	for _, m := range w.Models(context.Background()) {
		names = append(names, m.Name)
	}
	if got := strings.Join(names, " "); got != "builtin-answer builtin-embed renamed" {
		t.Fatal(got)
	}
}
