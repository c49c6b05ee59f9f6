package bedrock

import (
	"encoding/json"

	"airfield/internal/fault"
	"airfield/internal/gateway/neutral"
)

// embedRequest is a request for vectors as OpenAI has it. InputType is Cohere's, for callers who know it.
type embedRequest struct {
	Input      json.RawMessage `json:"input"`
	Format     string          `json:"encoding_format"`
	Dimensions int             `json:"dimensions"`
	InputType  string          `json:"input_type"`
	texts      []string
}

const maxTexts = 2048 // in one request, as OpenAI has it

func readEmbed(body []byte) (*embedRequest, *fault.Fault) {
	q := &embedRequest{}
	if err := json.Unmarshal(body, q); err != nil {
		return nil, fault.New(fault.Invalid, "invalid_request", "the request cannot be read: %s", err)
	}
	if q.Format != "" && q.Format != "float" && q.Format != "base64" {
		return nil, fault.New(fault.Invalid, "invalid_encoding_format", "encoding_format is float or base64, not %q", clip(q.Format)).At("encoding_format")
	}
	if q.Dimensions < 0 {
		return nil, fault.New(fault.Invalid, "invalid_dimensions", "dimensions must not be negative").At("dimensions")
	}
	var one string
	if json.Unmarshal(q.Input, &one) == nil && len(q.Input) > 0 && q.Input[0] == '"' {
		q.texts = []string{one}
		return q, nil
	}
	if json.Unmarshal(q.Input, &q.texts) != nil {
		return nil, fault.New(fault.Invalid, "invalid_input", "input is a text or a list of texts; Bedrock does not take token numbers").At("input")
	}
	if len(q.texts) == 0 || len(q.texts) > maxTexts {
		return nil, fault.New(fault.Invalid, "invalid_input", "input holds %d texts; from 1 to %d are taken", len(q.texts), maxTexts).At("input")
	}
	return q, nil
}

// answer is the vectors as OpenAI has them.
func (q *embedRequest) answer(model string, vectors [][]float32, tokens int64) any {
	data := make([]any, len(vectors))
	for i, v := range vectors {
		data[i] = map[string]any{"object": "embedding", "index": i, "embedding": neutral.Vector(v, q.Format)}
	}
	return map[string]any{"object": "list", "model": model, "data": data, "usage": map[string]int64{"prompt_tokens": tokens, "total_tokens": tokens}}
}
