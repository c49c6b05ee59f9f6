package builtin

import (
	"context"
	"encoding/json"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

const maxInputs = 2048 // texts in one request, as OpenAI has it

type embedRequest struct {
	Input      json.RawMessage `json:"input"`
	Format     string          `json:"encoding_format"`
	Dimensions *int            `json:"dimensions"`
}

type embedding struct {
	Object string `json:"object"`
	Index  int    `json:"index"`
	Vector any    `json:"embedding"`
}

type embedResponse struct {
	Object      string      `json:"object"`
	Data        []embedding `json:"data"`
	Model       string      `json:"model"`
	Fingerprint string      `json:"system_fingerprint"`
	Usage       usage       `json:"usage"`
}

type usage struct {
	Prompt     int64  `json:"prompt_tokens"`
	Completion *int64 `json:"completion_tokens,omitempty"`
	Total      int64  `json:"total_tokens"`
}

func (p *Provider) embed(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	var q embedRequest
	if err := json.Unmarshal(a.Body, &q); err != nil {
		return refuse(fault.New(fault.Invalid, "invalid_request", "the request cannot be read: %s", err)), nil
	}
	texts, f := q.texts()
	if f != nil {
		return refuse(f), nil
	}
	out := embedResponse{Object: "list", Data: make([]embedding, len(texts)), Model: a.Model, Fingerprint: EmbedFingerprint}
	const portion = 64 // a caller who leaves is noticed between two
	for at := 0; at < len(texts); at += portion {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		end := min(at+portion, len(texts))
		for i, v := range p.embedder.Embed(texts[at:end]) {
			out.Data[at+i] = embedding{Object: "embedding", Index: at + i, Vector: neutral.Vector(v, q.Format)}
			out.Usage.Prompt += int64(Tokens(texts[at+i]))
		}
	}
	out.Usage.Total = out.Usage.Prompt
	return answered(out, gateway.Reading{Usage: llm.Usage{Input: out.Usage.Prompt, Source: llm.Counted}})
}

func (q embedRequest) texts() ([]string, *fault.Fault) {
	if q.Dimensions != nil && *q.Dimensions != Dimensions {
		return nil, fault.New(fault.Invalid, "invalid_dimensions", "%s has %d dimensions, not %d", gateway.BuiltinEmbed, Dimensions, *q.Dimensions).At("dimensions")
	}
	if q.Format != "" && q.Format != "float" && q.Format != "base64" {
		return nil, fault.New(fault.Invalid, "invalid_encoding_format", "encoding_format is float or base64, not %q", q.Format).At("encoding_format")
	}
	var one string
	if json.Unmarshal(q.Input, &one) == nil && len(q.Input) > 0 && q.Input[0] == '"' {
		return []string{one}, nil
	}
	var list []string
	if err := json.Unmarshal(q.Input, &list); err != nil {
		return nil, fault.New(fault.Invalid, "invalid_input", "input is a text or a list of texts; %s does not take token numbers", gateway.BuiltinEmbed).At("input")
	}
	if len(list) == 0 || len(list) > maxInputs {
		return nil, fault.New(fault.Invalid, "invalid_input", "input holds %d texts; from 1 to %d are taken", len(list), maxInputs).At("input")
	}
	return list, nil
}
