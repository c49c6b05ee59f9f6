package bedrock

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// embedder is how the vectors of one family of models are asked for.
type embedder struct {
	batch int // texts in one request
	write func(q *embedRequest, texts []string) any
	read  func(body []byte) (vectors [][]float32, tokens int64, err error)
}

// embedderOf finds it by a model's id, whatever stands before it: a region, an ARN.
func embedderOf(model string) *embedder {
	switch {
	case strings.Contains(model, "amazon.titan-embed-text"):
		return &titan
	case strings.Contains(model, "cohere.embed"):
		return &cohere
	}
	return nil
}

// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
var titan = embedder{
	batch: 1,
	write: func(q *embedRequest, texts []string) any {
		return struct {
			Text       string `json:"inputText"`
			Dimensions int    `json:"dimensions,omitempty"`
		}{texts[0], q.Dimensions}
	},
	read: func(body []byte) ([][]float32, int64, error) {
		var in struct {
			Vector []float32 `json:"embedding"`
			Tokens int64     `json:"inputTextTokenCount"`
		}
		err := json.Unmarshal(body, &in)
		return [][]float32{in.Vector}, in.Tokens, err
	},
}

// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
var cohere = embedder{
	batch: 96,
	write: func(q *embedRequest, texts []string) any {
		kind := q.InputType
		if kind == "" {
			kind = "search_document"
		}
		return struct {
			Texts      []string `json:"texts"`
			InputType  string   `json:"input_type"`
			Types      []string `json:"embedding_types"`
			Dimensions int      `json:"output_dimension,omitempty"`
		}{texts, kind, []string{"float"}, q.Dimensions}
	},
	read: func(body []byte) ([][]float32, int64, error) {
		var in struct {
			Embeddings struct {
				Float [][]float32 `json:"float"`
			} `json:"embeddings"`
		}
		err := json.Unmarshal(body, &in)
		return in.Embeddings.Float, 0, err // tokens come in a header
	},
}

const (
	tokenHeader = "X-Amzn-Bedrock-Input-Token-Count"
	maxVectors  = 32 << 20 // bytes of an answer
	atOnce      = 8        // requests for one call
)

// embed asks for vectors and answers in OpenAI's shape. Where one of several exchanges fails, the call does.
func (p *Provider) embed(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	e := embedderOf(a.Model)
	if e == nil {
		return refuse(fault.New(fault.Invalid, "model_unsupported", "vectors of %s cannot be asked for: those of Titan and Cohere can", a.Model).At("model"), http.StatusBadRequest), nil
	}
	q, f := readEmbed(a.Body)
	if f != nil {
		return refuse(f, http.StatusBadRequest), nil
	}
	parts := make([]part, (len(q.texts)+e.batch-1)/e.batch)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range parts {
		group.Go(func() (err error) {
			texts := q.texts[i*e.batch : min((i+1)*e.batch, len(q.texts))]
			parts[i], err = p.embedPart(ctx, a, e, q, texts)
			if err == nil && parts[i].refused != nil {
				err = errRefused
			}
			return err
		})
	}
	err := group.Wait()
	answer := &gateway.Response{Status: http.StatusOK, ContentType: plainJSON}
	used, vectors := llm.Usage{Source: llm.Reported}, [][]float32{}
	for _, part := range parts {
		if part.refused != nil {
			return part.refused, nil
		}
		answer.RequestID = part.requestID
		vectors = append(vectors, part.vectors...)
		if used.Input += part.tokens; part.tokens == 0 {
			used.Source = "" // the gateway estimates all of it
		}
	}
	if err != nil {
		return nil, err
	}
	if used.Source == "" {
		used = llm.Usage{}
	}
	body, err := json.Marshal(q.answer(a.Model, vectors, used.Input))
	if err != nil {
		return nil, fault.New(fault.Upstream, "upstream_answer", "the vectors of provider %s cannot be written: %w", p.name, err)
	}
	answer.Size, answer.Body, answer.Meter = int64(len(body)), io.NopCloser(bytes.NewReader(body)), &gateway.Known{Read: gateway.Reading{Usage: used}}
	return answer, nil
}

// part is what one exchange brought.
type part struct {
	vectors   [][]float32
	tokens    int64
	requestID string
	refused   *gateway.Response
}

var errRefused = fault.New(fault.Upstream, "upstream_error", "the provider refused")

func (p *Provider) embedPart(ctx context.Context, a *gateway.Attempt, e *embedder, q *embedRequest, texts []string) (out part, err error) {
	one := *a
	if one.Body, err = json.Marshal(e.write(q, texts)); err != nil {
		return out, fault.New(fault.Internal, "upstream_request", "the request for vectors cannot be written: %w", err)
	}
	r, header, err := p.invoke(ctx, &one, "invoke", plainJSON)
	if err != nil {
		return out, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxVectors+1))
	wrong := func(format string, args ...any) (part, error) {
		return part{}, fault.New(fault.Upstream, "upstream_answer", "provider "+p.name+" "+format, args...)
	}
	switch {
	case err != nil:
		return wrong("broke off an answer with vectors: %w", err)
	case len(body) > maxVectors:
		return wrong("answered with more than %d bytes of vectors", maxVectors)
	case r.Status >= 400:
		said := dialect{}.ReadError(r.Status, body)
		out.refused = refuse(&fault.Fault{Text: said.Message, Code: said.Code}, r.Status)
		out.refused.RetryAfter, out.refused.RetryIn, out.refused.RequestID = r.RetryAfter, r.RetryIn, r.RequestID
		return out, nil
	}
	if out.vectors, out.tokens, err = e.read(body); err != nil {
		return wrong("answered with vectors that cannot be read: %w", err)
	}
	if len(out.vectors) != len(texts) {
		return wrong("answered with %d vectors for %d texts", len(out.vectors), len(texts))
	}
	for _, v := range out.vectors {
		if len(v) == 0 {
			return wrong("answered with an empty vector")
		}
	}
	if n, err := strconv.ParseInt(header.Get(tokenHeader), 10, 64); err == nil && out.tokens == 0 {
		out.tokens = n
	}
	if out.tokens < 0 || out.tokens > neutral.MostTokens {
		out.tokens = 0
	}
	out.requestID = r.RequestID
	return out, nil
}

// refuse is an error in the shape of the surface.
func refuse(f *fault.Fault, status int) *gateway.Response {
	body := gateway.ErrorBody(f)
	return &gateway.Response{Status: status, ContentType: plainJSON, Size: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}
}
