package chat

import (
	"encoding/json"
	"errors"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// NewReader reads a streamed chat completion.
func (Dialect) NewReader() neutral.Reader { return &reader{open: -1} }

// reader makes parts of the pieces: an endpoint only says what is added, not what begins and ends.
type reader struct {
	begun   bool
	over    bool
	id      string
	parts   int
	open    int // the part that is being written; -1 for none
	kind    neutral.PartKind
	call    int    // of the open tool call: the endpoint's index
	callID  string // and its id as it was given
	last    int    // the highest index of a tool call
	calls   int
	refused bool
	finish  string
	usage   llm.Usage
	service string
}

// chunk is an event.
type chunk struct {
	ID      string `json:"id"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []struct {
		Index  int    `json:"index"`
		Delta  turn   `json:"delta"`
		Finish string `json:"finish_reason"`
	} `json:"choices"`
	Usage   json.RawMessage `json:"usage"`
	Groq    json.RawMessage `json:"x_groq"`
	Service json.RawMessage `json:"service_tier"`
	Error   json.RawMessage `json:"error"`
}

func (r *reader) Read(data []byte, emit func(*neutral.Event)) error {
	if r.over {
		return nil
	}
	if string(data) == end {
		if !r.begun {
			return errors.New("it ends before it has begun")
		}
		r.finished(emit)
		return nil
	}
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return err
	}
	if present(c.Error) != nil {
		e := &neutral.Error{}
		readProblem(e, c.Error)
		complete(e)
		r.over = true
		emit(&neutral.Event{Kind: neutral.Failed, Err: e})
		return nil
	}
	if !r.begun && (c.ID != "" || len(c.Choices) > 0) { // Azure first tells what its filter says of the prompt, of no answer
		r.begun, r.id = true, c.ID
		begin := neutral.Answer{ID: c.ID, Model: c.Model}
		if c.Created > 0 {
			begin.Created = time.Unix(c.Created, 0)
		}
		emit(&neutral.Event{Kind: neutral.Begin, Answer: begin})
	}
	if c.Usage != nil {
		ReadUsage(c.Usage, &r.usage)
	}
	if c.Groq != nil {
		ReadGroq(c.Groq, &r.usage)
	}
	if s := ReadService(c.Service); s != "" {
		r.service = s
	}
	for i := range c.Choices {
		if c.Choices[i].Index != 0 {
			continue // only one was asked for
		}
		if err := r.delta(&c.Choices[i].Delta, emit); err != nil {
			return err
		}
		if c.Choices[i].Finish != "" {
			r.finish = c.Choices[i].Finish
		}
	}
	return nil
}

func (r *reader) delta(t *turn, emit func(*neutral.Event)) error {
	for i := range t.Details {
		d := &t.Details[i]
		r.add(neutral.Reasoning, neutral.Part{Kind: neutral.Reasoning, Text: d.Text + d.Summary, Data: d.Data, Signature: d.Signature}, emit)
		if d.Data != "" || d.Signature != "" {
			r.shut(emit)
		}
	}
	if text, field := t.plainThought(); text != "" && len(t.Details) == 0 {
		r.add(neutral.Reasoning, neutral.Part{Kind: neutral.Reasoning, Text: text, Name: field}, emit)
	}
	if text := contentText(t.Content); text != "" {
		r.add(neutral.Text, neutral.Part{Kind: neutral.Text, Text: text}, emit)
	}
	if t.Refusal != "" {
		r.refused = true
		r.add(neutral.Refusal, neutral.Part{Kind: neutral.Refusal, Text: t.Refusal}, emit)
	}
	for i := range t.Calls {
		if err := r.toolCall(&t.Calls[i], emit); err != nil {
			return err
		}
	}
	return nil
}

// toolCall adds to the open call, or opens the next. Some endpoints give every call the index 0, and an id of its own.
func (r *reader) toolCall(c *toolCall, emit func(*neutral.Event)) error {
	at := r.call
	if c.Index != nil {
		at = *c.Index
	}
	same := r.open >= 0 && r.kind == neutral.ToolCall && at == r.call && (c.ID == "" || c.ID == r.callID)
	if !same {
		if r.calls > 0 && (c.ID == "" && at <= r.last || c.ID != "" && c.ID == r.callID) {
			return errors.New("a tool call goes on after another has begun")
		}
		r.shut(emit)
		r.call, r.callID, r.last = at, c.ID, max(at, r.last)
		r.begin(neutral.Part{Kind: neutral.ToolCall, ID: callID(c.ID, r.id, r.calls), Name: c.Function.Name}, emit)
		r.calls++
	}
	if c.Function.Arguments != "" || c.signature() != "" {
		emit(&neutral.Event{Kind: neutral.Delta, Index: r.open, Part: neutral.Part{Kind: neutral.ToolCall, Text: c.Function.Arguments, Signature: c.signature()}})
	}
	return nil
}

func (r *reader) add(kind neutral.PartKind, p neutral.Part, emit func(*neutral.Event)) {
	if r.open < 0 || r.kind != kind {
		r.shut(emit)
		r.begin(neutral.Part{Kind: kind, Name: p.Name}, emit)
	}
	emit(&neutral.Event{Kind: neutral.Delta, Index: r.open, Part: p})
}

func (r *reader) begin(p neutral.Part, emit func(*neutral.Event)) {
	r.open, r.kind = r.parts, p.Kind
	r.parts++
	emit(&neutral.Event{Kind: neutral.Open, Index: r.open, Part: p})
}

func (r *reader) shut(emit func(*neutral.Event)) {
	if r.open >= 0 {
		emit(&neutral.Event{Kind: neutral.Close, Index: r.open, Part: neutral.Part{Kind: r.kind}})
		r.open = -1
	}
}

// End finishes an answer whose end mark was not sent: why the generation ended tells a whole answer from a torn one.
func (r *reader) End(emit func(*neutral.Event)) {
	if !r.over && r.finish != "" {
		r.finished(emit)
	}
}

// Used is what the last running total said: most endpoints say it only at the end.
func (r *reader) Used() llm.Usage { return r.usage }

func (r *reader) finished(emit func(*neutral.Event)) {
	r.over = true
	r.shut(emit)
	emit(&neutral.Event{Kind: neutral.Finish, Answer: neutral.Answer{Stop: stopOf(r.finish, r.calls > 0, r.refused), Usage: r.usage, Service: r.service}})
}

// NewWriter writes a streamed chat completion.
func (Surface) NewWriter(*neutral.Request) neutral.Writer { return &writer{calls: map[int]int{}} }

type writer struct {
	head    completion
	kinds   []neutral.PartKind
	calls   map[int]int  // the index of a tool call by that of its part
	said    map[int]bool // tool calls that have arguments
	thought int          // the index of the thought that is being told
	refused bool
}

func (w *writer) Write(b []byte, e *neutral.Event) []byte {
	switch e.Kind {
	case neutral.Begin:
		w.head = completion{ID: e.Answer.ID, Object: "chat.completion.chunk", Created: created(e.Answer.Created), Model: e.Answer.Model}
		empty := ""
		return w.piece(b, &told{Role: "assistant", Content: &empty}, nil)
	case neutral.Open:
		return w.open(b, e)
	case neutral.Delta:
		return w.delta(b, e)
	case neutral.Close:
		if n, ok := w.calls[e.Index]; ok && !w.said[e.Index] {
			c := toolCall{Index: &n}
			c.Function.Arguments = "{}"
			return w.piece(b, &told{Calls: []toolCall{c}}, nil)
		}
	case neutral.Finish:
		finish := finishOf(e.Answer.Stop, w.refused)
		w.head.Service = e.Answer.Service
		b = w.piece(b, &told{}, &finish)
		if u := usageOf(&e.Answer.Usage); u != nil {
			last := w.head
			last.Choices, last.Usage = []choice{}, u
			b = event(b, encode(last))
		}
		return event(b, []byte(end))
	case neutral.Failed:
		return event(b, Surface{}.WriteError(e.Err))
	}
	return b
}

func (w *writer) open(b []byte, e *neutral.Event) []byte {
	for len(w.kinds) <= e.Index {
		w.kinds = append(w.kinds, e.Part.Kind)
	}
	switch e.Part.Kind {
	case neutral.Refusal:
		w.refused = true
	case neutral.Reasoning:
		w.thought++
	case neutral.ToolCall:
		n := len(w.calls)
		w.calls[e.Index] = n
		c := callOf(&e.Part)
		c.Index = &n
		return w.piece(b, &told{Calls: []toolCall{c}}, nil)
	}
	return b
}

func (w *writer) delta(b []byte, e *neutral.Event) []byte {
	if e.Index < 0 || e.Index >= len(w.kinds) {
		return b
	}
	p := e.Part
	switch w.kinds[e.Index] {
	case neutral.Text:
		if p.Text != "" {
			return w.piece(b, &told{Content: &p.Text}, nil)
		}
	case neutral.Refusal:
		if p.Text != "" {
			return w.piece(b, &told{Refusal: &p.Text}, nil)
		}
	case neutral.Reasoning:
		return w.piece(b, &told{Thought: p.Text, Details: []detail{detailOf(&p, w.thought-1)}}, nil)
	case neutral.ToolCall:
		if p.Text == "" && p.Signature == "" {
			return b
		}
		if w.said == nil {
			w.said = map[int]bool{}
		}
		w.said[e.Index] = w.said[e.Index] || p.Text != ""
		n := w.calls[e.Index]
		c := toolCall{Index: &n}
		c.Function.Arguments = p.Text
		if p.Signature != "" {
			c.Extra = callOf(&p).Extra
		}
		return w.piece(b, &told{Calls: []toolCall{c}}, nil)
	}
	return b
}

// piece appends a chunk of the one choice.
func (w *writer) piece(b []byte, delta *told, finish *string) []byte {
	w.head.Choices = []choice{{Delta: delta, Finish: finish}}
	return event(b, encode(w.head))
}

func event(b, data []byte) []byte {
	return append(append(append(b, "data: "...), data...), "\n\n"...)
}
