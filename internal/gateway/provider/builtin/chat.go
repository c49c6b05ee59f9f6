package builtin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// note stands in every answer, beside the text.
const note = "Extractive: every sentence is quoted from the passages given, by rules and no language model."

type chatRequest struct {
	Messages      []message       `json:"messages"`
	N             *int            `json:"n"`
	MaxTokens     int             `json:"max_tokens"`
	MaxCompletion int             `json:"max_completion_tokens"`
	Tools         json.RawMessage `json:"tools"`
	Format        struct {
		Type string `json:"type"`
	} `json:"response_format"`
	StreamOptions struct {
		Usage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type chatResponse struct {
	ID          string   `json:"id"`
	Object      string   `json:"object"`
	Created     int64    `json:"created"`
	Model       string   `json:"model"`
	Fingerprint string   `json:"system_fingerprint"`
	Choices     []choice `json:"choices"`
	Usage       *usage   `json:"usage,omitempty"`
	Airfield    *about   `json:"airfield,omitempty"`
}

type about struct {
	Extractive bool   `json:"extractive"`
	Note       string `json:"note"`
}

type choice struct {
	Index   int     `json:"index"`
	Message *turn   `json:"message,omitempty"`
	Delta   *turn   `json:"delta,omitempty"`
	Finish  *string `json:"finish_reason"`
}

type turn struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content"`
}

func (p *Provider) chat(a *gateway.Attempt) (*gateway.Response, error) {
	var q chatRequest
	if err := json.Unmarshal(a.Body, &q); err != nil {
		return refuse(fault.New(fault.Invalid, "invalid_request", "the request cannot be read: %s", err)), nil
	}
	if f := q.check(); f != nil {
		return refuse(f), nil
	}
	var text string
	finish := "stop"
	question, passages := readPrompt(q.Messages)
	if len(passages) == 0 {
		text = noPassages
	} else {
		cut := false
		if text, cut = p.answerer.answer(question, passages, max(q.MaxTokens, q.MaxCompletion)); cut {
			finish = "length"
		}
	}
	var in int64
	for _, m := range q.Messages {
		in += int64(Tokens(m.text()))
	}
	out := int64(Tokens(text))
	used := &usage{Prompt: in, Completion: &out, Total: in + out}
	read := gateway.Reading{Usage: llm.Usage{Input: in, Output: out, Source: llm.Counted}, Output: out, Finish: finish}
	r := chatResponse{
		ID: "chatcmpl-" + a.CallID, Object: "chat.completion", Created: time.Now().Unix(), Model: a.Model, Fingerprint: AnswerFingerprint,
		Airfield: &about{Extractive: true, Note: note},
	}
	if a.Stream {
		return stream(r, text, finish, used, q.StreamOptions.Usage, read)
	}
	r.Choices = []choice{{Message: &turn{Role: "assistant", Content: text}, Finish: &finish}}
	r.Usage = used
	return answered(r, read)
}

func (q chatRequest) check() *fault.Fault {
	cannot := func(field, format string, args ...any) *fault.Fault {
		return fault.New(fault.Invalid, "unsupported_parameter", "%s %s", gateway.BuiltinAnswer, fmt.Sprintf(format, args...)).At(field)
	}
	switch {
	case len(q.Messages) == 0:
		return fault.New(fault.Invalid, "invalid_request", "messages is empty").At("messages")
	case q.N != nil && *q.N != 1:
		return cannot("n", "gives one answer, not %d", *q.N)
	case len(q.Tools) > 0 && string(q.Tools) != "null" && string(q.Tools) != "[]":
		return cannot("tools", "calls no tools")
	case q.Format.Type != "" && q.Format.Type != "text":
		return cannot("response_format", "writes text, not %s", q.Format.Type)
	}
	return nil
}

// stream writes the answer as server-sent events, a few words each.
func stream(r chatResponse, text, finish string, used *usage, showUsage bool, read gateway.Reading) (*gateway.Response, error) {
	r.Object = "chat.completion.chunk"
	var b bytes.Buffer
	event := func() error {
		data, err := json.Marshal(r)
		if err == nil {
			fmt.Fprintf(&b, "data: %s\n\n", data)
		}
		return err
	}
	var turns []choice
	turns = append(turns, choice{Delta: &turn{Role: "assistant"}})
	for len(text) > 0 {
		end := len(text)
		if space := strings.IndexByte(text[min(24, end):], ' '); space >= 0 {
			end = min(24, end) + space + 1
		}
		turns = append(turns, choice{Delta: &turn{Content: text[:end]}})
		text = text[end:]
	}
	turns = append(turns, choice{Delta: &turn{}, Finish: &finish})
	for _, c := range turns {
		r.Choices = []choice{c}
		if err := event(); err != nil {
			return nil, fmt.Errorf("write event: %w", err)
		}
	}
	if showUsage {
		r.Choices, r.Usage = []choice{}, used
		if err := event(); err != nil {
			return nil, fmt.Errorf("write event: %w", err)
		}
	}
	b.WriteString("data: [DONE]\n\n")
	out := response(http.StatusOK, "text/event-stream", b.Bytes(), read)
	out.Stream = true
	return out, nil
}
