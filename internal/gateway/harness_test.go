package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/provider/anthropic"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/llm"
	"airfield/internal/secret"
	"airfield/internal/telemetry"
)

// log is a recorder that keeps rows in memory.
type log struct {
	mu       sync.Mutex
	admitted []llm.Call
	finished []llm.Call
	admitErr error
	finErr   error

	admitPanics bool
}

func (l *log) Admit(c *llm.Call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.admitPanics {
		panic("a recorder's bug")
	}
	if l.admitErr != nil {
		return l.admitErr
	}
	l.admitted = append(l.admitted, *c)
	return nil
}

func (l *log) Finish(c *llm.Call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := *c
	row.Attempts = append([]llm.Attempt(nil), c.Attempts...)
	l.finished = append(l.finished, row)
	return l.finErr
}

// last waits for n rows and returns the last one.
func (l *log) last(t *testing.T, n int) llm.Call {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		l.mu.Lock()
		rows := l.finished
		l.mu.Unlock()
		if len(rows) == n {
			return rows[n-1]
		}
		if len(rows) > n || time.Now().After(deadline) {
			t.Fatalf("%d rows, want %d", len(rows), n)
		}
		time.Sleep(time.Millisecond)
	}
}

type priceList map[string]llm.Price

func (p priceList) Price(provider, model string, _ time.Time) (llm.Price, bool) {
	price, ok := p[provider+"/"+model]
	return price, ok
}

// world is a gateway behind a door on loopback, and an upstream that answers as a test says.
type world struct {
	*gateway.Gateway
	log      *log
	parts    gateway.Parts
	door     *httptest.Server
	upstream *httptest.Server
	url      string
	nobody   bool        // the door does not say for whom calls are
	header   http.Header // that it lets through
}

// one dollar per million tokens in, two for cached... the numbers differ so that every bucket shows in a sum.
var testPrice = llm.Price{ID: "test", Rates: llm.Rates{Input: 1_000_000, CacheRead: 100_000, Output: 10_000_000, Reasoning: 20_000_000}}

// once asks a deployment once, and waits for nothing.
func once() gateway.Routing {
	r := gateway.DefaultRouting()
	r.Attempts, r.Queue.Wait, r.Backoff, r.MaxBackoff = 1, 0, time.Millisecond, time.Millisecond
	return r
}

func patient() gateway.Timeouts {
	return gateway.Timeouts{Connect: 10 * time.Second, FirstByte: 10 * time.Second, BetweenChunks: 10 * time.Second, Total: 20 * time.Second}
}

// hurried is for tests in which an upstream falls silent.
func hurried(c *gateway.Config) {
	up := c.Providers["up"]
	up.Timeouts.FirstByte, up.Timeouts.BetweenChunks = 300*time.Millisecond, 300*time.Millisecond
	c.Providers["up"] = up
}

func newWorld(t *testing.T, upstream http.HandlerFunc, change ...func(*gateway.Config)) *world {
	t.Helper()
	return newWorldOf(t, gateway.Parts{}, upstream, change...)
}

// newWorldOf also gives the gateway parts that not every test needs.
func newWorldOf(t *testing.T, parts gateway.Parts, upstream http.HandlerFunc, change ...func(*gateway.Config)) *world {
	t.Helper()
	w := &world{log: &log{}, parts: parts}
	w.upstream = httptest.NewServer(upstream)
	w.upstream.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(w.upstream.Close)
	c := gateway.Config{
		Routing: once(),
		Providers: map[string]gateway.ProviderConfig{
			"builtin": {Kind: "builtin"},
			"up":      {Kind: "openai", BaseURL: w.upstream.URL + "/v1", APIKey: secret.New("sk-provider-secret"), Timeouts: patient()},
		},
		Models: map[string]gateway.ModelConfig{
			"chat":  {Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-chat"}}},
			"embed": {Dimensions: 3, Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-embed"}}},
		},
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	w.parts.Kinds, w.parts.Recorder, w.parts.Log = kinds(), w.log, slog.New(slog.DiscardHandler)
	w.parts.Prices = priceList{"up/real-chat": testPrice, "up/real-embed": testPrice, "anthropic/real-claude": testPrice}
	w.Gateway, err = gateway.New(c, w.parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	w.door = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.door.Close)
	w.url = w.door.URL
	return w
}

func kinds() map[string]gateway.Kind {
	return map[string]gateway.Kind{"openai": openai.New, "anthropic": anthropic.New, "builtin": func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) {
		return nothing{}, nil
	}}
}

// nothing is a provider that nobody asks.
type nothing struct{}

func (nothing) Send(context.Context, *gateway.Attempt) (*gateway.Response, error) {
	return nil, errors.New("not in this test")
}
func (nothing) Takes(llm.Surface) bool   { return true }
func (nothing) Dialect() neutral.Dialect { return nil }
func (nothing) Close() error             { return nil }

var surfaces = map[string]llm.Surface{
	"/messages": llm.Messages, "/count_tokens": llm.CountTokens, "/embeddings": llm.Embeddings, "/moderations": llm.Moderations, "/images/generations": llm.Images, "/images/edits": llm.ImageEdits,
	"/audio/speech": llm.Speech, "/audio/transcriptions": llm.Transcriptions, "/audio/translations": llm.Translations,
}

// serve is the least a door does.
func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	ctx := caller.With(r.Context(), &caller.Caller{KeyID: "key_1", Workflow: "support", BusinessUnit: "service", Environment: "dev"})
	if parent, ok := telemetry.ParseTraceparent(r.Header.Get("Traceparent")); ok {
		ctx = telemetry.WithRemote(ctx, parent)
	}
	surface := llm.ChatCompletions
	for path, s := range surfaces {
		if strings.HasSuffix(r.URL.Path, path) {
			surface = s
		}
	}
	req := &gateway.Request{Surface: surface, Body: body, Header: w.header, ContentType: r.Header.Get("Content-Type"), Tags: map[string]string{"team": "a"}, User: "u", Session: "s"}
	if w.nobody {
		req.User = ""
	}
	err = w.Do(ctx, req, rw)
	if err != nil {
		f := fault.As(err)
		rw.WriteHeader(f.Kind.Status())
		fmt.Fprintf(rw, "fault %s: %s", f.Code, f.Text)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (w *world) post(t *testing.T, path, body string) answer {
	t.Helper()
	r, err := http.Post(w.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return answer{r.StatusCode, r.Header, string(b), err}
}

func (w *world) chat(t *testing.T, body string) answer {
	return w.post(t, "/v1/chat/completions", body)
}

const whole = `{"id":"c1","object":"chat.completion","model":"real-chat","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":3}}}`

func jsonAnswer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "req_up_1")
		io.WriteString(w, body)
	}
}

// events answers with a stream; each part is flushed.
func events(parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, p := range parts {
			io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	}
}

// die ends the connection without ceremony after what was written.
func die(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h(w, r)
		panic(http.ErrAbortHandler)
	}
}

func delta(text string) string {
	b, _ := json.Marshal(text)
	return `data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":` + string(b) + `},"finish_reason":null}]}` + "\n\n"
}

const (
	stop      = `data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageOnly = `data: {"id":"c1","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"prompt_tokens_details":{"cached_tokens":40}}}` + "\n\n"
	done      = "data: [DONE]\n\n"

	ask       = `{"model":"chat","messages":[{"role":"user","content":"Where is the parcel that I sent on Monday?"}]}`
	askStream = `{"model":"chat","stream":true,"messages":[{"role":"user","content":"Where is the parcel that I sent on Monday?"}]}`
)
