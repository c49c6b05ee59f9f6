package bedrock

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// event is one event of ConverseStream as frames.go writes it: under its type, its payload.
type event struct {
	Head       *head `json:"head"` // before all others
	BlockStart *struct {
		Index int `json:"contentBlockIndex"`
		Start struct {
			ToolUse *toolUse `json:"toolUse"`
		} `json:"start"`
	} `json:"contentBlockStart"`
	BlockDelta *struct {
		Index int   `json:"contentBlockIndex"`
		Delta delta `json:"delta"`
	} `json:"contentBlockDelta"`
	BlockStop *struct {
		Index int `json:"contentBlockIndex"`
	} `json:"contentBlockStop"`
	MessageStop *struct {
		Reason     string     `json:"stopReason"`
		Additional additional `json:"additionalModelResponseFields"`
	} `json:"messageStop"`
	Metadata *struct {
		Usage   *usage       `json:"usage"`
		Service *serviceTier `json:"serviceTier"`
	} `json:"metadata"`
	Exception *exception `json:"exception"`
}

type delta struct {
	Text    *string `json:"text"`
	ToolUse *struct {
		Input string `json:"input"`
	} `json:"toolUse"`
	Reasoning *struct {
		Text      string `json:"text"`
		Signature string `json:"signature"`
		Redacted  string `json:"redactedContent"`
	} `json:"reasoningContent"`
}

// maxParts bounds what one answer opens.
const maxParts = 4096

// reader reads a streamed answer. Bedrock says that a text or a thought begins by sending its first piece, and says the
// usage after why the answer ended.
type reader struct {
	open    map[int]*openPart // by Bedrock's index
	begun   bool
	parts   int
	stopped *neutral.Answer // what Finish will say, once it is known why the answer ended
	over    bool
}

type openPart struct {
	index int
	kind  neutral.PartKind
	empty bool // nothing came for it yet
}

// NewReader reads one streamed answer.
func (dialect) NewReader() neutral.Reader { return &reader{open: map[int]*openPart{}} }

func (r *reader) Read(data []byte, emit func(*neutral.Event)) error {
	if r.over {
		return errors.New("an event came after the last")
	}
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if !r.begun && e.Exception == nil {
		if e.Head == nil {
			return errors.New("an event came before the first")
		}
		r.begun = true
		emit(&neutral.Event{Kind: neutral.Begin, Answer: neutral.Answer{ID: e.Head.ID, Model: e.Head.Model}})
	}
	switch {
	case e.Exception != nil:
		r.over = true
		emit(&neutral.Event{Kind: neutral.Failed, Err: e.Exception.read(0)})
	case e.BlockStart != nil && e.BlockStart.Start.ToolUse != nil:
		call := e.BlockStart.Start.ToolUse
		_, err := r.begin(e.BlockStart.Index, neutral.Part{Kind: neutral.ToolCall, ID: call.ID, Name: call.Name}, emit)
		return err
	case e.BlockDelta != nil:
		return r.delta(e.BlockDelta.Index, &e.BlockDelta.Delta, emit)
	case e.BlockStop != nil:
		r.end(e.BlockStop.Index, emit)
	case e.MessageStop != nil:
		for _, at := range slices.Sorted(maps.Keys(r.open)) {
			r.end(at, emit)
		}
		stop, ok := stopOf(e.MessageStop.Reason)
		if !ok {
			r.over = true
			emit(&neutral.Event{Kind: neutral.Failed, Err: &neutral.Error{Status: 502, Type: "server_error", Code: e.MessageStop.Reason, Message: "what the model said makes no sense"}})
			return nil
		}
		r.stopped = &neutral.Answer{Stop: stop, Sequence: e.MessageStop.Additional.Sequence}
	case e.Metadata != nil && r.stopped != nil:
		r.stopped.Usage, r.stopped.Service = e.Metadata.Usage.read(), e.Metadata.Service.read()
		r.End(emit)
	}
	return nil
}

// End emits the Finish of an answer whose usage did not come.
func (r *reader) End(emit func(*neutral.Event)) {
	if r.stopped == nil || r.over {
		return
	}
	r.over = true
	emit(&neutral.Event{Kind: neutral.Finish, Answer: *r.stopped})
}

// Used is nothing before the end: Bedrock says it last.
func (r *reader) Used() llm.Usage {
	if r.stopped == nil {
		return llm.Usage{}
	}
	return r.stopped.Usage
}

func (r *reader) begin(at int, p neutral.Part, emit func(*neutral.Event)) (*openPart, error) {
	if r.open[at] != nil || r.stopped != nil || r.parts == maxParts {
		return nil, fmt.Errorf("block %d begins where none can", at)
	}
	o := &openPart{index: r.parts, kind: p.Kind, empty: true}
	r.open[at] = o
	r.parts++
	emit(&neutral.Event{Kind: neutral.Open, Index: o.index, Part: p})
	return o, nil
}

func (r *reader) delta(at int, d *delta, emit func(*neutral.Event)) (err error) {
	var p neutral.Part
	switch {
	case d.Text != nil:
		p.Text = *d.Text
	case d.ToolUse != nil:
		p.Kind, p.Text = neutral.ToolCall, d.ToolUse.Input
	case d.Reasoning != nil:
		p = neutral.Part{Kind: neutral.Reasoning, Text: d.Reasoning.Text, Signature: d.Reasoning.Signature, Data: d.Reasoning.Redacted}
	default:
		return nil // of a kind that no caller has a place for
	}
	o := r.open[at]
	if o == nil && p.Kind != neutral.ToolCall {
		if o, err = r.begin(at, neutral.Part{Kind: p.Kind}, emit); err != nil {
			return err
		}
	}
	if o == nil || o.kind != p.Kind {
		return fmt.Errorf("block %d goes on as something else", at)
	}
	if p.Text == "" && p.Signature == "" && p.Data == "" {
		return nil
	}
	o.empty = false
	emit(&neutral.Event{Kind: neutral.Delta, Index: o.index, Part: p})
	return nil
}

// end closes a part. A call without arguments has none sent; they are an empty object.
func (r *reader) end(at int, emit func(*neutral.Event)) {
	o := r.open[at]
	if o == nil {
		return
	}
	delete(r.open, at)
	if o.empty && o.kind == neutral.ToolCall {
		emit(&neutral.Event{Kind: neutral.Delta, Index: o.index, Part: neutral.Part{Kind: neutral.ToolCall, Text: "{}"}})
	}
	emit(&neutral.Event{Kind: neutral.Close, Index: o.index})
}
