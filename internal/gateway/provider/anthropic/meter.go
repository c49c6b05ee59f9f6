package anthropic

import (
	"bytes"
	"errors"

	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral/messages"
	"airfield/internal/gateway/scan"
	"airfield/internal/gateway/token"
	"airfield/internal/llm"
)

// meter reads usage from messages.
type meter struct {
	counts  messages.Counts
	output  token.Counter
	finish  string
	problem string
	service string
}

// NewMeter returns a meter for one answer of the surface. Counting tokens uses none.
func NewMeter(s llm.Surface) gateway.Meter {
	if s == llm.CountTokens {
		return &gateway.Known{Read: gateway.Reading{Usage: llm.Usage{Source: llm.Counted}}}
	}
	return &meter{}
}

// Event reads an event of a stream.
func (m *meter) Event(data []byte) gateway.Event {
	kind := messages.Type(data)
	o := scan.Object(data)
	for o.Next() {
		switch string(o.Key) {
		case "message":
			m.begin(o.Value)
		case "content_block", "delta":
			m.text(o.Value)
		case "usage":
			m.read(o.Value, m.counts.Read)
		case "error":
			if kind == "error" {
				m.problem = problem(o.Value)
			}
		}
	}
	switch kind {
	case "error":
		if m.problem == "" {
			m.problem = problem(nil)
		}
		return gateway.Failure
	case "message_stop":
		return gateway.Done
	}
	return gateway.Content
}

func (m *meter) begin(value []byte) {
	for o := scan.Object(value); o.Next(); {
		if string(o.Key) == "usage" {
			m.read(o.Value, m.counts.Begin)
		}
	}
}

func (m *meter) read(value []byte, count func([]byte) bool) {
	count(value)
	if s := messages.ReadService(value); s != "" {
		m.service = s
	}
}

// text counts what is generated in a block or a delta, and reads why the generation ended.
func (m *meter) text(value []byte) {
	for o := scan.Object(value); o.Next(); {
		switch string(o.Key) {
		case "text", "thinking", "partial_json", "input", "data":
			scan.Strings(o.Value, m.output.Add)
		case "stop_reason":
			m.stop(o.Value)
		}
	}
}

func (m *meter) stop(value []byte) {
	if s, ok := scan.Text(value); ok && s != "" {
		m.finish = s
	}
}

func problem(value []byte) string {
	for o := scan.Object(value); o.Next(); {
		if string(o.Key) == "message" {
			if s, ok := scan.Text(o.Value); ok {
				return s
			}
		}
	}
	return "without saying why"
}

// Body reads a whole answer, or finds the usage in the last part of one.
func (m *meter) Body(body []byte, partial bool) error {
	if partial {
		m.tail(body)
		return nil
	}
	var content []byte
	o := scan.Object(body)
	for o.Next() {
		switch string(o.Key) {
		case "content":
			content = o.Value
		case "stop_reason":
			m.stop(o.Value)
		case "usage":
			m.read(o.Value, m.counts.Read)
		}
	}
	if err := o.Err(); err != nil {
		return err
	}
	if scan.Kind(content) != '[' {
		return errors.New("it has no content")
	}
	if m.counts.Usage().Completion() == 0 {
		for list := scan.Array(content); list.Next(); {
			m.text(list.Value)
		}
	}
	return nil
}

// tail looks for fields in the end of a JSON text. A quote inside a string is escaped, so these names with their quotes
// and colon cannot be anything but keys.
func (m *meter) tail(body []byte) {
	find := func(key string) []byte {
		at := bytes.LastIndex(body, []byte(key))
		if at < 0 {
			return nil
		}
		value, err := scan.Prefix(body[at+len(key):])
		if err != nil {
			return nil
		}
		return value
	}
	if value := find(`"usage":`); value != nil {
		m.read(value, m.counts.Read)
	}
	m.stop(find(`"stop_reason":`))
}

// Reading is what was read until now.
func (m *meter) Reading() gateway.Reading {
	return gateway.Reading{Usage: m.counts.Usage(), Output: m.output.Tokens(), Finish: m.finish, Problem: m.problem, Service: m.service}
}
