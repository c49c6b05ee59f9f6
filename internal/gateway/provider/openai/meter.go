package openai

import (
	"bytes"
	"errors"

	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral/chat"
	"airfield/internal/gateway/scan"
	"airfield/internal/gateway/token"
	"airfield/internal/llm"
)

// meter reads usage from OpenAI's answers.
type meter struct {
	surface llm.Surface
	usage   llm.Usage
	output  token.Counter
	finish  string
	problem string
	service string
}

// NewMeter returns a meter for one answer of the surface.
func NewMeter(s llm.Surface) gateway.Meter { return &meter{surface: s} }

// Event reads a chunk of a chat completion.
func (m *meter) Event(data []byte) gateway.Event {
	if string(data) == "[DONE]" {
		return gateway.Done
	}
	kind, empty, reported := gateway.Content, false, false
	o := scan.Object(data)
	for o.Next() {
		switch string(o.Key) {
		case "choices":
			empty = m.choices(o.Value, true) == 0
		case "usage":
			reported = chat.ReadUsage(o.Value, &m.usage)
		case "service_tier":
			m.serve(o.Value)
		case "error":
			if scan.Kind(o.Value) != 'n' {
				kind, m.problem = gateway.Failure, problem(o.Value)
			}
		}
	}
	if kind == gateway.Content && empty && reported && o.Err() == nil {
		return gateway.UsageOnly
	}
	return kind
}

// Body reads a whole answer, or finds the usage in the last part of one.
func (m *meter) Body(body []byte, partial bool) error {
	if partial {
		m.tail(body)
		return nil
	}
	var choices []byte
	o := scan.Object(body)
	for o.Next() {
		switch string(o.Key) {
		case "choices":
			choices = o.Value
		case "usage":
			chat.ReadUsage(o.Value, &m.usage)
		case "service_tier":
			m.serve(o.Value)
		}
	}
	if err := o.Err(); err != nil {
		return err
	}
	if m.surface == llm.ChatCompletions && scan.Kind(choices) != '[' {
		return errors.New("it has no choices")
	}
	m.choices(choices, m.usage.Completion() == 0)
	return nil
}

// tail looks for fields in the end of a JSON text. A quote inside a string is escaped, so these names with their
// quotes and colon cannot be anything but keys.
func (m *meter) tail(body []byte) {
	if at := bytes.LastIndex(body, []byte(`"usage":`)); at >= 0 {
		if value, err := scan.Prefix(body[at+len(`"usage":`):]); err == nil {
			chat.ReadUsage(value, &m.usage)
		}
	}
	if at := bytes.LastIndex(body, []byte(`"service_tier":`)); at >= 0 {
		if value, err := scan.Prefix(body[at+len(`"service_tier":`):]); err == nil {
			m.serve(value)
		}
	}
	if at := bytes.LastIndex(body, []byte(`"finish_reason":`)); at >= 0 {
		if value, err := scan.Prefix(body[at+len(`"finish_reason":`):]); err == nil {
			m.finish, _ = scan.Text(value)
		}
	}
}

// choices reads why the generation ended and, where it is to be counted, what was generated, from messages or deltas.
// It returns how many choices there are; -1 for no list.
func (m *meter) choices(value []byte, count bool) int {
	n := 0
	list := scan.Array(value)
	for list.Next() {
		n++
		c := scan.Object(list.Value)
		for c.Next() {
			switch string(c.Key) {
			case "delta", "message":
				if count {
					m.text(c.Value)
				}
			case "finish_reason":
				if s, ok := scan.Text(c.Value); ok && s != "" {
					m.finish = s
				}
			}
		}
	}
	if list.Err() != nil {
		return -1
	}
	return n
}

// text counts the generated text in a message or delta: content, reasoning, refusals and the arguments of tools.
func (m *meter) text(value []byte) {
	o := scan.Object(value)
	for o.Next() {
		switch string(o.Key) {
		case "content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call":
			scan.Strings(o.Value, m.output.Add)
		}
	}
}

// serve keeps the service tier that was said last.
func (m *meter) serve(value []byte) {
	if s := chat.ReadService(value); s != "" {
		m.service = s
	}
}

func problem(value []byte) string {
	if s, ok := scan.Text(value); ok {
		return s
	}
	for o := scan.Object(value); o.Next(); {
		if string(o.Key) == "message" {
			if s, ok := scan.Text(o.Value); ok {
				return s
			}
		}
	}
	return "without saying why"
}

// Reading is what was read until now.
func (m *meter) Reading() gateway.Reading {
	return gateway.Reading{Usage: m.usage, Output: m.output.Tokens(), Finish: m.finish, Problem: m.problem, Service: m.service}
}
