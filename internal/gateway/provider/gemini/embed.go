package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/token"
	"airfield/internal/llm"
)

// mostTexts are taken by one request; more are asked for in several.
const mostTexts = 100

// maxVectors bounds an answer of mostTexts vectors.
const maxVectors = 32 << 20

// embedding is a request in OpenAI's words.
type embedding struct {
	Input      json.RawMessage `json:"input"`
	Format     string          `json:"encoding_format"`
	Dimensions int64           `json:"dimensions"`
}

// vectors is what came of it.
type vectors struct {
	list   [][]float32
	tokens int64
	source llm.UsageSource
}

// embed asks for the vectors of texts. The Gemini API does so with batchEmbedContents
// (https://ai.google.dev/api/embeddings), Vertex AI with predict.
func (p *Provider) embed(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	var q embedding
	if err := json.Unmarshal(a.Body, &q); err != nil {
		return refuse(http.StatusBadRequest, "the request cannot be read: "+err.Error()), nil
	}
	texts, problem := q.texts()
	if problem != "" {
		return refuse(http.StatusBadRequest, problem), nil
	}
	all := vectors{source: llm.Reported}
	for from := 0; from < len(texts); from += mostTexts {
		some := texts[from:min(from+mostTexts, len(texts))]
		r, err := p.embedSome(ctx, a, &q, some)
		if err != nil {
			return nil, err
		}
		if r.Status >= 400 {
			return p.refusedEmbedding(r)
		}
		if err := p.readVectors(r, some, &all); err != nil {
			return nil, err
		}
	}
	return q.answer(a.Model, &all)
}

func (q *embedding) texts() (list []string, problem string) {
	if q.Format != "" && q.Format != "float" && q.Format != "base64" {
		return nil, "encoding_format is float or base64"
	}
	if q.Dimensions < 0 || q.Dimensions > 1<<16 {
		return nil, "dimensions cannot be so many"
	}
	var one string
	if json.Unmarshal(q.Input, &one) == nil && one != "" {
		return []string{one}, ""
	}
	if json.Unmarshal(q.Input, &list) != nil || len(list) == 0 {
		return nil, "input is a text or a list of texts; Gemini takes no token numbers"
	}
	return list, ""
}

func (p *Provider) embedSome(ctx context.Context, a *gateway.Attempt, q *embedding, texts []string) (*gateway.Response, error) {
	type one struct {
		Model   string  `json:"model"`
		Content content `json:"content"`
		Size    int64   `json:"outputDimensionality,omitempty"`
	}
	type instance struct {
		Content string `json:"content"`
	}
	method, list, instances := "batchEmbedContents", make([]one, len(texts)), make([]instance, len(texts))
	for i := range texts {
		list[i] = one{modelPath(a.Model), content{Parts: []part{{Text: &texts[i]}}}, q.Dimensions}
		instances[i] = instance{texts[i]}
	}
	body := any(map[string]any{"requests": list})
	if p.dialect.vertex {
		method = "predict"
		parameters := map[string]any{}
		if q.Dimensions > 0 {
			parameters["outputDimensionality"] = q.Dimensions
		}
		body = map[string]any{"instances": instances, "parameters": parameters}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return p.post(ctx, a, method, "", b)
}

// readVectors adds the vectors of some texts to all. Tokens that are not reported are counted.
func (p *Provider) readVectors(r *gateway.Response, texts []string, all *vectors) error {
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxVectors+1))
	if err != nil {
		return fault.New(fault.Upstream, "upstream_broken", "provider %s broke the connection: %w", p.name, err)
	}
	var read struct {
		Embeddings  []struct{ Values []float32 }
		Usage       *usage `json:"usageMetadata"`
		Predictions []struct {
			Embeddings struct {
				Values     []float32
				Statistics struct {
					Tokens float64 `json:"token_count"`
				}
			}
		}
	}
	wrong := func(why string, args ...any) error {
		return fault.New(fault.Upstream, "upstream_answer", "provider "+p.name+" gave vectors that cannot be read: "+why, args...)
	}
	if len(body) > maxVectors {
		return wrong("they have more than %d bytes", maxVectors)
	}
	if err := json.Unmarshal(body, &read); err != nil {
		return wrong("%w", err)
	}
	var tokens int64
	var list [][]float32
	for _, e := range read.Embeddings {
		list = append(list, e.Values)
	}
	for _, e := range read.Predictions {
		list = append(list, e.Embeddings.Values)
		if n := e.Embeddings.Statistics.Tokens; n > 0 && n < neutral.MostTokens {
			tokens += int64(n)
		}
	}
	if read.Usage != nil && read.Usage.Prompt > 0 && read.Usage.Prompt < neutral.MostTokens {
		tokens = read.Usage.Prompt
	}
	if len(list) != len(texts) {
		return wrong("there are %d for %d texts", len(list), len(texts))
	}
	for _, v := range list {
		if len(v) == 0 || len(all.list) > 0 && len(v) != len(all.list[0]) {
			return wrong("one has %d dimensions", len(v))
		}
		all.list = append(all.list, v)
	}
	if tokens == 0 {
		all.source = llm.Counted
		for _, t := range texts {
			var c token.Counter
			c.Add([]byte(t))
			tokens += max(1, c.Tokens())
		}
	}
	all.tokens += tokens
	return nil
}

// answer writes the vectors in OpenAI's words. Google's are of length 1 only where they are not cut.
func (q *embedding) answer(model string, all *vectors) (*gateway.Response, error) {
	type one struct {
		Object string `json:"object"`
		Index  int    `json:"index"`
		Vector any    `json:"embedding"`
	}
	data := make([]one, len(all.list))
	for i, v := range all.list {
		if q.Dimensions > 0 {
			toUnit(v)
		}
		data[i] = one{"embedding", i, neutral.Vector(v, q.Format)}
	}
	body, err := json.Marshal(map[string]any{
		"object": "list", "data": data, "model": model, "usage": map[string]int64{"prompt_tokens": all.tokens, "total_tokens": all.tokens},
	})
	if err != nil {
		return nil, err
	}
	r := whole(http.StatusOK, body)
	r.Meter = &gateway.Known{Read: gateway.Reading{Usage: llm.Usage{Input: all.tokens, Source: all.source}}}
	return r, nil
}

func toUnit(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	by := 1 / math.Sqrt(sum)
	for i := range v {
		v[i] = float32(float64(v[i]) * by)
	}
}

// refusedEmbedding says a refusal as OpenAI would.
func (p *Provider) refusedEmbedding(r *gateway.Response) (*gateway.Response, error) {
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	e := p.dialect.ReadError(r.Status, body)
	said := refuse(r.Status, e.Message)
	r.Body, r.Size, r.ContentType, r.Meter = said.Body, said.Size, said.ContentType, said.Meter
	return r, nil
}

func refuse(status int, message string) *gateway.Response {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": errorType(status), "param": nil, "code": nil}}) // strings always are JSON
	return whole(status, body)
}

func whole(status int, body []byte) *gateway.Response {
	return &gateway.Response{Status: status, ContentType: "application/json", Size: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Meter: &gateway.Known{}}
}
