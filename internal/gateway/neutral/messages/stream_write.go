package messages

import (
	"airfield/internal/gateway/neutral"
)

// NewWriter writes a streamed message.
func (Surface) NewWriter(*neutral.Request) neutral.Writer { return &writer{current: -1} }

// writer tells one block after the other, as the API does: what comes for a part whose turn it is not is kept.
type writer struct {
	parts   []part
	current int // the part whose block is being told; -1 for none
	blocks  int // that have begun
	refusal string
}

type part struct {
	neutral.Part            // its kind, id and name; of one whose turn has not come, what has come for it
	started, closed, filled bool
	block                   int
}

func (w *writer) Write(b []byte, e *neutral.Event) []byte {
	switch e.Kind {
	case neutral.Begin:
		begin := answer{ID: e.Answer.ID, Type: "message", Role: "assistant", Model: e.Answer.Model, Content: []any{}, Usage: usageOf(&e.Answer.Usage, e.Answer.Service)}
		b = send(b, "message_start", map[string]any{"type": "message_start", "message": begin})
		return send(b, "ping", map[string]any{"type": "ping"})
	case neutral.Open:
		w.parts = append(w.parts, part{Part: neutral.Part{Kind: e.Part.Kind, ID: e.Part.ID, Name: e.Part.Name}})
		return w.turn(b)
	case neutral.Delta:
		if e.Index < 0 || e.Index >= len(w.parts) {
			return b
		}
		if p := &w.parts[e.Index]; p.Kind == neutral.Refusal {
			w.refusal += e.Part.Text
		}
		if e.Index == w.current {
			return w.add(b, &e.Part)
		}
		p := &w.parts[e.Index]
		p.Text, p.Data, p.Signature = p.Text+e.Part.Text, p.Data+e.Part.Data, p.Signature+e.Part.Signature
	case neutral.Close:
		if e.Index < 0 || e.Index >= len(w.parts) {
			return b
		}
		w.parts[e.Index].closed = true
		return w.turn(b)
	case neutral.Finish:
		return w.finish(b, &e.Answer)
	case neutral.Failed:
		return append(append(append(b, "event: error\ndata: "...), Surface{}.WriteError(e.Err)...), "\n\n"...)
	}
	return b
}

// turn ends the block that is complete and begins the next.
func (w *writer) turn(b []byte) []byte {
	for {
		if w.current >= 0 {
			if !w.parts[w.current].closed {
				return b
			}
			b = w.stop(b)
		}
		next := w.current + 1
		if w.current < 0 {
			for next = 0; next < len(w.parts) && w.parts[next].started; {
				next++
			}
		}
		if w.current = -1; next >= len(w.parts) {
			return b
		}
		w.current = next
		p := &w.parts[next]
		p.started = true
		kept := p.Part
		if kept.Kind != neutral.Reasoning { // how a thought begins is known when something of it has come
			b = w.start(b, p, &kept)
		}
		if kept.Text != "" || kept.Data != "" || kept.Signature != "" {
			b = w.add(b, &kept)
		}
	}
}

func (w *writer) start(b []byte, p *part, first *neutral.Part) []byte {
	p.block, p.filled = w.blocks, true
	w.blocks++
	var empty any
	switch {
	case p.Kind == neutral.ToolCall:
		empty = map[string]any{"type": "tool_use", "id": p.ID, "name": p.Name, "input": struct{}{}}
	case p.Kind == neutral.Reasoning && first.Data != "":
		empty = map[string]any{"type": "redacted_thinking", "data": first.Data}
	case p.Kind == neutral.Reasoning:
		empty = map[string]any{"type": "thinking", "thinking": "", "signature": ""}
	default:
		empty = map[string]any{"type": "text", "text": ""}
	}
	return send(b, "content_block_start", map[string]any{"type": "content_block_start", "index": p.block, "content_block": empty})
}

// add tells more of the current block.
func (w *writer) add(b []byte, more *neutral.Part) []byte {
	p := &w.parts[w.current]
	if !p.filled {
		b = w.start(b, p, more)
	}
	delta := func(kind, field, text string) {
		if text != "" {
			b = send(b, "content_block_delta", map[string]any{"type": "content_block_delta", "index": p.block, "delta": map[string]string{"type": kind, field: text}})
		}
	}
	switch p.Kind {
	case neutral.Text, neutral.Refusal:
		delta("text_delta", "text", more.Text)
	case neutral.ToolCall:
		delta("input_json_delta", "partial_json", more.Text)
	case neutral.Reasoning:
		delta("thinking_delta", "thinking", more.Text)
		delta("signature_delta", "signature", more.Signature)
	}
	return b
}

func (w *writer) stop(b []byte) []byte {
	p := &w.parts[w.current]
	if !p.filled {
		return b // a thought of which nothing came
	}
	return send(b, "content_block_stop", map[string]any{"type": "content_block_stop", "index": p.block})
}

func (w *writer) finish(b []byte, a *neutral.Answer) []byte {
	for i := range w.parts {
		w.parts[i].closed = true
	}
	b = w.turn(b)
	end := answer{}
	end.stopped(a.Stop, a.Sequence, w.refusal)
	delta := map[string]any{"stop_reason": end.Stop, "stop_sequence": end.Sequence}
	if end.Details != nil {
		delta["stop_details"] = end.Details
	}
	b = send(b, "message_delta", map[string]any{"type": "message_delta", "delta": delta, "usage": usageOf(&a.Usage, a.Service)})
	return send(b, "message_stop", map[string]any{"type": "message_stop"})
}

func send(b []byte, name string, data any) []byte {
	b = append(append(append(b, "event: "...), name...), "\ndata: "...)
	return append(append(b, encode(data)...), "\n\n"...)
}
