package crash

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// upstream is a provider of models that speaks OpenAI's API.
type upstream struct {
	*httptest.Server
	events  int           // of a stream
	between time.Duration // two of them, and before an answer of another kind
	served  atomic.Int64  // chat requests that came in

	mu    sync.Mutex
	texts []string // that were to be embedded
}

func newUpstream(t *testing.T, events int, between time.Duration) *upstream {
	u := &upstream{events: events, between: between}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", u.chat)
	mux.HandleFunc("POST /v1/embeddings", u.embed)
	u.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

// models is the part of airfield.yaml that names it.
func (u *upstream) models() string {
	return fmt.Sprintf(`
providers:
  mock: {kind: openai, base_url: %q}
models:
  chat: {deployments: [{provider: mock, prices: {input: 1, output: 2}}]}
  vectors: {dimensions: 8, deployments: [{provider: mock, prices: {input: 1}}]}
`, u.URL+"/v1")
}

func (u *upstream) chat(w http.ResponseWriter, r *http.Request) {
	u.served.Add(1)
	var q struct{ Stream bool }
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	const usage = `"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}`
	if !q.Stream {
		u.wait(r)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"c","object":"chat.completion","created":1,"model":"chat","choices":[{"index":0,"message":{"role":"assistant","content":"All goods are in good order."},"finish_reason":"stop"}],%s}`, usage)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(format string, args ...any) {
		fmt.Fprintf(w, "data: "+format+"\n\n", args...)
		w.(http.Flusher).Flush()
	}
	const head = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"chat",`
	for i := range u.events {
		if !u.wait(r) {
			return
		}
		event(head+`"choices":[{"index":0,"delta":{"content":"word%d "},"finish_reason":null}]}`, i)
	}
	event(head + `"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)
	event(head + `"choices":[],` + usage + `}`)
	event("[DONE]")
}

func (u *upstream) wait(r *http.Request) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(u.between):
		return true
	}
}

func (u *upstream) embed(w http.ResponseWriter, r *http.Request) {
	var q struct{ Input []string }
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.mu.Lock()
	u.texts = append(u.texts, q.Input...)
	u.mu.Unlock()
	u.wait(r)
	type vector struct {
		Object    string    `json:"object"`
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	data := make([]vector, len(q.Input))
	for i, text := range q.Input {
		h := fnv.New64a()
		h.Write([]byte(text))
		sum := h.Sum64()
		data[i] = vector{"embedding", i, make([]float32, 8)}
		for j := range data[i].Embedding {
			data[i].Embedding[j] = float32(sum>>(8*j)&0xff)/255 + 0.01
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"object": "list", "model": "vectors", "data": data, "usage": map[string]int{"prompt_tokens": len(q.Input), "total_tokens": len(q.Input)}})
}

// embedded are the texts that were to be embedded since it was asked last.
func (u *upstream) embedded() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	texts := u.texts
	u.texts = nil
	return texts
}

// question is a chat request.
func question(n int, stream bool) []byte {
	return fmt.Appendf(nil, `{"model":"chat","stream":%t,"messages":[{"role":"user","content":"Is lot %d in good order? %s"}]}`, stream, n, strings.Repeat("please ", 5))
}
