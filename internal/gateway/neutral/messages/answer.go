package messages

import (
	"encoding/json"
	"errors"

	"airfield/internal/gateway/neutral"
)

// answer is a whole message.
type answer struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Role     string   `json:"role"`
	Model    string   `json:"model"`
	Content  []any    `json:"content"`
	Stop     *string  `json:"stop_reason"`
	Sequence *string  `json:"stop_sequence"`
	Details  *details `json:"stop_details"`
	Usage    usage    `json:"usage"`
}

// details say why a model declined.
type details struct {
	Type        string  `json:"type"`
	Category    *string `json:"category"`
	Explanation string  `json:"explanation"`
}

// WriteAnswer writes a whole message.
func (Surface) WriteAnswer(_ *neutral.Request, a *neutral.Answer) ([]byte, error) {
	out := answer{ID: a.ID, Type: "message", Role: "assistant", Model: a.Model, Content: []any{}, Usage: usageOf(&a.Usage, a.Service)}
	refusal := ""
	for i := range a.Parts {
		p := &a.Parts[i]
		if p.Kind == neutral.Refusal {
			refusal += p.Text
		}
		if b := toldOf(p); b != nil {
			out.Content = append(out.Content, b)
		}
	}
	out.stopped(a.Stop, a.Sequence, refusal)
	return neutral.Encode(out)
}

func (a *answer) stopped(s neutral.Stop, sequence, refusal string) {
	stop := reasonOf(s)
	a.Stop = &stop
	if sequence != "" {
		a.Sequence = &sequence
	}
	if stop == "refusal" {
		a.Details = &details{Type: "refusal", Explanation: refusal}
	}
}

// toldOf is a part as it is told to a caller.
func toldOf(p *neutral.Part) any {
	switch p.Kind {
	case neutral.Text, neutral.Refusal:
		return map[string]any{"type": "text", "text": p.Text}
	case neutral.Reasoning:
		if p.Data != "" {
			return map[string]any{"type": "redacted_thinking", "data": p.Data}
		}
		return map[string]any{"type": "thinking", "thinking": p.Text, "signature": p.Signature}
	case neutral.ToolCall:
		return map[string]any{"type": "tool_use", "id": p.ID, "name": p.Name, "input": neutral.Arguments(p.Text)}
	}
	return nil
}

// Ended is why an answer ended, as the log keeps it.
func (Surface) Ended(s neutral.Stop) string { return reasonOf(s) }

// reasonOf is why an answer ended, in Anthropic's words.
func reasonOf(s neutral.Stop) string {
	switch s {
	case neutral.MaxTokens:
		return "max_tokens"
	case neutral.CalledTools:
		return "tool_use"
	case neutral.StopSequence:
		return "stop_sequence"
	case neutral.Filtered, neutral.Refused:
		return "refusal"
	case neutral.Paused:
		return "pause_turn"
	case neutral.ContextFull:
		return "model_context_window_exceeded"
	}
	return "end_turn"
}

// stopOf is the same, read. A reason that nobody knew is an end.
func stopOf(reason string) neutral.Stop {
	switch reason {
	case "max_tokens":
		return neutral.MaxTokens
	case "tool_use":
		return neutral.CalledTools
	case "stop_sequence":
		return neutral.StopSequence
	case "refusal":
		return neutral.Refused
	case "pause_turn":
		return neutral.Paused
	case "model_context_window_exceeded":
		return neutral.ContextFull
	}
	return neutral.EndTurn
}

// ReadAnswer reads a whole message.
func (Dialect) ReadAnswer(body []byte) (*neutral.Answer, error) {
	var r struct {
		ID       string          `json:"id"`
		Model    string          `json:"model"`
		Content  []block         `json:"content"`
		Stop     string          `json:"stop_reason"`
		Sequence string          `json:"stop_sequence"`
		Details  *details        `json:"stop_details"`
		Usage    json.RawMessage `json:"usage"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	if r.Content == nil {
		return nil, errors.New("it has no content")
	}
	a := &neutral.Answer{ID: r.ID, Model: r.Model, Stop: stopOf(r.Stop), Sequence: r.Sequence}
	var counts Counts
	counts.Read(r.Usage)
	a.Usage, a.Service = counts.Usage(), ReadService(r.Usage)
	for i := range r.Content {
		if p, ok := r.Content[i].answered(); ok {
			a.Parts = append(a.Parts, p)
		}
	}
	if a.Stop == neutral.Refused && r.Details != nil && r.Details.Explanation != "" {
		a.Parts = append(a.Parts, neutral.Part{Kind: neutral.Refusal, Text: r.Details.Explanation})
	}
	return a, nil
}

// answered reads a block of an answer; what only the server's own tools write is left out, because nobody asked for them.
func (b *block) answered() (neutral.Part, bool) {
	switch b.Type {
	case "text":
		return neutral.Part{Kind: neutral.Text, Text: b.Text, Citations: b.citations()}, true
	case "thinking":
		return neutral.Part{Kind: neutral.Reasoning, Text: b.Thinking, Signature: b.Signature}, true
	case "redacted_thinking":
		return neutral.Part{Kind: neutral.Reasoning, Data: b.Data}, true
	case "tool_use":
		return neutral.Part{Kind: neutral.ToolCall, ID: b.ID, Name: b.Name, Text: string(b.Input)}, true
	}
	return neutral.Part{}, false
}
