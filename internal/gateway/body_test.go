package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/cache"
	"airfield/internal/caller"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// shelf keeps bodies in memory.
type shelf struct {
	mu          sync.Mutex
	begun       []*llm.Exchange
	ended       []llm.Exchange
	room        int
	most        int
	full, tight bool
}

func (s *shelf) Most() int { return s.most }

func (s *shelf) Begin(e *llm.Exchange) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Mode == "none" {
		return llm.BodiesNone
	}
	if s.full {
		return llm.BodiesDropped
	}
	e.Until = time.Unix(1, 0)
	s.begun = append(s.begun, e)
	return llm.BodiesKept
}

func (s *shelf) Room(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tight {
		return false
	}
	s.room += n
	return true
}

func (s *shelf) End(e *llm.Exchange, room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room -= room
	s.ended = append(s.ended, *e)
}

// last waits for n exchanges that ended and returns the last.
func (s *shelf) last(t *testing.T, n int) llm.Exchange {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		ended, room := s.ended, s.room
		s.mu.Unlock()
		if len(ended) == n {
			if room != 0 {
				t.Errorf("%d bytes of room were not given back", room)
			}
			return ended[n-1]
		}
		if len(ended) > n || time.Now().After(deadline) {
			t.Fatalf("%d exchanges ended, want %d", len(ended), n)
		}
	}
}

const asksChat = `{"model":"chat", "messages":[{"role":"user","content":"hi"}]}`

func TestWhatIsKeptIsWhatTheCallerSentAndGot(t *testing.T) {
	kept := &shelf{most: 1 << 20}
	answers := cache.Config{MaxBytes: 1 << 20}
	memory, err := cache.NewMemory(answers)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	n := 0
	w := newWorldOf(t, gateway.Parts{Bodies: kept, Cache: memory}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "refuse"):
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":{"message":"no"}}`)
		case strings.Contains(string(body), `"stream":true`):
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		}
	}, func(c *gateway.Config) {
		c.Workflows = map[string]gateway.WorkflowConfig{"pilot": {Cache: gateway.CacheConfig{TTL: time.Minute}}, "silent": {Bodies: "none"}}
	})
	ask := func(workflow, body string) (got string, row llm.Call) {
		t.Helper()
		ctx := caller.With(context.Background(), &caller.Caller{Role: caller.Workflow, Workflow: workflow, Environment: "test", Clearance: caller.Internal})
		answer := newEar()
		err := w.Do(ctx, &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(body)}, answer)
		if n++; err != nil {
			return err.Error(), w.log.last(t, n)
		}
		return answer.body.String(), w.log.last(t, n)
	}
	for i, c := range []struct{ name, body string }{
		{"an answer", asksChat}, {"the same from the cache", asksChat}, {"a stream", strings.Replace(asksChat, "{", `{"stream":true,`, 1)}, {"a refusal of the provider", strings.Replace(asksChat, "hi", "refuse", 1)},
	} {
		got, row := ask("pilot", c.body)
		e := kept.last(t, i+1)
		if string(e.Request) != c.body || string(e.Answer) != got || e.AnswerSize != int64(len(got)) || e.CallID != row.ID || row.Bodies != llm.BodiesKept || row.BodiesUntil.IsZero() {
			t.Errorf("%s: row %s of %s\nsent %s\nkept %s\ngot  %s\nkept %s", c.name, row.Bodies, row.ID, c.body, e.Request, got, e.Answer)
		}
	}
	said, row := ask("pilot", `{"model":"nothing"}`)
	if e := kept.last(t, 5); !strings.Contains(string(e.Answer), `"error"`) || string(e.Request) != `{"model":"nothing"}` || row.Bodies != llm.BodiesKept {
		t.Errorf("a refusal of ours (%s) is kept as %s", said, e.Answer)
	}
	for _, body := range []string{asksChat, `{"model":"nothing"}`, `{"mess`} {
		if _, row := ask("silent", body); row.Bodies != llm.BodiesNone {
			t.Errorf("%s of a workflow that keeps none: %q", body, row.Bodies)
		}
	}
	kept.last(t, 5)
	kept.full = true
	if _, row := ask("pilot", `{"model":"nothing"}`); row.Bodies != llm.BodiesDropped {
		t.Errorf("without room: %q", row.Bodies)
	}
	kept.full, kept.tight = false, true
	if _, row := ask("pilot", `{"model":"nothing"}`); row.Bodies != llm.BodiesRequest {
		t.Errorf("without room for the answer: %q", row.Bodies)
	}
	if e := kept.last(t, 6); e.Answer != nil {
		t.Errorf("kept %s", e.Answer)
	}
	kept.tight, kept.most = false, 50
	if got, row := ask("pilot", asksChat); row.Bodies != llm.BodiesTruncated {
		t.Errorf("beyond the bound: %q", row.Bodies)
	} else if e := kept.last(t, 7); string(e.Request) != asksChat[:50] || e.RequestSize != int64(len(asksChat)) || string(e.Answer) != got[:50] || e.AnswerSize != int64(len(got)) {
		t.Errorf("beyond the bound: %+v", e)
	}
}

func TestARequestIsHandedOverBeforeItIsSent(t *testing.T) {
	kept := &shelf{most: 1 << 20}
	var seen string
	w := newWorldOf(t, gateway.Parts{Bodies: kept}, func(w http.ResponseWriter, r *http.Request) {
		kept.mu.Lock()
		seen = fmt.Sprintf("%d begun, %d ended", len(kept.begun), len(kept.ended))
		kept.mu.Unlock()
		w.WriteHeader(http.StatusTeapot)
	})
	w.Do(context.Background(), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(asksChat)}, newEar())
	if kept.last(t, 1); seen != "1 begun, 0 ended" {
		t.Error(seen)
	}
	if w.log.admitted[0].Bodies != llm.BodiesKept {
		t.Error("the admission does not say so: ", w.log.admitted[0].Bodies)
	}
	system := caller.With(context.Background(), &caller.Caller{Role: caller.System, Workflow: "ingest"})
	w.Do(system, &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(asksChat)}, newEar())
	if row := w.log.last(t, 2); row.Bodies != llm.BodiesNone {
		t.Error("Airfield's own call: ", row.Bodies)
	}
}

// ear is a writer that holds what the caller gets.
type ear struct {
	header http.Header
	body   strings.Builder
}

func newEar() *ear                         { return &ear{header: http.Header{}} }
func (e *ear) Header() http.Header         { return e.header }
func (e *ear) WriteHeader(int)             {}
func (e *ear) Write(p []byte) (int, error) { return e.body.Write(p) }
