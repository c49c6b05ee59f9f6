package responses

import (
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
	"airfield/internal/id"
)

// NewWriter writes a streamed answer.
func (Surface) NewWriter(q *neutral.Request) neutral.Writer { return &writer{q: q} }

// writer tells an answer as it comes: every item is added, its content told in pieces, and done.
type writer struct {
	q        *neutral.Request
	quiet    bool // nobody listens: only the whole is wanted
	response *response
	sequence int64
	parts    []*open
	message  *open // whose item is open: texts in a row are one message
	b        []byte
}

// open is a part on its way, and the item that it is in.
type open struct {
	part    neutral.Part // its text only once it is closed
	text    []byte       // what came of it: added to with each of very many pieces
	output  int          // the item's index
	content int          // the part's index in a message
	id      string
	closed  bool
	said    bool // of a thought: that it has a text
}

// event is one server-sent event. Fields that an event has not are left out.
type event struct {
	Type     string    `json:"type"`
	Sequence int64     `json:"sequence_number"`
	Response *response `json:"response,omitempty"`
	Output   *int      `json:"output_index,omitempty"`
	ItemID   string    `json:"item_id,omitempty"`
	Content  *int      `json:"content_index,omitempty"`
	Summary  *int      `json:"summary_index,omitempty"`
	Item     any       `json:"item,omitempty"`
	Part     any       `json:"part,omitempty"`
	Delta    *string   `json:"delta,omitempty"`
	Text     *string   `json:"text,omitempty"`
	Refusal  *string   `json:"refusal,omitempty"`
	Name     string    `json:"name,omitempty"`

	Arguments *string `json:"arguments,omitempty"`
	Logprobs  *[]any  `json:"logprobs,omitempty"`
}

func (w *writer) tell(e event) {
	if w.quiet {
		return
	}
	e.Sequence = w.sequence
	w.sequence++
	data, err := neutral.Encode(e)
	if err != nil {
		return // the request's own JSON was read before, and everything else is text
	}
	w.b = append(append(w.b, "event: "...), e.Type...)
	w.b = append(append(append(w.b, "\ndata: "...), data...), "\n\n"...)
}

// Write appends what says e.
func (w *writer) Write(b []byte, e *neutral.Event) []byte {
	w.b = b
	if w.response == nil {
		w.response = begin(w.q, &e.Answer)
		w.tell(event{Type: "response.created", Response: w.response})
		w.tell(event{Type: "response.in_progress", Response: w.response})
	}
	switch e.Kind {
	case neutral.Open:
		w.open(e)
	case neutral.Delta:
		if p := w.at(e.Index); p != nil && !p.closed {
			w.delta(p, &e.Part)
		}
	case neutral.Close:
		if p := w.at(e.Index); p != nil && !p.closed {
			w.close(p)
		}
	case neutral.Finish:
		w.finish(&e.Answer)
	case neutral.Failed:
		w.failed(e.Err)
	}
	b, w.b = w.b, nil
	return b
}

func (w *writer) at(index int) *open {
	if index < 0 || index >= len(w.parts) {
		return nil
	}
	return w.parts[index]
}

// open adds an item, or a part to the message at the end.
func (w *writer) open(e *neutral.Event) {
	if e.Index != len(w.parts) {
		return
	}
	p := &open{part: neutral.Part{Kind: e.Part.Kind, ID: e.Part.ID, Name: e.Part.Name}}
	w.parts = append(w.parts, p)
	switch p.part.Kind {
	case neutral.Text, neutral.Refusal:
		if w.message == nil {
			p.id = id.New("msg")
			w.add(p, &message{ID: p.id, Type: "message", Status: inProgress, Role: "assistant", Content: []any{}})
		} else {
			m := w.response.Output[w.message.output].(*message)
			p.id, p.output, p.content = w.message.id, w.message.output, len(m.Content)
		}
		m := w.response.Output[p.output].(*message)
		m.Content = append(m.Content, p.shown())
		w.message = p
		w.tell(event{Type: "response.content_part.added", ItemID: p.id, Output: &p.output, Content: &p.content, Part: p.shown()})
	case neutral.ToolCall:
		w.endMessage()
		p.id = id.New("fc")
		w.add(p, &functionCall{ID: p.id, Type: "function_call", Status: inProgress, CallID: p.part.ID, Name: p.part.Name})
	case neutral.Reasoning:
		w.endMessage()
		p.id = id.New("rs")
		w.add(p, &reasoning{ID: p.id, Type: "reasoning", Status: inProgress, Summary: []summaryText{}})
	default:
		p.closed = true // nothing in this API's answers can hold it
	}
}

func (w *writer) add(p *open, item any) {
	p.output = len(w.response.Output)
	w.response.Output = append(w.response.Output, item)
	w.tell(event{Type: "response.output_item.added", Output: &p.output, Item: item})
}

// shown is a part of a message as it stands in it.
func (p *open) shown() any {
	if p.part.Kind == neutral.Refusal {
		return refused{"refusal", p.part.Text}
	}
	return outputText{"output_text", []any{}, []any{}, p.part.Text}
}

