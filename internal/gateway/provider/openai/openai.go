// Package openai talks to every endpoint that speaks OpenAI's API: chat completions and embeddings. The gateway's
// wiring gives it the kind of this name.
package openai

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/neutral/chat"
	"airfield/internal/gateway/provider/wire"
	"airfield/internal/llm"
)

// Provider is one endpoint.
type Provider struct {
	name     string
	wire     *wire.Client
	requests map[llm.Surface]*http.Request // what all of a surface have in common
	place    Place
	dialect  neutral.Dialect
}

// Place says where a request of a model goes, below the base URL, by the path that it has at OpenAI.
type Place func(model, path string) (below, query string)

// New connects to nothing yet; it is a gateway.Kind.
func New(name string, c gateway.ProviderConfig, _ *slog.Logger) (gateway.Provider, error) {
	return Open(name, c, nil)
}

// Open is New for endpoints that have OpenAI's surfaces in other places.
func Open(name string, c gateway.ProviderConfig, place Place) (*Provider, error) {
	header, secrets := c.Header()
	client, err := wire.New(name, c, header, secrets)
	if err != nil {
		return nil, err
	}
	p := &Provider{name: name, wire: client, requests: map[llm.Surface]*http.Request{}, place: place}
	for _, surface := range served(c) {
		path, ok := paths[surface]
		if !ok {
			return nil, fmt.Errorf("surfaces: %q is none of %v", surface, slices.Sorted(maps.Keys(paths)))
		}
		p.requests[surface] = client.Post(path)
	}
	if p.Takes(llm.ChatCompletions) {
		p.dialect = chat.Dialect{Cap: c.OutputCap, OmitUsage: c.OmitStreamUsage}
	}
	return p, nil
}

// paths are where the surfaces are, below the base URL.
var paths = map[llm.Surface]string{llm.ChatCompletions: "chat/completions", llm.Embeddings: "embeddings"}

// served are the surfaces that an endpoint serves itself.
func served(c gateway.ProviderConfig) []llm.Surface {
	if len(c.Surfaces) == 0 {
		return []llm.Surface{llm.ChatCompletions, llm.Embeddings}
	}
	var list []llm.Surface
	for _, name := range c.Surfaces {
		list = append(list, llm.Surface(name))
	}
	return list
}

// Takes reports whether the endpoint serves a surface itself.
func (p *Provider) Takes(s llm.Surface) bool { return p.requests[s] != nil }

// Dialect is chat completions, where the endpoint serves those.
func (p *Provider) Dialect() neutral.Dialect { return p.dialect }

// Close gives back idle connections.
func (p *Provider) Close() error { return p.wire.Close() }

// Send posts the attempt's body.
func (p *Provider) Send(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	common := p.requests[a.Surface]
	if common == nil {
		return nil, fault.New(fault.Invalid, "surface_unsupported", "provider %s does not serve %s", p.name, a.Surface)
	}
	if p.place != nil {
		below, query := p.place(a.Model, paths[a.Surface])
		common = p.wire.Post(below)
		common.URL.RawQuery = query
	}
	r, header, err := p.wire.Send(ctx, common, a, nil)
	if err != nil {
		return nil, err
	}
	r.Quota, r.RequestID, r.Meter = quotaOf(header), p.wire.RequestID(header, "X-Request-Id"), NewMeter(a.Surface)
	return r, nil
}
