// Package upstream is the provider of models that tests of the real binary call, as good or as bad as a test says. It speaks
// OpenAI's chat completions and embeddings on loopback, and keeps an account of its own: what it was asked, what it
// answered and what it would bill, to be held against what Airfield says.
package upstream

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Options are what an upstream is like when it is well. Zero values are those of the comments.
type Options struct {
	PromptTokens     int64     // of every chat request: 11
	CachedTokens     int64     // how many of these it read from its cache: 0
	CompletionTokens int64     // of every choice, unless the request's cap is lower: 7
	Events           int       // of a stream, before the one that says why it ended: 3
	Dimensions       int       // of a vector: 8
	Default          Behaviour // of requests for which nothing else is said
	Provider         []string  // further keys of its entry in Models: "timeouts: {first_byte: 1s}"
	Forget           bool      // keep totals only, for millions of requests
}

func (o Options) complete() Options {
	if o.PromptTokens == 0 {
		o.PromptTokens = 11
	}
	if o.CompletionTokens == 0 {
		o.CompletionTokens = 7
	}
	if o.Events == 0 {
		o.Events = 3
	}
	if o.Dimensions == 0 {
		o.Dimensions = 8
	}
	return o
}

// Upstream is a running provider.
type Upstream struct {
	URL string // without /v1

	t       testing.TB
	options Options
	behave  atomic.Pointer[func(*Request) Behaviour]
	chats   account
	embeds  account
	strayed atomic.Int64

	mu      sync.Mutex
	listen  net.Listener
	server  *http.Server // nil while connections are refused
	closing bool
	asked   int64    // requests
	texts   []string // that were to be embedded
}

// New starts a provider, which ends with the test.
func New(t testing.TB, o Options) *Upstream {
	t.Helper()
	u := &Upstream{t: t, options: o.complete()}
	u.chats.forget, u.embeds.forget = o.Forget, o.Forget
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.URL = "http://" + l.Addr().String()
	u.serve(l)
	t.Cleanup(u.Refuse)
	return u
}

// Behave sets who decides how each request is answered from now on; nil for Options.Default again. A model's suffix, as of
// "chat+hang", comes first.
func (u *Upstream) Behave(f func(*Request) Behaviour) {
	if f == nil {
		u.behave.Store(nil)
		return
	}
	u.behave.Store(&f)
}

func (u *Upstream) serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { u.exchange(&u.chats, u.chat, w, r) })
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, r *http.Request) { u.exchange(&u.embeds, u.embed, w, r) })
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"object":"list","data":[]}`)) })
	mux.HandleFunc("/v1/elsewhere", func(http.ResponseWriter, *http.Request) { u.strayed.Add(1) })
	server := &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	u.mu.Lock()
	u.listen, u.server, u.closing = l, server, false
	u.mu.Unlock()
	go server.Serve(l)
}

// Refuse closes the listener and every connection: who connects is refused, until Accept.
func (u *Upstream) Refuse() {
	u.mu.Lock()
	l, server := u.listen, u.server
	u.server, u.closing = nil, true
	u.mu.Unlock()
	if server != nil {
		l.Close() // the server may not know it yet
		server.Close()
	}
}

// Accept listens again, at the same address.
func (u *Upstream) Accept() {
	u.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		l, err := net.Listen("tcp", u.URL[len("http://"):])
		if err == nil {
			u.serve(l)
			return
		}
		if time.Now().After(end) {
			u.t.Fatalf("listen again: %v", err)
		}
	}
}

// Embedded are the texts that were to be embedded since it was asked last.
func (u *Upstream) Embedded() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	texts := u.texts
	u.texts = nil
	return texts
}

// Strayed is how many requests followed a redirect.
func (u *Upstream) Strayed() int64 { return u.strayed.Load() }
