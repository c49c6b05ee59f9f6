// Package gemini talks to Google's models, at the Gemini API and at Vertex AI: generateContent and its streams, and
// embeddings. The gateway's wiring gives it the kind of this name.
package gemini

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/provider/wire"
	"airfield/internal/llm"
	"airfield/internal/secret"
)

// Surface is what the dialect writes: a GenerateContentRequest (https://ai.google.dev/api/generate-content).
const Surface llm.Surface = "gemini.generate_content"

// DefaultURL is the address of the Gemini API.
const DefaultURL = "https://generativelanguage.googleapis.com/v1beta"

// Provider is the Gemini API, or one project and location of Vertex AI.
type Provider struct {
	name    string
	wire    *wire.Client
	dialect *dialect
	key     key
}

// New connects to nothing yet; it is a gateway.Kind.
func New(name string, c gateway.ProviderConfig, _ *slog.Logger) (gateway.Provider, error) {
	c.BaseURL = cmp.Or(c.BaseURL, DefaultURL)
	p := &Provider{name: name, dialect: &dialect{vertex: onVertex(c)}}
	var err error
	if p.key, err = newKey(c, p.dialect.vertex); err != nil {
		return nil, err
	}
	c.APIKey = secret.Value{} // goes in a header of its own
	header, secrets := c.Header()
	if p.wire, err = wire.New(name, c, header, append(secrets, p.key.secrets()...)); err != nil {
		return nil, err
	}
	return p, nil
}

// onVertex reports whether a provider is Vertex AI: a project and a location stand in its address,
// https://LOCATION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION/publishers/google.
func onVertex(c gateway.ProviderConfig) bool { return strings.Contains(c.BaseURL, "/projects/") }

// Models is where the Gemini API lists its models, and what they are asked for with; empty for Vertex AI, which has no such
// list.
func Models(c gateway.ProviderConfig) (address string, header http.Header) {
	k, err := newKey(c, onVertex(c))
	if err != nil || k.account != nil || onVertex(c) {
		return "", nil
	}
	c.APIKey = secret.Value{}
	header, _ = c.Header()
	if k.name != "" {
		header.Set(k.name, k.value)
	}
	return strings.TrimRight(cmp.Or(c.BaseURL, DefaultURL), "/") + "/models", header
}

// Takes reports whether a surface is served: embeddings, which are asked for in Google's words.
func (p *Provider) Takes(s llm.Surface) bool { return s == llm.Embeddings }

// Dialect is generateContent.
func (p *Provider) Dialect() neutral.Dialect { return p.dialect }

// Close gives back idle connections.
func (p *Provider) Close() error { return p.wire.Close() }

// Send asks a model for content or for embeddings.
func (p *Provider) Send(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	switch {
	case a.Surface == llm.Embeddings:
		return p.embed(ctx, a)
	case a.Surface != Surface:
		return nil, fault.New(fault.Invalid, "surface_unsupported", "provider %s does not serve %s", p.name, a.Surface)
	case a.Stream:
		return p.post(ctx, a, "streamGenerateContent", "alt=sse", a.Body)
	}
	return p.post(ctx, a, "generateContent", "", a.Body)
}

// post calls a method of the attempt's model.
func (p *Provider) post(ctx context.Context, a *gateway.Attempt, method, query string, body []byte) (*gateway.Response, error) {
	own, token, err := p.key.header(ctx)
	if err != nil {
		return nil, err
	}
	common := p.wire.Post(modelPath(a.Model) + ":" + method)
	common.URL.RawQuery = query
	to := *a
	to.Body = body
	r, _, err := p.wire.Send(ctx, common, &to, own)
	if err != nil {
		return nil, err
	}
	if token != "" {
		hideToken(r, token)
	}
	if r.Status >= 400 {
		return p.refused(r)
	}
	return r, nil
}

// modelPath is where a model is: models/NAME, or what the configuration says in full, such as tunedModels/NAME.
func modelPath(model string) string {
	if strings.Contains(model, "/") {
		return model
	}
	return "models/" + model
}

// hideToken also keeps what the provider's own keys do not cover: the token that was got for a service account.
func hideToken(r *gateway.Response, token string) {
	clean := r.Clean
	r.Clean = func(text []byte) []byte {
		if clean != nil {
			text = clean(text)
		}
		return bytes.ReplaceAll(text, []byte(token), []byte("[key]"))
	}
}

// maxRefusal bounds what is read of a refusal.
const maxRefusal = 64 << 10

// refused reads what Google says in a refusal's body that others say in its status and header: that the key is not valid
// (status 400), and when to come back.
func (p *Provider) refused(r *gateway.Response) (*gateway.Response, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRefusal))
	r.Body.Close()
	if err != nil && len(body) == 0 {
		return nil, fault.New(fault.Upstream, "upstream_broken", "provider %s broke the connection: %w", p.name, err)
	}
	if r.Clean != nil {
		body = r.Clean(body)
	}
	e := readRefusal(body)
	if r.Status == http.StatusBadRequest && e.badKey() {
		r.Status = http.StatusUnauthorized
	}
	if in := e.retryIn(); in > 0 && r.RetryIn == 0 {
		r.RetryIn = in
		if r.RetryAfter == "" {
			r.RetryAfter = strconv.FormatInt(int64((in+time.Second-1)/time.Second), 10)
		}
	}
	r.Body, r.Size = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r, nil
}
