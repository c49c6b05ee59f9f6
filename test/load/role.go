package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/llm"
)

// serveRole is this program as one of the servers that are measured: mock, proxy or gateway.
func serveRole(ctx context.Context, role string, args []string) error {
	var handler http.Handler
	var err error
	switch {
	case role == "mock":
		handler = http.HandlerFunc(mock)
	case role == "proxy" && len(args) == 1:
		handler, err = proxy(args[0])
	case role == "gateway" && len(args) == 1:
		handler, err = spine(args[0])
	default:
		err = fmt.Errorf("role %q with %d arguments is not known", role, len(args))
	}
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	fmt.Println(l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

const mockAnswer = `{"id":"chatcmpl-mock","object":"chat.completion","created":1767225600,"model":"mock-model","choices":[{"index":0,"message":{"role":"assistant","content":"The parcel left the depot in Hamburg this morning and will be delivered tomorrow before noon.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":96,"completion_tokens":18,"total_tokens":114,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`

// mock answers at once.
func mock(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header()["Content-Type"] = []string{"application/json"}
	io.WriteString(w, mockAnswer)
}

// proxy is the standard library's reverse proxy, with room for idle connections and buffers that are used again: without
// them it is half as fast and beaten too easily.
func proxy(upstream string) (http.Handler, error) {
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	p := httputil.NewSingleHostReverseProxy(target)
	p.Transport = &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true}
	p.BufferPool = &pool{sync.Pool{New: func() any { return new([32 << 10]byte) }}}
	return p, nil
}

type pool struct{ sync.Pool }

func (p *pool) Get() []byte  { return p.Pool.Get().(*[32 << 10]byte)[:] }
func (p *pool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

// spine is the gateway alone.
func spine(upstream string) (http.Handler, error) {
	c := gateway.Config{
		Providers: map[string]gateway.ProviderConfig{"mock": {Kind: "openai", BaseURL: upstream + "/v1"}, gateway.Builtin: {Kind: "openai", BaseURL: upstream}},
		Models:    map[string]gateway.ModelConfig{benchModel: {Deployments: []gateway.DeploymentConfig{{Provider: "mock", Model: "mock-model", Prices: &gateway.PriceConfig{Input: 150_000_000, Output: 600_000_000}}}}},
	}
	g, err := gateway.New(c, gateway.Parts{Kinds: map[string]gateway.Kind{"openai": openai.New}, Prices: unpriced{}, Recorder: forgetful{}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return nil, err
	}
	who := &caller.Caller{KeyID: "key_bench", Workflow: "pilot", Role: caller.Workflow}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, max(0, r.ContentLength))
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return
		}
		r.Body.Read(make([]byte, 1)) // to the end, so that the server notices a client that leaves
		if err := g.Do(caller.With(r.Context(), who), &gateway.Request{Surface: llm.ChatCompletions, Body: body}, w); err != nil {
			http.Error(w, err.Error(), fault.KindOf(err).Status())
		}
	}), nil
}

type unpriced struct{}

func (unpriced) Price(string, string, time.Time) (llm.Price, bool) { return llm.Price{}, false }

// forgetful records nothing.
type forgetful struct{}

func (forgetful) Admit(*llm.Call) error  { return nil }
func (forgetful) Finish(*llm.Call) error { return nil }
