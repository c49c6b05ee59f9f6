package retrieve

import (
	"context"

	"airfield/internal/llm"
	"airfield/internal/money"
)

// Embedder turns texts into vectors of the model, one each. The gateway is it, so that a question's embedding is
// limited, metered and traced like every other call.
type Embedder interface {
	Embed(ctx context.Context, model string, texts []string) ([][]float32, error)
}

// Completer asks a model; the gateway is it.
type Completer interface {
	Complete(ctx context.Context, c Completion) (Completed, error)
}

// Completion is what retrieve asks of a model.
type Completion struct {
	Model     string
	Messages  []Message
	MaxTokens int // of the answer
	Tags      map[string]string
	Epochs    string // of the collections that the passages are from: no answer may be kept beyond them
}

// Message is one turn of a chat.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Completed is what the model said and what that took.
type Completed struct {
	Text        string
	Model       string // as the caller names it
	Fingerprint string // the provider's system_fingerprint
	CallID      string
	Usage       llm.Usage
	Cost        money.Nanos
	Priced      bool
}
