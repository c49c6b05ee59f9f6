package gateway_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"airfield/internal/cache"
	"airfield/internal/caller"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/limit"
	"airfield/internal/llm"
)

// instant is a transport's stand-in: it answers from memory with what a provider would, so that what is measured is
// the gateway's own part of a call.
type instant struct{ known gateway.Known }

func (p *instant) Send(context.Context, *gateway.Attempt) (*gateway.Response, error) {
	return &gateway.Response{Status: 200, ContentType: "application/json", Size: int64(len(whole)), Body: io.NopCloser(strings.NewReader(whole)), Meter: &p.known}, nil
}
func (*instant) Takes(llm.Surface) bool   { return true }
func (*instant) Dialect() neutral.Dialect { return nil }
func (p *instant) Close() error           { return nil }

type forgetful struct{}

func (forgetful) Admit(*llm.Call) error  { return nil }
func (forgetful) Finish(*llm.Call) error { return nil }

type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkTheGatewaysOwnPartOfACall(b *testing.B) {
	kind := func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) {
		return &instant{gateway.Known{Read: gateway.Reading{Usage: llm.Usage{Input: 9, Output: 3, Source: llm.Reported}, Finish: "stop"}}}, nil
	}
	g, err := gateway.New(gateway.Config{
		Providers: map[string]gateway.ProviderConfig{"builtin": {Kind: "builtin"}},
		Models:    map[string]gateway.ModelConfig{"chat": {Deployments: []gateway.DeploymentConfig{{Provider: "builtin", Model: "real"}}}},
	}, gateway.Parts{Kinds: map[string]gateway.Kind{"builtin": kind}, Prices: priceList{"builtin/real": testPrice}, Recorder: forgetful{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"model":"chat","messages":[{"role":"user","content":"` + strings.Repeat("Where is the parcel? ", 20) + `"}]}`)
	ctx := caller.With(context.Background(), &caller.Caller{KeyID: "k", Workflow: "w"})
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Do(ctx, &gateway.Request{Surface: llm.ChatCompletions, Body: body}, w); err != nil {
			b.Fatal(err)
		}
	}
}

// A stream of 200 chunks, as the relay and the real meter see it.
func BenchmarkAStreamOf200Chunks(b *testing.B) {
	stream := []byte(strings.Repeat(delta(" word"), 200) + stop + usageOnly + done)
	p, err := openai.New("x", gateway.ProviderConfig{BaseURL: "http://127.0.0.1:1", Timeouts: patient()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	kind := func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) {
		return streaming{p, stream}, nil
	}
	g, err := gateway.New(gateway.Config{
		Providers: map[string]gateway.ProviderConfig{"builtin": {Kind: "builtin"}},
		Models:    map[string]gateway.ModelConfig{"chat": {Deployments: []gateway.DeploymentConfig{{Provider: "builtin", Model: "real"}}}},
	}, gateway.Parts{Kinds: map[string]gateway.Kind{"builtin": kind}, Prices: priceList{"builtin/real": testPrice}, Recorder: forgetful{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	w := &sink{header: http.Header{}}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Do(context.Background(), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(askStream)}, w); err != nil {
			b.Fatal(err)
		}
	}
}

type streaming struct {
	gateway.Provider
	stream []byte
}

func (s streaming) Send(context.Context, *gateway.Attempt) (*gateway.Response, error) {
	return &gateway.Response{
		Status: 200, ContentType: "text/event-stream", Stream: true, Size: -1, Meter: openai.NewMeter(llm.ChatCompletions),
		Body: io.NopCloser(&oneByOne{bytes.SplitAfter(s.stream, []byte("\n\n"))}),
	}, nil
}

// oneByOne gives every chunk to a read of its own.
type oneByOne struct{ chunks [][]byte }

func (o *oneByOne) Read(p []byte) (int, error) {
	if len(o.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.chunks[0])
	o.chunks = o.chunks[1:]
	return n, nil
}

func (s *sink) Flush()                           {}
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// rich is a budget that never ends.
type rich struct{}

func (rich) Standing(*llm.Spender, time.Time) gateway.Standing {
	return gateway.Standing{Any: true, HardUSD: true}
}
func (r rich) Reserve(context.Context, *llm.Spender, time.Time, gateway.Amount) (gateway.Hold, error) {
	return r, nil
}
func (rich) Raise(gateway.Amount) error { return nil }
func (rich) Settle(gateway.Amount)      {}
func (rich) Mark(*llm.Call)             {}

// The same with everything on: limits of everything that has them, a hard budget, and a cache that is missed or hit.
func BenchmarkACallWithEverythingOn(b *testing.B) {
	kind := func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) {
		return &instant{gateway.Known{Read: gateway.Reading{Usage: llm.Usage{Input: 9, Output: 3, Source: llm.Reported}, Finish: "stop"}}}, nil
	}
	plenty := limit.Rate{RequestsPerMinute: 1e9, TokensPerMinute: 1e12, Parallel: 1000}
	for _, v := range []struct {
		name    string
		control gateway.CacheControl
		ttl     time.Duration
		limits  limit.Rate
		budgets gateway.Budgets
	}{
		{name: "limits", limits: plenty}, {name: "budget", budgets: rich{}}, {name: "limits and budget", limits: plenty, budgets: rich{}},
		{name: "limits, budget and cache, refreshed", limits: plenty, budgets: rich{}, ttl: time.Hour, control: gateway.CacheRefresh}, {name: "cache, hit", ttl: time.Hour, limits: plenty, budgets: rich{}},
	} {
		b.Run(v.name, func(b *testing.B) {
			kept, err := cache.NewMemory(cache.Default())
			if err != nil {
				b.Fatal(err)
			}
			defer kept.Close()
			g, err := gateway.New(gateway.Config{
				Providers: map[string]gateway.ProviderConfig{"builtin": {Kind: "builtin"}},
				Models:    map[string]gateway.ModelConfig{"chat": {Limits: v.limits, Deployments: []gateway.DeploymentConfig{{Provider: "builtin", Model: "real", Limits: v.limits}}}},
				Workflows: map[string]gateway.WorkflowConfig{"w": {Limits: v.limits, KeyLimits: v.limits, Cache: gateway.CacheConfig{TTL: v.ttl}}},
			}, gateway.Parts{
				Kinds: map[string]gateway.Kind{"builtin": kind}, Prices: priceList{"builtin/real": testPrice}, Recorder: forgetful{}, Log: slog.New(slog.DiscardHandler),
				Limiter: limit.NewMemory(), Cache: kept, Budgets: v.budgets,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			body := []byte(`{"model":"chat","max_tokens":100,"messages":[{"role":"user","content":"` + strings.Repeat("Where is the parcel? ", 20) + `"}]}`)
			ctx := caller.With(context.Background(), &caller.Caller{KeyID: "k", Workflow: "w"})
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				if err := g.Do(ctx, &gateway.Request{Surface: llm.ChatCompletions, Body: body, Cache: v.control}, w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
