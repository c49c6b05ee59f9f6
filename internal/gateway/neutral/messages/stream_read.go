package messages

import (
	"encoding/json"
	"errors"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// NewReader reads a streamed message.
func (Dialect) NewReader() neutral.Reader { return &reader{blocks: map[int]int{}} }

type reader struct {
	begun    bool
	over     bool
	parts    int
	blocks   map[int]int // the part of each block that is open; one that is not told has none
	kind     neutral.PartKind
	input    string // of the open tool call, where it came as a whole
	counts   Counts
	stop     string
	sequence string
	refusal  string
	service  string
}

// event is any event of the API.
type event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message struct {
		ID    string          `json:"id"`
		Model string          `json:"model"`
		Usage json.RawMessage `json:"usage"`
	} `json:"message"`
	Block block `json:"content_block"`
	Delta struct {
		Type      string          `json:"type"`
		Text      string          `json:"text"`
		JSON      string          `json:"partial_json"`
		Thinking  string          `json:"thinking"`
		Signature string          `json:"signature"`
		Citation  json.RawMessage `json:"citation"`
		Stop      string          `json:"stop_reason"`
		Sequence  string          `json:"stop_sequence"`
		Details   *details        `json:"stop_details"`
	} `json:"delta"`
	Usage json.RawMessage `json:"usage"`
	Error json.RawMessage `json:"error"`
}

func (r *reader) Read(data []byte, emit func(*neutral.Event)) error {
	if r.over {
		return nil
	}
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	switch e.Type {
	case "message_start":
		if r.begun {
			return errors.New("it begins twice")
		}
		r.begun = true
		r.counts.Begin(e.Message.Usage)
		r.service = ReadService(e.Message.Usage)
		emit(&neutral.Event{Kind: neutral.Begin, Answer: neutral.Answer{ID: e.Message.ID, Model: e.Message.Model, Usage: r.counts.Usage()}})
	case "error":
		problem := &neutral.Error{}
		readProblem(problem, e.Error)
		complete(problem)
		r.over = true
		emit(&neutral.Event{Kind: neutral.Failed, Err: problem})
	case "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop":
		if !r.begun {
			return errors.New("it does not begin with message_start")
		}
		return r.next(&e, emit)
	}
	return nil // ping, and what there may be once
}

func (r *reader) next(e *event, emit func(*neutral.Event)) error {
	switch e.Type {
	case "content_block_start":
		return r.open(e, emit)
	case "content_block_delta":
		if at, ok := r.blocks[e.Index]; ok {
			r.delta(at, e, emit)
		}
	case "content_block_stop":
		if at, ok := r.blocks[e.Index]; ok {
			r.shut(e.Index, at, emit)
		}
	case "message_delta":
		r.counts.Read(e.Usage)
		if s := ReadService(e.Usage); s != "" {
			r.service = s
		}
		if e.Delta.Stop != "" {
			r.stop, r.sequence = e.Delta.Stop, e.Delta.Sequence
		}
		if e.Delta.Details != nil {
			r.refusal = e.Delta.Details.Explanation
		}
	case "message_stop":
		r.finished(emit)
	}
	return nil
}

func (r *reader) open(e *event, emit func(*neutral.Event)) error {
	if len(r.blocks) > 0 {
		return errors.New("a block begins before the one before it has ended")
	}
	p, ok := e.Block.answered()
	if !ok {
		return nil
	}
	at := r.parts
	r.parts++
	r.blocks[e.Index], r.kind, r.input = at, p.Kind, ""
	emit(&neutral.Event{Kind: neutral.Open, Index: at, Part: neutral.Part{Kind: p.Kind, ID: p.ID, Name: p.Name}})
	if p.Kind == neutral.ToolCall {
		if p.Text != "{}" && p.Text != "null" {
			r.input = p.Text // told at the end, unless it comes in pieces
		}
		return nil
	}
	if p.Text != "" || p.Data != "" || p.Signature != "" {
		emit(&neutral.Event{Kind: neutral.Delta, Index: at, Part: neutral.Part{Kind: p.Kind, Text: p.Text, Data: p.Data, Signature: p.Signature}})
	}
	return nil
}

func (r *reader) delta(at int, e *event, emit func(*neutral.Event)) {
	p := neutral.Part{Kind: r.kind}
	switch d := &e.Delta; d.Type {
	case "text_delta":
		p.Text = d.Text
	case "input_json_delta":
		if p.Text = d.JSON; p.Text != "" {
			r.input = ""
		}
	case "thinking_delta":
		p.Text = d.Thinking
	case "signature_delta":
		p.Signature = d.Signature
	case "citations_delta":
		p.Citations = []json.RawMessage{d.Citation}
	}
	if p.Text != "" || p.Signature != "" || p.Citations != nil {
		emit(&neutral.Event{Kind: neutral.Delta, Index: at, Part: p})
	}
}

func (r *reader) shut(index, at int, emit func(*neutral.Event)) {
	if r.input != "" {
		emit(&neutral.Event{Kind: neutral.Delta, Index: at, Part: neutral.Part{Kind: r.kind, Text: r.input}})
		r.input = ""
	}
	delete(r.blocks, index)
	emit(&neutral.Event{Kind: neutral.Close, Index: at, Part: neutral.Part{Kind: r.kind}})
}

// End finishes an answer whose end mark was not sent: why the generation ended tells a whole answer from a torn one.
func (r *reader) End(emit func(*neutral.Event)) {
	if !r.over && r.stop != "" {
		r.finished(emit)
	}
}

// Used is the prompt, which message_start reports.
func (r *reader) Used() llm.Usage { return r.counts.Usage() }

func (r *reader) finished(emit func(*neutral.Event)) {
	r.over = true
	for index, at := range r.blocks {
		r.shut(index, at, emit)
	}
	stop := stopOf(r.stop)
	if stop == neutral.Refused && r.refusal != "" {
		p := neutral.Part{Kind: neutral.Refusal, Text: r.refusal}
		emit(&neutral.Event{Kind: neutral.Open, Index: r.parts, Part: neutral.Part{Kind: neutral.Refusal}})
		emit(&neutral.Event{Kind: neutral.Delta, Index: r.parts, Part: p})
		emit(&neutral.Event{Kind: neutral.Close, Index: r.parts, Part: neutral.Part{Kind: neutral.Refusal}})
	}
	emit(&neutral.Event{Kind: neutral.Finish, Answer: neutral.Answer{Stop: stop, Sequence: r.sequence, Usage: r.counts.Usage(), Service: r.service}})
}
