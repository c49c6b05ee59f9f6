package bedrock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// ReadAnswer reads a whole answer.
func (dialect) ReadAnswer(body []byte) (*neutral.Answer, error) {
	var all whole
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	in := &all.Answer
	if in.Output.Message == nil {
		return nil, errors.New("it has no message")
	}
	a := &neutral.Answer{ID: all.Head.ID, Model: all.Head.Model, Sequence: in.Additional.Sequence, Usage: in.Usage.read(), Service: in.Service.read()}
	var ok bool
	if a.Stop, ok = stopOf(in.StopReason); !ok {
		return a, fmt.Errorf("what the model said makes no sense (%s)", clip(in.StopReason))
	}
	for i := range in.Output.Message.Content {
		if p, ok := partOf(&in.Output.Message.Content[i]); ok {
			a.Parts = append(a.Parts, p)
		}
	}
	return a, nil
}

// partOf reads a block; false for one that no caller has a place for.
func partOf(b *block) (p neutral.Part, ok bool) {
	switch {
	case b.Text != nil:
		p.Text = *b.Text
	case b.Cited != nil:
		for _, c := range b.Cited.Content {
			p.Text += c.Text
		}
	case b.ToolUse != nil:
		p = neutral.Part{Kind: neutral.ToolCall, ID: b.ToolUse.ID, Name: b.ToolUse.Name, Text: "{}"}
		var input bytes.Buffer
		if string(b.ToolUse.Input) != "null" && json.Compact(&input, b.ToolUse.Input) == nil {
			p.Text = input.String()
		}
	case b.Reasoning != nil:
		p = neutral.Part{Kind: neutral.Reasoning, Data: b.Reasoning.Redacted}
		if t := b.Reasoning.Text; t != nil {
			p.Text, p.Signature = t.Text, t.Signature
		}
	default:
		return p, false
	}
	return p, true
}

// stopOf is why an answer ended; false where it is not to be used.
func stopOf(reason string) (neutral.Stop, bool) {
	switch reason {
	case "tool_use":
		return neutral.CalledTools, true
	case "max_tokens":
		return neutral.MaxTokens, true
	case "stop_sequence":
		return neutral.StopSequence, true
	case "guardrail_intervened", "content_filtered":
		return neutral.Filtered, true
	case "model_context_window_exceeded":
		return neutral.ContextFull, true
	case "refusal":
		return neutral.Refused, true
	case "pause_turn":
		return neutral.Paused, true
	case "malformed_model_output", "malformed_tool_use":
		return "", false
	}
	return neutral.EndTurn, true
}

// read leaves a usage that cannot be true without its source: the gateway then estimates.
func (u *usage) read() (out llm.Usage) {
	if u == nil {
		return out
	}
	long := int64(0)
	for _, d := range u.Details {
		if d.Tokens < 0 || d.Tokens > neutral.MostTokens {
			return out
		}
		if d.TTL == "1h" {
			long = min(long+d.Tokens, neutral.MostTokens)
		}
	}
	for _, n := range []int64{u.Input, u.Output, u.CacheRead, u.CacheWrite} {
		if n < 0 || n > neutral.MostTokens {
			return out
		}
	}
	if long = min(long, u.CacheWrite); u.Input+u.Output+u.CacheRead+u.CacheWrite == 0 {
		return out
	}
	return llm.Usage{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite - long, CacheWriteLong: long, Source: llm.Reported}
}

// read is the service tier that was billed, as prices name it.
func (s *serviceTier) read() string {
	if s == nil {
		return ""
	}
	return s.Type
}