func (w *writer) delta(p *open, more *neutral.Part) {
	p.part.Data += more.Data
	p.part.Signature += more.Signature
	if more.Text == "" {
		return
	}
	p.text = append(p.text, more.Text...)
	e := event{ItemID: p.id, Output: &p.output, Content: &p.content, Delta: &more.Text}
	switch p.part.Kind {
	case neutral.Text:
		e.Type, e.Logprobs = "response.output_text.delta", &[]any{}
	case neutral.Refusal:
		e.Type = "response.refusal.delta"
	case neutral.ToolCall:
		e.Type, e.Content = "response.function_call_arguments.delta", nil
	case neutral.Reasoning:
		if !p.said {
			p.said = true
			w.tell(event{Type: "response.reasoning_summary_part.added", ItemID: p.id, Output: &p.output, Summary: &p.content, Part: summaryText{"summary_text", ""}})
		}
		e.Type, e.Content, e.Summary = "response.reasoning_summary_text.delta", nil, &p.content
	}
	w.tell(e)
}

// close ends a part; the item of a message is ended by what follows it.
func (w *writer) close(p *open) {
	p.closed = true
	p.part.Text = string(p.text)
	all := p.part.Text
	switch p.part.Kind {
	case neutral.Text, neutral.Refusal:
		done := event{Type: "response.output_text.done", ItemID: p.id, Output: &p.output, Content: &p.content, Text: &all, Logprobs: &[]any{}}
		if p.part.Kind == neutral.Refusal {
			done.Type, done.Refusal, done.Text, done.Logprobs = "response.refusal.done", &all, nil, nil
		}
		w.tell(done)
		w.response.Output[p.output].(*message).Content[p.content] = p.shown()
		w.tell(event{Type: "response.content_part.done", ItemID: p.id, Output: &p.output, Content: &p.content, Part: p.shown()})
		if w.message == nil || w.message.id != p.id {
			w.endItem(p)
		}
	case neutral.ToolCall:
		call := w.response.Output[p.output].(*functionCall)
		if all == "" {
			all = "{}"
		}
		call.Arguments, call.Status = all, completed
		w.tell(event{Type: "response.function_call_arguments.done", ItemID: p.id, Output: &p.output, Name: call.Name, Arguments: &all})
		w.tell(event{Type: "response.output_item.done", Output: &p.output, Item: call})
		if p.part.Signature != "" {
			s := &open{part: p.part, id: id.New("rs")}
			w.add(s, &reasoning{ID: s.id, Type: "reasoning", Status: inProgress, Summary: []summaryText{}})
			w.endThought(s)
		}
	case neutral.Reasoning:
		if p.said {
			w.tell(event{Type: "response.reasoning_summary_text.done", ItemID: p.id, Output: &p.output, Summary: &p.content, Text: &all})
			w.tell(event{Type: "response.reasoning_summary_part.done", ItemID: p.id, Output: &p.output, Summary: &p.content, Part: summaryText{"summary_text", all}})
			w.response.Output[p.output].(*reasoning).Summary = []summaryText{{"summary_text", all}}
		}
		w.endThought(p)
	}
}

func (w *writer) endThought(p *open) {
	r := w.response.Output[p.output].(*reasoning)
	r.Status, r.Encrypted = completed, seal(&p.part)
	w.tell(event{Type: "response.output_item.done", Output: &p.output, Item: r})
}

// endMessage lets no more texts into the message at the end.
func (w *writer) endMessage() {
	if last := w.message; last != nil {
		w.message = nil
		w.endItem(last)
	}
}

// endItem ends the item of a message, once all of its parts are closed.
func (w *writer) endItem(of *open) {
	for _, p := range w.parts {
		if p.id == of.id && !p.closed {
			return
		}
	}
	m := w.response.Output[of.output].(*message)
	m.Status = completed
	w.tell(event{Type: "response.output_item.done", Output: &of.output, Item: m})
}

func (w *writer) finish(a *neutral.Answer) {
	for _, p := range w.parts {
		if !p.closed {
			w.close(p)
		}
	}
	w.endMessage()
	w.response.end(a)
	w.tell(event{Type: "response." + w.response.Status, Response: w.response})
}

// failed ends the answer with the provider's own error: what was said until then stays in it.
func (w *writer) failed(e *neutral.Error) {
	for _, p := range w.parts {
		if p.closed {
			continue
		}
		p.part.Text = string(p.text)
		if m, ok := w.response.Output[p.output].(*message); ok {
			m.Content[p.content] = p.shown()
		}
	}
	w.response.Status, w.response.Error = "failed", &problem{Code: "server_error", Message: e.Message}
	if e.Type == "rate_limit_error" {
		w.response.Error.Code = "rate_limit_exceeded"
	}
	w.tell(event{Type: "response.failed", Response: w.response})
}

// Classify says what one of the surface's own events is.
func (Surface) Classify(data []byte) neutral.Class {
	for o := scan.Object(data); o.Next(); {
		if string(o.Key) != "type" {
			continue
		}
		switch kind, _ := scan.Text(o.Value); kind {
		case "response.completed", "response.incomplete":
			return neutral.Done
		case "response.failed", "error":
			return neutral.Failure
		}
		return neutral.Content
	}
	return neutral.Content
}
