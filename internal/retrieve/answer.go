package retrieve

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"airfield/internal/caller"
	"airfield/internal/fault"
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
	Mode        Mode // of the search; "" is hybrid
	MaxTokens   int  // of the answer; 0: the configured default
	Tags        map[string]string
}

// Citation is the place an answer's [n] points to.
type Citation struct {
	N          int      `json:"n"`
	Collection string   `json:"collection"`
	Document   string   `json:"document"` // its title, or the file's name
	DocumentID string   `json:"document_id"`
	Name       string   `json:"name"`       // the file's
	SourceKey  string   `json:"source_key"` // its name in its source
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
	Text        string      `json:"text"`
	Found       bool        `json:"found"`
	Reason      string      `json:"reason,omitempty"` // why nothing was found: no_passages, not_answered, not_cited
	Citations   []Citation  `json:"citations"`
	Model       string      `json:"model,omitempty"` // empty where no model was asked
	Extractive  bool        `json:"extractive"`      // made of sentences of the documents, by no language model
	CallID      string      `json:"call_id,omitempty"`
	TraceID     string      `json:"trace_id"`
	Traceparent string      `json:"-"` // of the answer's own span, for the caller
	Usage       llm.Usage   `json:"usage"`
	Cost        money.Nanos `json:"-"`
	Priced      bool        `json:"priced"`
	Passages    []Passage   `json:"-"` // what the model was shown, in the order of n
}

// Reasons of an answer that was not found.
const (
	NoPassages  = "no_passages"  // the search found nothing this caller may see
	NotAnswered = "not_answered" // the model says that the passages do not answer
	NotCited    = "not_cited"    // the model's answer points to no passage, so nothing supports it
)

// extractive begins the fingerprint of answers that only quote.
const extractive = "airfield-extractive"

// Answer answers from the documents the caller may see, with citations, or says that they do not hold it. An answer
// without a citation that points to a passage is no answer.
func (r *Retriever) Answer(ctx context.Context, a Ask) (out Answer, err error) {
	ctx, span := r.Tracer.Start(ctx, "answer")
	defer func() { span.Done(err) }()
	limit := a.Limit
	if limit == 0 {
		limit = r.config.Passages
	}
	if a.MaxTokens < 0 {
		return out, fault.New(fault.Invalid, "max_tokens", "max_tokens must not be negative").At("max_tokens")
	}
	if len(a.Question) > maxQuestion {
		return out, fault.New(fault.TooLarge, "question_too_large", "the question has %d bytes, at most %d are read", len(a.Question), maxQuestion).At("question")
	}
	out = Answer{Text: Refusal, Reason: NoPassages, Citations: []Citation{}, Priced: true, TraceID: span.TraceID, Traceparent: span.Traceparent()}
	collections, err := r.resolve(ctx, caller.From(ctx), a.Collections) // before the search: an epoch may be too old, never too new
	if err != nil {
		return out, err
	}
	found, err := r.Search(ctx, Request{Collections: a.Collections, Query: a.Question, Limit: limit, Filter: a.Filter, Mode: a.Mode})
	if err != nil {
		return out, err
	}
	out.Passages = fit(found.Passages, r.config.PassageTokens)
	if len(out.Passages) == 0 {
		span.Set("reason", out.Reason)
		return out, nil
	}
	model := cmp.Or(a.Model, collections[0].answerModel, r.config.AnswerModel)
	done, err := r.Completer.Complete(ctx, Completion{Model: model, Messages: prompt(a.Question, out.Passages), MaxTokens: cmp.Or(a.MaxTokens, r.config.MaxTokens), Tags: a.Tags, Epochs: epochs(collections)})
	if err != nil {
		return out, err
	}
	out.Model, out.CallID, out.Usage, out.Cost, out.Priced = model, done.CallID, done.Usage, done.Cost, done.Priced
	out.Extractive = strings.HasPrefix(done.Fingerprint, extractive)
	text, citations := cite(done.Text, out.Passages)
	switch {
	case strings.HasPrefix(text, Refusal) || len(citations) == 0 && strings.Contains(text, strings.TrimSuffix(Refusal, ".")):
		out.Reason = NotAnswered
	case len(citations) == 0:
		out.Reason = NotCited
	default:
		out.Text, out.Citations, out.Found, out.Reason = text, citations, true, ""
	}
	span.Set("model", model)
	span.Set("reason", out.Reason)
	return out, nil
}

const maxQuestion = 8 << 10 // bytes

// Epochs names the state of collections that the caller may read, for an answer that is made from them elsewhere.
func (r *Retriever) Epochs(ctx context.Context, names []string) (string, error) {
	collections, err := r.resolve(ctx, caller.From(ctx), names)
	return epochs(collections), err
}

// epochs names the state of collections that an answer is made from.
func epochs(collections []collection) string {
	var b []byte
	for i := range collections {
		b = fmt.Appendf(b, "%s:%d ", collections[i].id, collections[i].epoch)
	}
	return string(b)
}

// fit keeps the best passages that have at most so many tokens together, and always the first.
func fit(passages []Passage, tokens int) []Passage {
	sum := 0
	for i, p := range passages {
		// A text costs what it costs, whatever its row says.
		if sum += max(p.Tokens, len(p.Text)/8); sum > tokens && i > 0 {
			return passages[:i]
		}
	}
	return passages
}
