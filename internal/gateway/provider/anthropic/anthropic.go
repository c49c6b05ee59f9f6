// Package anthropic talks to Anthropic's Messages API, and to those who speak it. The gateway's wiring gives it the kind of
// this name. Messages and the counting of tokens go through as they are; everything else is told as messages.
// https://platform.claude.com/docs/en/api/messages
package anthropic

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/neutral/messages"
	"airfield/internal/gateway/provider/wire"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

// version is the API that the dialect speaks; a caller who speaks it directly says which one it speaks.
const version = "2023-06-01"

// Provider is one endpoint.
type Provider struct {
	name     string
	wire     *wire.Client
	requests map[llm.Surface]*http.Request // what all of a surface have in common
	betas    []string                      // of the configuration
}

// New connects to nothing yet; it is a gateway.Kind. The key goes in x-api-key, where the configuration does not say
// Authorization itself, as gateways between may want it.
func New(name string, c gateway.ProviderConfig, _ *slog.Logger) (gateway.Provider, error) {
	key := c.APIKey
	c.APIKey = secret.Value{}
	header, secrets := c.Header()
	if !key.Empty() {
		header.Set("X-Api-Key", key.Reveal())
		secrets = append(secrets, key.Reveal())
	}
	if header.Get("Anthropic-Version") == "" {
		header.Set("Anthropic-Version", version)
	}
	client, err := wire.New(name, c, header, secrets)
	if err != nil {
		return nil, err
	}
	return &Provider{name: name, wire: client, betas: header["Anthropic-Beta"], requests: map[llm.Surface]*http.Request{
		llm.Messages: client.Post("messages"), llm.CountTokens: client.Post("messages/count_tokens"),
	}}, nil
}

// Takes reports whether a surface's requests go through as they are.
func (p *Provider) Takes(s llm.Surface) bool { return p.requests[s] != nil }

// Dialect is messages.
func (p *Provider) Dialect() neutral.Dialect { return messages.Dialect{} }

// Close gives back idle connections.
func (p *Provider) Close() error { return p.wire.Close() }

// Send posts the attempt's body.
func (p *Provider) Send(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	common := p.requests[a.Surface]
	if common == nil {
		return nil, fault.New(fault.Invalid, "surface_unsupported", "provider %s does not serve %s", p.name, a.Surface)
	}
	own := http.Header{} // of the caller's, what changes the meaning of a request
	if values := a.Header["Anthropic-Version"]; len(values) > 0 {
		own["Anthropic-Version"] = values
	}
	if values := a.Header["Anthropic-Beta"]; len(values) > 0 {
		own["Anthropic-Beta"] = slices.Concat(p.betas, values)
	}
	signed := *a
	signed.Body = signedThoughts(a.Body)
	r, header, err := p.wire.Send(ctx, common, &signed, own)
	if err != nil {
		return nil, err
	}
	r.Quota, r.RequestID, r.Meter = quotaOf(header), p.wire.RequestID(header, "Request-Id"), NewMeter(a.Surface)
	return r, nil
}
