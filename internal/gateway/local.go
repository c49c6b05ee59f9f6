package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Completion is what a part of Airfield asks a chat model.
type Completion struct {
	Model       string
	Messages    []Message
	MaxTokens   int // 0 leaves it to the model
	Temperature *float64
	Tags        map[string]string
	User        string
	Session     string
	Epochs      string // as in Request
}

// Completed is the answer to a Completion.
type Completed struct {
	CallID      string
	Model       string // as the provider names what answered
	Text        string
	Finish      string
	Fingerprint string // the provider's system_fingerprint
	Usage       llm.Usage
	Cost        money.Nanos
	Priced      bool
}

// Complete makes a chat call for a part of Airfield, the way every call goes.
func (g *Gateway) Complete(ctx context.Context, q Completion) (Completed, error) {
	body, err := json.Marshal(struct {
		Model       string    `json:"model"`
		Messages    []Message `json:"messages"`
		MaxTokens   int       `json:"max_tokens,omitempty"`
		Temperature *float64  `json:"temperature,omitempty"`
	}{q.Model, q.Messages, q.MaxTokens, q.Temperature})
	if err != nil {
		return Completed{}, fmt.Errorf("write chat request: %w", err)
	}
	row, answer, err := g.local(ctx, &Request{Surface: llm.ChatCompletions, Body: body, Tags: q.Tags, User: q.User, Session: q.Session, Epochs: q.Epochs})
	if err != nil {
		return Completed{}, err
	}
	var read struct {
		Model       string `json:"model"`
		Fingerprint string `json:"system_fingerprint"`
		Choices     []struct {
			Message Message `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(answer, &read); err != nil || len(read.Choices) == 0 {
		return Completed{}, fault.New(fault.Upstream, "upstream_answer", "model %s answered with something that is not a chat completion", q.Model)
	}
	return Completed{
		CallID: row.ID, Model: read.Model, Text: read.Choices[0].Message.Content, Finish: row.Finish, Fingerprint: read.Fingerprint,
		Usage: row.Usage, Cost: row.Cost, Priced: row.Priced,
	}, nil
}

// Embed turns texts into vectors for a part of Airfield, the way every call goes. The vectors are as many as the
// texts, in their order, and of one length. The priority is as in a Request.
func (g *Gateway) Embed(ctx context.Context, model string, texts []string, tags map[string]string, priority string) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	body, err := json.Marshal(struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}{model, texts})
	if err != nil {
		return nil, fmt.Errorf("write embeddings request: %w", err)
	}
	_, answer, err := g.local(ctx, &Request{Surface: llm.Embeddings, Body: body, Tags: tags, Priority: priority})
	if err != nil {
		return nil, err
	}
	var read struct {
		Items []struct {
			Index  int       `json:"index"`
			Vector []float32 `json:"embedding"`
		} `json:"data"`
	}
	wrong := func(format string, args ...any) error {
		return fault.New(fault.Upstream, "upstream_answer", "embedding model %s: %s", model, fmt.Sprintf(format, args...))
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		return nil, wrong("the answer cannot be read")
	}
	vectors := make([][]float32, len(texts))
	for _, item := range read.Items {
		if item.Index < 0 || item.Index >= len(vectors) || vectors[item.Index] != nil {
			return nil, wrong("index %d is out of range or twice in the answer", item.Index)
		}
		vectors[item.Index] = item.Vector
	}
	for i, v := range vectors {
		if len(v) == 0 {
			return nil, wrong("text %d of %d has no vector in the answer", i, len(texts))
		}
		if len(v) != len(vectors[0]) {
			return nil, wrong("vectors of %d and of %d numbers in one answer", len(vectors[0]), len(v))
		}
	}
	return vectors, nil
}

// Answered is a call whose answer stays in the process.
type Answered struct {
	Row    llm.Call
	Status int
	Body   []byte // of the answer, also where a provider refused
}

// Answer makes a call that is the caller's own, as a line of a batch is: in all but that the answer stays in the process it is
// a call like every other. An error means that there is none.
func (g *Gateway) Answer(ctx context.Context, req *Request) (Answered, error) {
	row, w, err := g.made(ctx, req, false)
	return Answered{row, w.status, w.body}, err
}

// local makes a call whose answer stays in the process and returns it with the call's row.
func (g *Gateway) local(ctx context.Context, req *Request) (llm.Call, []byte, error) {
	row, w, err := g.made(ctx, req, true)
	if err == nil && w.status >= 400 {
		err = upstreamFault(&row, w.status)
	}
	if err != nil {
		return row, nil, err
	}
	return row, w.body, nil
}

func (g *Gateway) made(ctx context.Context, req *Request, own bool) (llm.Call, *memory, error) {
	w := &memory{header: http.Header{}}
	c := g.begin(ctx, req)
	c.local, c.own, c.keep = true, own, keepLocal
	defer c.close()
	err := c.run(c.listen(w))
	return c.row, w, err
}

// Repeated is what a call came to that was made in the process.
type Repeated struct {
	Row    llm.Call
	Answer []byte // as the surface gives it; nil where there is none
}

// Again makes a call whose answer stays in the process, the way every call goes. With an error the row is there, too.
func (g *Gateway) Again(ctx context.Context, req Request) (Repeated, error) {
	row, answer, err := g.local(ctx, &req)
	return Repeated{Row: row, Answer: answer}, err
}

// memory is the writer of an answer that stays in the process.
type memory struct {
	header http.Header
	status int
	body   []byte
}

func (m *memory) Header() http.Header { return m.header }

func (m *memory) WriteHeader(status int) {
	if m.status == 0 {
		m.status = status
	}
}

func (m *memory) Write(p []byte) (int, error) {
	m.WriteHeader(http.StatusOK)
	m.body = append(m.body, p...)
	return len(p), nil
}
