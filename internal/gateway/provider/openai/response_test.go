package openai

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"airfield/internal/gateway"
	"airfield/internal/gateway/scan"
	"airfield/internal/gateway/sse"
	"airfield/internal/llm"
)

// exchanges are the recorded ones of the Responses API, by case.
func exchanges(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/responses/*.txtar")
	if err != nil || len(files) < 14 {
		t.Fatalf("%d exchanges: %v", len(files), err)
	}
	all := map[string]map[string]string{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string]string{}
		for _, f := range a.Files {
			parts[f.Name] = string(f.Data)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txtar")] = parts
	}
	return all
}

func TestResponsesGoThroughAsTheyAreAndAreMetered(t *testing.T) {
	reported := func(u llm.Usage) llm.Usage { u.Source = llm.Reported; return u }
	want := map[string]gateway.Reading{
		"plain": {Usage: llm.Usage{Input: 12, Output: 6}, Finish: "completed"}, "stream": {Usage: llm.Usage{Input: 12, Output: 6}, Finish: "completed"},
		"tools": {Usage: llm.Usage{Input: 40, Output: 30}, Finish: "completed"}, "tools_stream": {Usage: llm.Usage{Input: 40, Output: 30}, Finish: "completed"},
		"tools_result": {Usage: llm.Usage{Input: 70, Output: 8}, Finish: "completed"}, "schema": {Usage: llm.Usage{Input: 20, Output: 5}, Finish: "completed"},
		"image": {Usage: llm.Usage{Input: 90, Output: 4}, Finish: "completed"}, "cached": {Usage: llm.Usage{Input: 500, CacheRead: 1500, Output: 6}, Finish: "completed"},
		"reasoning": {Usage: llm.Usage{Input: 12, Output: 6, Reasoning: 20}, Finish: "completed"}, "reasoning_stream": {Usage: llm.Usage{Input: 12, Output: 6, Reasoning: 20}, Finish: "completed"},
		"length": {Usage: llm.Usage{Input: 12, Output: 64}, Finish: "max_output_tokens"}, "stream_error": {Problem: "The server is overloaded."},
	}
	for name, parts := range exchanges(t) {
		t.Run(name, func(t *testing.T) {
			status := http.StatusOK
			if text := strings.TrimSpace(parts["status"]); text != "" {
				status, _ = strconv.Atoi(text) // which is compared below
			}
			body, contentType := parts["answer.json"], "application/json"
			if stream, ok := parts["answer.sse"]; ok {
				body, contentType = stream, "text/event-stream"
			}
			var got string
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked, err := io.ReadAll(r.Body)
				if got = string(asked); err != nil || r.URL.Path != "/v1/responses" {
					t.Errorf("%v %s", err, r.URL.Path)
				}
				w.Header().Set("Content-Type", contentType)
				for line := range strings.Lines(parts["headers"]) {
					key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					w.Header().Set(key, value)
				}
				w.WriteHeader(status)
				io.WriteString(w, body)
			}))
			defer upstream.Close()
			p, err := New("openai", gateway.ProviderConfig{BaseURL: upstream.URL + "/v1", PriceList: "openai", Timeouts: gateway.Timeouts{Connect: time.Second}}, slog.New(slog.DiscardHandler))
			if err != nil || !p.Takes(llm.Responses) {
				t.Fatal(err)
			}
			defer p.Close()
			answer, err := p.Send(context.Background(), &gateway.Attempt{Surface: llm.Responses, Stream: contentType != "application/json", Body: []byte(parts["request.json"])})
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			all, err := io.ReadAll(answer.Body)
			if err != nil || string(all) != body || got != parts["request.json"] || answer.Status != status {
				t.Fatalf("%v %d %s", err, answer.Status, all)
			}
			if status >= 400 {
				if want := map[string]string{"error": "7"}[name]; answer.RetryAfter != want {
					t.Errorf("%q", answer.RetryAfter)
				}
				return
			}
			last := gateway.Content
			if answer.Stream {
				events := sse.NewReader()
				events.Reset(strings.NewReader(body))
				for err := error(nil); err == nil; {
					err = events.Fill()
					for e, ok := events.Next(); ok; e, ok = events.Next() {
						last = answer.Meter.Event(e.Data)
					}
				}
				if end := map[bool]gateway.Event{true: gateway.Failure, false: gateway.Done}[name == "stream_error"]; last != end {
					t.Errorf("it ended with %v", last)
				}
			} else if err := answer.Meter.Body(all, false); err != nil {
				t.Fatal(err)
			}
			read := answer.Meter.Reading()
			w := want[name]
			if w.Usage != (llm.Usage{}) {
				w.Usage, w.Service = reported(w.Usage), "default"
			}
			w.Output = read.Output
			if read != w {
				t.Errorf("%+v, want %+v", read, w)
			}
			if !answer.Stream {
				tail := NewMeter(llm.Responses)
				tail.Body(all[len(all)/2:], true)
				if u := tail.Reading().Usage; u != w.Usage {
					t.Errorf("from the tail %+v", u)
				}
			}
		})
	}
}

func TestEventsOfResponsesAreTold(t *testing.T) {
	for data, want := range map[string]gateway.Event{
		`{"type":"response.created","response":{"status":"in_progress","output":[]}}`:                gateway.Content,
		`{"type":"response.completed","response":{"status":"completed","output":[]}}`:                gateway.Done,
		`{"type":"response.incomplete"}`:                                                             gateway.Done,
		`{"type":"response.failed","response":{"status":"failed","error":{"message":"overloaded"}}}`: gateway.Failure,
		`{"type":"error","message":"overloaded"}`:                                                    gateway.Failure,
		`{"type":"error","error":{"message":"overloaded"}}`:                                          gateway.Failure,
		`{"error":{"message":"overloaded"}}`:                                                         gateway.Failure,
		`{"type":"response.output_text.delta","delta":"{\"type\":\"response.completed\"}"}`:          gateway.Content,
		`[DONE]`: gateway.Content, `nonsense`: gateway.Content, ``: gateway.Content,
	} {
		m := NewMeter(llm.Responses)
		if got := m.Event([]byte(data)); got != want {
			t.Errorf("%s is %v, want %v", data, got, want)
		}
		if r := m.Reading(); want == gateway.Failure && r.Problem != "overloaded" {
			t.Errorf("%s: %+v", data, r)
		}
	}
	m := NewMeter(llm.Responses)
	m.Event([]byte(`{"type":"response.output_text.delta","delta":"` + strings.Repeat("word ", 20) + `"}`))
	if r := m.Reading(); r.Output != 20 || r.Usage.Source != "" || r.Finish != "" {
		t.Errorf("%+v", r)
	}
	for _, body := range []string{`{}`, `[]`, `{"output":7}`, `{"output":[]`, ``} {
		if NewMeter(llm.Responses).Body([]byte(body), false) == nil {
			t.Errorf("%s passes for a response", body)
		}
	}
	tail := NewMeter(llm.Responses)
	tail.Body([]byte(`x"}],"usage":{"input_tokens":5,"output_tokens":1,"total_tokens":6},"user":null,"metadata":{"usage":"\"usage\":{}","a":"b"}}`), true)
	if u := tail.Reading().Usage; u.Input != 5 || u.Output != 1 {
		t.Errorf("%+v", u)
	}
}

func TestThoughtsOfAnotherProviderStayHere(t *testing.T) {
	own := `{"type":"reasoning","id":"rs_1","encrypted_content":"gAAA"}`
	body := `{"model":"m", "input":[{"role":"user","content":"airfield1: \"is\" a text"},{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"airfield1:e30="},` + own + `],"x":1}`
	want := `{"model":"m", "input":[{"role":"user","content":"airfield1: \"is\" a text"},` + own + `],"x":1}`
	if got := string(ownThoughts([]byte(body))); got != want {
		t.Errorf("%s", got)
	}
	for _, same := range []string{`{"input":"airfield1:"}`, `{"input":[{"role":"user","content":"airfield1:"}]}`, `{"input":[],"x":"airfield1:"}`, want} {
		if got := string(ownThoughts([]byte(same))); got != same {
			t.Errorf("%s became %s", same, got)
		}
	}
}

func FuzzResponseMeter(f *testing.F) {
	f.Add([]byte(`{"type":"response.completed","response":{"output":[],"usage":{"input_tokens":1,"output_tokens":2}}}`))
	f.Add([]byte(`{"input":[{"type":"reasoning","encrypted_content":"airfield1:"}]}`))
	f.Add([]byte(`"usage":{"usage":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range []func(gateway.Meter){func(m gateway.Meter) { m.Event(data) }, func(m gateway.Meter) { m.Body(data, false) }, func(m gateway.Meter) { m.Body(data, true) }} {
			m := NewMeter(llm.Responses)
			read(m)
			if u := m.Reading().Usage; u.Prompt() < 0 || u.Completion() < 0 || u.Total() > 1<<40 {
				t.Fatalf("%+v", u)
			}
		}
		if out := ownThoughts(data); scan.Valid(data) == nil && scan.Valid(out) != nil {
			t.Fatalf("%s became %s", data, out)
		}
	})
}
