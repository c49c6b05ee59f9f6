// Package builtin serves two models from inside the process, with no network and no key: an embedder that knows words
// and an answerer that quotes. They make a fresh installation work, and are the last rung when every model is down.
// The gateway calls it like any other provider.
package builtin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/neutral/chat"
	"airfield/internal/llm"
)

// The fingerprints in the answers say what made them. A model's name stands for one way of working for good: an
// embedder whose vectors cannot be compared with the old ones gets a new name, and the old one stays.
const (
	EmbedFingerprint  = "airfield-lexical-1"
	AnswerFingerprint = "airfield-extractive-1"
)

// Provider serves the builtin models.
type Provider struct {
	embedder *Embedder
	answerer *Answerer
}

// New makes the provider; it is a gateway.Kind.
func New(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) {
	return &Provider{embedder: NewEmbedder(), answerer: NewAnswerer()}, nil
}

// Takes reports whether there is a model for the surface.
func (p *Provider) Takes(s llm.Surface) bool { return s == llm.ChatCompletions || s == llm.Embeddings }

// Dialect is chat completions.
func (p *Provider) Dialect() neutral.Dialect { return chat.Dialect{} }

// Close has nothing to give back.
func (p *Provider) Close() error { return nil }

// Send answers in the shape of the surface.
func (p *Provider) Send(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	switch {
	case a.Surface == llm.Embeddings && a.Model == gateway.BuiltinEmbed:
		return p.embed(ctx, a)
	case a.Surface == llm.ChatCompletions && a.Model == gateway.BuiltinAnswer:
		return p.chat(a)
	case a.Model == gateway.BuiltinEmbed || a.Model == gateway.BuiltinAnswer:
		return refuse(fault.New(fault.Invalid, "model_not_supported", "%s does not serve %s", a.Model, a.Surface)), nil
	}
	return refuse(fault.New(fault.NotFound, "model_not_found", "there is no builtin model %q; there are %s and %s", a.Model, gateway.BuiltinEmbed, gateway.BuiltinAnswer)), nil
}

// refuse is an answer that says why there is none, in the shape that OpenAI's clients read.
func refuse(f *fault.Fault) *gateway.Response {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"message": f.Text, "type": "invalid_request_error", "code": f.Code, "param": f.Field}})
	return response(f.Kind.Status(), "application/json", body, gateway.Reading{})
}

func response(status int, contentType string, body []byte, read gateway.Reading) *gateway.Response {
	return &gateway.Response{
		Status: status, ContentType: contentType, Size: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Meter: &gateway.Known{Read: read},
	}
}

func answered(v any, read gateway.Reading) (*gateway.Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write answer: %w", err)
	}
	return response(http.StatusOK, "application/json", body, read), nil
}
