package gateway

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/cache"
	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway/queue"
	"airfield/internal/limit"
	"airfield/internal/llm"
)

// Prices knows what a model costs at a provider. False means that no price is known: the call is served and its row
// says so.
type Prices interface {
	Price(provider, model string, at time.Time) (llm.Price, bool)
}

// Recorder keeps the rows of calls. Admit is called before anything is sent upstream: when it fails, nothing is sent.
// Finish is called before the caller has the last byte. A call refused before it was admitted is only finished. The
// row must not be kept.
type Recorder interface {
	Admit(*llm.Call) error
	Finish(*llm.Call) error
}

// Gateway takes calls. It is safe for concurrent use.
type Gateway struct {
	kinds     map[string]Kind
	prices    Prices
	records   Recorder
	budgets   Budgets
	limiter   limit.Limiter
	cache     cache.Cache
	extractor Extractor
	bodies    Bodies
	prompts   Prompts
	alert     func(Alert)
	log       *slog.Logger
	queue     *queue.Queue
	flights   flights
	reload    sync.Mutex
	table     atomic.Pointer[table]
}

// Parts is what a gateway is made of. Kinds, Prices, Recorder and Log must be there; without the others there are no
// budgets, limits, cache, extractive answers, kept bodies, prompts and alerts.
type Parts struct {
	Kinds     map[string]Kind // the providers that may be named in the configuration
	Prices    Prices
	Recorder  Recorder
	Budgets   Budgets
	Limiter   limit.Limiter
	Cache     cache.Cache
	Extractor Extractor
	Bodies    Bodies
	Prompts   Prompts
	Alert     func(Alert) // must not block
	Log       *slog.Logger
}

// New returns a gateway for the configuration.
func New(c Config, p Parts) (*Gateway, error) {
	g := &Gateway{
		kinds: p.Kinds, prices: p.Prices, records: p.Recorder, budgets: p.Budgets, limiter: p.Limiter, cache: p.Cache, extractor: p.Extractor, bodies: p.Bodies, prompts: p.Prompts, alert: p.Alert,
		log: p.Log.With("part", "gateway"), queue: queue.New(c.complete().Routing.Queue.Length), flights: flights{now: map[string]*flight{}},
	}
	if g.alert == nil {
		g.alert = func(Alert) {}
	}
	if g.limiter != nil {
		g.limiter.OnRelease(g.queue.Wake)
	}
	if err := g.Reload(c); err != nil {
		g.queue.Close()
		return nil, err
	}
	return g, nil
}

// Request is a call as a door decoded it. The body is not changed; it must not be used for anything else afterwards,
// because a provider that answers early may still be reading it.
type Request struct {
	Surface llm.Surface
	Body    []byte
	// ContentType is that of a form, with its boundary; empty for JSON.
	ContentType string
	Header      http.Header // those of the caller's headers that go to a provider of the same API; nil for none
	Tags        map[string]string
	User        string
	Session     string
	Timeout     time.Duration // what the caller gives it, over everything; 0 leaves it to the configuration
	Cache       CacheControl
	// Priority is low, normal or high; a caller may ask for less than its workflow has, not for more.
	Priority string
	// Service is a service tier that is asked for where the request names none and the deployment has a price for it. What
	// refuses it is asked again at the usual one.
	Service string
	// Model is asked in place of the one that the body or its prompt names, and Allowance bounds what calls may cost together,
	// where they are not empty: replays do so.
	Model     string
	Allowance *Allowance
	Epochs    string // of the collections the request was made from, so that no cached answer outlives them
	// Sent is how many bytes the caller sent, where a part of Airfield made more of them; 0 where it is the body. Further says
	// that the call goes on with an answer that has begun: how large it may be was looked at before.
	Sent    int64
	Further bool
}

// Do takes one call from the first look at its body to the last byte of its answer. The caller, and the trace it is
// part of, are in ctx. An error means that nothing was written but headers: the door answers with it. After the first byte
// problems are told in the answer itself and Do returns nil; where the answer has no place for them the connection
// is aborted by a panic with http.ErrAbortHandler.
func (g *Gateway) Do(ctx context.Context, req *Request, w http.ResponseWriter) error {
	c := g.begin(ctx, req)
	defer c.close()
	err := c.run(c.listen(w))
	if err != nil && c.bodies.exchange != nil {
		c.bodies.told.hold(c.asked.shape.errs(fault.As(err))) // the door tells it
	}
	return err
}

// Model is a model as callers see it.
type Model struct {
	Name       string
	Tier       string
	Dimensions int
	Providers  []string
}

// Models lists the models the caller in ctx may use, by name.
func (g *Gateway) Models(ctx context.Context) []Model {
	t := g.table.Load()
	var allowed map[*model]bool
	if who := caller.From(ctx); who != nil && t.workflows[who.Workflow] != nil {
		allowed = t.workflows[who.Workflow].allowed
	}
	list := make([]Model, 0, len(t.models))
	for _, name := range slices.Sorted(maps.Keys(t.models)) {
		m := t.models[name]
		if allowed != nil && !allowed[m] {
			continue
		}
		shown := Model{Name: name, Tier: m.Tier, Dimensions: m.Dimensions}
		for _, d := range m.deployments {
			if !slices.Contains(shown.Providers, d.providerName) {
				shown.Providers = append(shown.Providers, d.providerName)
			}
		}
		list = append(list, shown)
	}
	return list
}

// Model returns one of Models, or a fault.
func (g *Gateway) Model(ctx context.Context, name string) (Model, error) {
	for _, m := range g.Models(ctx) {
		if m.Name == name {
			return m, nil
		}
	}
	return Model{}, unknownModel(name)
}

// Reload takes a new configuration, all of it or none: the new table is built first and then swapped in. Calls in
// flight end with the one they began with.
func (g *Gateway) Reload(c Config) error {
	g.reload.Lock()
	defer g.reload.Unlock()
	warnings, err := c.Check()
	if err != nil {
		return fault.New(fault.Invalid, "gateway_config", "the gateway's configuration cannot be used: %w", err)
	}
	old := g.table.Load()
	next, err := g.build(c.complete(), old)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		g.log.Warn(w)
	}
	g.queue.Resize(next.routing.Queue.Length)
	g.table.Store(next)
	old.closeExcept(next)
	if old != nil {
		for name, h := range old.health {
			if next.health[name] != h && h.breaker.isOpen() {
				g.breakerChanged(name, false) // nobody else will say so: it is forgotten
			}
		}
	}
	return nil
}

// Close ends the queue and gives back the connections to the providers.
func (g *Gateway) Close() error {
	g.queue.Close()
	g.table.Load().closeExcept(nil)
	return nil
}
