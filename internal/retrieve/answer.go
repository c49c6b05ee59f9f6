package retrieve

import (
	"context"
	"errors"

	"airfield/internal/index"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Refusal is the whole text of an answer that the documents do not hold. Models are told to write exactly this.
const Refusal = "Not found in the documents."

// Ask is a question to collections.
type Ask struct {
	Collections []string
	Question    string
	Model       string // "": the first collection's answer_model, else the configured default
	Limit       int    // passages; 0: the configured default
	Filter      index.Filter
	MaxTokens   int // of the answer; 0: the configured default
	Tags        map[string]string
}

// Citation is the place an answer's [n] points to.
type Citation struct {
	N          int      `json:"n"`
	Collection string   `json:"collection"`
	Document   string   `json:"document"` // its title, or the file's name
	DocumentID string   `json:"document_id"`
	Name       string   `json:"name"`
	Version    int      `json:"version"`
	VersionID  string   `json:"version_id"`
	PageFrom   int      `json:"page_from,omitempty"`
	PageTo     int      `json:"page_to,omitempty"`
	Heading    []string `json:"heading"`
	ChunkID    string   `json:"chunk_id"`
	Passage    string   `json:"passage"`
	Quote      string   `json:"quote"` // the passage's sentence that the answer rests on
}

// Answer is a cited answer, or the refusal with Found false.
type Answer struct {
	Text       string      `json:"text"`
	Found      bool        `json:"found"`
	Reason     string      `json:"reason,omitempty"` // why nothing was found: no_passages, not_answered, not_cited
	Citations  []Citation  `json:"citations"`
	Model      string      `json:"model,omitempty"` // empty where no model was asked
	Extractive bool        `json:"extractive"`      // made of sentences of the documents, by no language model
	CallID     string      `json:"call_id,omitempty"`
	TraceID    string      `json:"trace_id"`
	Usage      llm.Usage   `json:"usage"`
	Cost       money.Nanos `json:"-"`
	Priced     bool        `json:"priced"`
	Passages   []Passage   `json:"-"` // what the model was shown, in the order of n
}

// Answer answers from the documents the caller may see, with citations, or says that they do not hold it.
func (r *Retriever) Answer(ctx context.Context, a Ask) (Answer, error) {
	return Answer{}, errors.ErrUnsupported
}
