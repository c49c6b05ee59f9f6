package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
)

type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
	Service string   `json:"service_tier,omitempty"`
}

type choice struct {
	Index    int     `json:"index"`
	Message  *told   `json:"message,omitempty"`
	Delta    *told   `json:"delta,omitempty"`
	Logprobs *string `json:"logprobs"` // always null
	Finish   *string `json:"finish_reason"`
}

// told is a message, or a piece of one, as it is told to a caller.
type told struct {
	Role    string     `json:"role,omitempty"`
	Content *string    `json:"content,omitempty"`
	Refusal *string    `json:"refusal,omitempty"`
	Thought string     `json:"reasoning_content,omitempty"`
	Details []detail   `json:"reasoning_details,omitempty"`
	Calls   []toolCall `json:"tool_calls,omitempty"`
}

// whole is a message with the fields that are always there.
type whole struct {
	told
	Content *string `json:"content"`
	Refusal *string `json:"refusal"`
}

// MarshalJSON writes a whole message's content also where it is null.
func (c choice) MarshalJSON() ([]byte, error) {
	type plain choice
	if c.Message == nil {
		return neutral.Encode(plain(c))
	}
	return neutral.Encode(struct {
		plain
		Message whole `json:"message"`
	}{plain(c), whole{*c.Message, c.Message.Content, c.Message.Refusal}})
}

// WriteAnswer writes a whole chat completion.
func (Surface) WriteAnswer(_ *neutral.Request, a *neutral.Answer) ([]byte, error) {
	m := &told{Role: "assistant"}
	text, refusal := "", ""
	said, refused := false, false
	for i := range a.Parts {
		switch p := &a.Parts[i]; p.Kind {
		case neutral.Text:
			text, said = text+p.Text, true
		case neutral.Refusal:
			refusal, refused = refusal+p.Text, true
		case neutral.Reasoning:
			m.Thought += p.Text
			m.Details = append(m.Details, detailOf(p, len(m.Details)))
		case neutral.ToolCall:
			c := callOf(p)
			c.Function.Arguments = string(argumentsOf(p))
			m.Calls = append(m.Calls, c)
		}
	}
	if said {
		m.Content = &text
	}
	if refused {
		m.Refusal = &refusal
	}
	m.Details = worthGivingBack(m.Details)
	finish := finishOf(a.Stop, refused)
	return neutral.Encode(completion{
		ID: a.ID, Object: "chat.completion", Created: created(a.Created), Model: a.Model, Choices: []choice{{Message: m, Finish: &finish}}, Usage: usageOf(&a.Usage), Service: a.Service,
	})
}

// argumentsOf is what a model wrote, or the empty object in place of nothing.
func argumentsOf(p *neutral.Part) string {
	if p.Text == "" {
		return "{}"
	}
	return p.Text
}

func created(at time.Time) int64 {
	if at.IsZero() {
		at = time.Now()
	}
	return at.Unix()
}

func callOf(p *neutral.Part) toolCall {
	c := toolCall{ID: p.ID, Type: "function"}
	c.Function.Name = p.Name
	if p.Signature != "" {
		c.Extra = &extra{}
		c.Extra.Google.Signature = p.Signature
	}
	return c
}

func detailOf(p *neutral.Part, index int) detail {
	d := detail{Type: "reasoning.text", Text: p.Text, Signature: p.Signature, ID: p.ID, Index: &index}
	if p.Data != "" {
		d.Type, d.Data = "reasoning.encrypted", p.Data
	}
	return d
}

// worthGivingBack leaves out thoughts that nobody signed: they stand in reasoning_content.
func worthGivingBack(all []detail) []detail {
	for _, d := range all {
		if d.Signature != "" || d.Data != "" || d.ID != "" {
			return all
		}
	}
	return nil
}

// Ended is why an answer ended, as the log keeps it.
func (Surface) Ended(s neutral.Stop) string { return finishOf(s, false) }

// finishOf is why an answer ended, in the words of chat completions.
func finishOf(s neutral.Stop, refused bool) string {
	switch s {
	case neutral.MaxTokens, neutral.ContextFull:
		return "length"
	case neutral.CalledTools:
		return "tool_calls"
	case neutral.Filtered:
		return "content_filter"
	case neutral.Refused:
		if !refused { // broken off, without a word: not an answer that looks whole
			return "content_filter"
		}
	}
	return "stop"
}

// stopOf is the same, read.
func stopOf(finish string, calls, refused bool) neutral.Stop {
	switch {
	case finish == "length":
		return neutral.MaxTokens
	case finish == "content_filter":
		return neutral.Filtered
	case finish == "tool_calls" || finish == "function_call" || calls:
		return neutral.CalledTools
	case refused:
		return neutral.Refused
	}
	return neutral.EndTurn
}

// ReadAnswer reads a whole chat completion.
func (Dialect) ReadAnswer(body []byte) (*neutral.Answer, error) {
	var r struct {
		ID      string `json:"id"`
		Created int64  `json:"created"`
		Model   string `json:"model"`
		Choices []struct {
			Message turn   `json:"message"`
			Finish  string `json:"finish_reason"`
		} `json:"choices"`
		Usage   json.RawMessage `json:"usage"`
		Service json.RawMessage `json:"service_tier"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	if len(r.Choices) == 0 {
		return nil, errors.New("it has no choices")
	}
	a := &neutral.Answer{ID: r.ID, Model: r.Model, Service: ReadService(r.Service)}
	if r.Created > 0 {
		a.Created = time.Unix(r.Created, 0)
	}
	ReadUsage(r.Usage, &a.Usage)
	t := &r.Choices[0].Message
	a.Parts = append(a.Parts, t.thoughts()...)
	if text := contentText(t.Content); text != "" {
		a.Parts = append(a.Parts, neutral.Part{Kind: neutral.Text, Text: text})
	}
	if t.Refusal != "" {
		a.Parts = append(a.Parts, neutral.Part{Kind: neutral.Refusal, Text: t.Refusal})
	}
	for i := range t.Calls {
		c := &t.Calls[i]
		a.Parts = append(a.Parts, neutral.Part{Kind: neutral.ToolCall, ID: callID(c.ID, r.ID, i), Name: c.Function.Name, Text: c.Function.Arguments, Signature: c.signature()})
	}
	a.Stop = stopOf(r.Choices[0].Finish, len(t.Calls) > 0, t.Refusal != "")
	return a, nil
}

// callID is a tool call's id, or one made up where an endpoint gives none: the caller must be able to answer it.
func callID(id, answer string, i int) string {
	if id != "" {
		return id
	}
	return fmt.Sprintf("call_%s_%d", answer, i)
}

// contentText is an answer's text: a string, or a list of parts of which the texts count.
func contentText(raw []byte) string {
	if s, ok := scan.Text(raw); ok {
		return s
	}
	text := ""
	for list := scan.Array(raw); list.Next(); {
		for o := scan.Object(list.Value); o.Next(); {
			if string(o.Key) == "text" {
				s, _ := scan.Text(o.Value)
				text += s
			}
		}
	}
	return text
}
