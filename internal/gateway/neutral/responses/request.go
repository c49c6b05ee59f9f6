// Package responses is OpenAI's Responses API as callers speak it: it reads a request into neutral words and writes the
// answer, whole or as the sequence of events that its clients expect. The gateway uses it where the provider that is to
// answer does not take the API itself.
// The shapes follow https://platform.openai.com/docs/api-reference/responses.
package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/gateway/neutral"
)

// Surface is the API. The zero value is ready.
type Surface struct{}

var _ neutral.Surface = Surface{}

// wire is a request as it is written. What is not here changes no answer.
type wire struct {
	Model        string          `json:"model"`
	Input        json.RawMessage `json:"input"`
	Instructions json.RawMessage `json:"instructions"`
	Tools        []tool          `json:"tools"`
	Choice       json.RawMessage `json:"tool_choice"`
	Parallel     *bool           `json:"parallel_tool_calls"`
	Text         struct {
		Format    json.RawMessage `json:"format"`
		Verbosity *string         `json:"verbosity"`
	} `json:"text"`
	Reasoning struct {
		Effort  *string `json:"effort"`
		Summary *string `json:"summary"`
		Older   *string `json:"generate_summary"`
	} `json:"reasoning"`
	MaxOutput   *int64   `json:"max_output_tokens"`
	MaxCalls    *int64   `json:"max_tool_calls"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	TopLogprobs *int64   `json:"top_logprobs"`
	Truncation  *string  `json:"truncation"`
	Include     []string `json:"include"`
	Service     *string  `json:"service_tier"`
	Stream      bool     `json:"stream"`
	User        *string  `json:"user"`
	Safety      *string  `json:"safety_identifier"`

	Previous     json.RawMessage `json:"previous_response_id"`
	Conversation json.RawMessage `json:"conversation"`
	Background   *bool           `json:"background"`
	Prompt       json.RawMessage `json:"prompt"`
}

// ReadRequest takes a request apart.
func (Surface) ReadRequest(body []byte) (*neutral.Request, error) {
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, unreadable(err)
	}
	q := &neutral.Request{
		Model: w.Model, Parallel: w.Parallel, Temperature: w.Temperature, TopP: w.TopP, Stream: w.Stream, Echo: body,
		Service: text(w.Service), User: text(w.Safety),
	}
	if q.User == "" {
		q.User = text(w.User)
	}
	if w.MaxOutput != nil {
		q.MaxOutput = *w.MaxOutput
	}
	q.Effort, q.Summary = text(w.Reasoning.Effort), text(w.Reasoning.Summary) != "" || text(w.Reasoning.Older) != ""
	for _, read := range []func(*wire, *neutral.Request) error{readInstructions, readInput, readTools, readChoice, readFormat} {
		if err := read(&w, q); err != nil {
			return nil, err
		}
	}
	q.Only = append(q.Only, w.only()...)
	return q, nil
}

// only names what nobody but OpenAI knows, tools aside.
func (w *wire) only() (list []string) {
	note := func(found bool, name string) {
		if found {
			list = append(list, name)
		}
	}
	note(text(w.Text.Verbosity) != "" && *w.Text.Verbosity != "medium", "text.verbosity")
	note(w.TopLogprobs != nil && *w.TopLogprobs > 0, "top_logprobs")
	note(w.MaxCalls != nil, "max_tool_calls")
	note(text(w.Truncation) == "auto", "truncation: auto")
	note(given(w.Previous), "previous_response_id")
	note(given(w.Conversation), "conversation")
	note(w.Background != nil && *w.Background, "background")
	note(given(w.Prompt), "prompt")
	for _, name := range w.Include {
		// Thoughts are always told in a form that can be sent again; the others only add to what tools return.
		note(strings.HasSuffix(name, ".logprobs"), "include "+name)
	}
	return list
}

func readInstructions(w *wire, q *neutral.Request) error {
	if !given(w.Instructions) {
		return nil
	}
	var s string
	if json.Unmarshal(w.Instructions, &s) != nil {
		return wrong("instructions", "instructions must be a text")
	}
	if s != "" {
		q.System = append(q.System, neutral.Part{Kind: neutral.Text, Text: s})
	}
	return nil
}

// readFormat reads text.format.
func readFormat(w *wire, q *neutral.Request) error {
	if !given(w.Text.Format) {
		return nil
	}
	var f struct {
		Type        string          `json:"type"`
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"schema"`
		Strict      *bool           `json:"strict"`
	}
	if err := json.Unmarshal(w.Text.Format, &f); err != nil {
		return wrong("text.format", "text.format must be an object with a type")
	}
	switch f.Type {
	case "text", "":
	case "json_object":
		q.Format = &neutral.Format{}
	case "json_schema":
		if !object(f.Schema) {
			return wrong("text.format.schema", "text.format of the type json_schema needs a schema")
		}
		q.Format = &neutral.Format{Schema: f.Schema, Name: f.Name, Description: f.Description, Strict: f.Strict != nil && *f.Strict}
	default:
		return wrong("text.format.type", "text.format.type must be text, json_object or json_schema, not %q", f.Type)
	}
	return nil
}

// given reports whether a field is there and is not null.
func given(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }

func object(value json.RawMessage) bool {
	value = bytes.TrimSpace(value)
	return len(value) > 0 && value[0] == '{'
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func wrong(field, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, "invalid_field", "%s", fmt.Sprintf(format, args...)).At(field)
}

// unreadable says which field is of another type than it should be.
func unreadable(err error) *fault.Fault {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return wrong(kind.Field, "%s cannot be read: it must not be a JSON %s", kind.Field, kind.Value)
	}
	return fault.New(fault.Invalid, "invalid_json", "the request cannot be read: %v", err)
}
