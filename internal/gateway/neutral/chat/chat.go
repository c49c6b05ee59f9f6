// Package chat is OpenAI's chat completions in neutral words: a Surface for callers who speak it, a Dialect for providers
// that do. The wire format is that of https://platform.openai.com/docs/api-reference/chat; what others added to it and
// many clients know is read and written, too: reasoning_content (DeepSeek, vLLM), reasoning_details (OpenRouter, for
// thoughts that are signed), extra_content on tool calls (Gemini's signatures), cache_control on parts (LiteLLM).
package chat

import (
	"encoding/json"
	"net/http"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// Surface is chat completions as callers speak it.
type Surface struct{}

// Dialect is chat completions as providers speak it.
type Dialect struct {
	// Cap is the field that bounds the output: max_tokens, or max_completion_tokens. Empty is the first.
	Cap string
	// OmitUsage leaves out the wish for usage on streams, which some endpoints refuse.
	OmitUsage bool
}

// Surface is the name of the API.
func (Dialect) Surface() llm.Surface { return llm.ChatCompletions }

// Classify says what a server-sent event of a chat completion is.
func (Surface) Classify(data []byte) neutral.Class {
	if string(data) == end {
		return neutral.Done
	}
	empty, usage := false, false
	for o := scan.Object(data); o.Next(); {
		switch string(o.Key) {
		case "choices":
			empty = string(o.Value) == "[]"
		case "usage":
			usage = scan.Kind(o.Value) == '{'
		case "error":
			if scan.Kind(o.Value) != 'n' {
				return neutral.Failure
			}
		}
	}
	if empty && usage {
		return neutral.UsageOnly
	}
	return neutral.Content
}

const end = "[DONE]"

// WriteError writes a refusal as OpenAI does.
func (Surface) WriteError(e *neutral.Error) []byte {
	problem := map[string]any{"message": e.Message, "type": e.Type, "param": nil, "code": nil}
	if e.Field != "" {
		problem["param"] = e.Field
	}
	if e.Code != "" {
		problem["code"] = e.Code
	}
	b, err := neutral.Encode(map[string]any{"error": problem})
	if err != nil { // strings always are JSON
		return []byte(`{"error":{"message":"the provider refused","type":"server_error","param":null,"code":null}}`)
	}
	return b
}

// ReadError reads a refusal: {"error":{"message":…}}, {"error":"…"}, {"message":…} and {"detail":…} are about.
func (Dialect) ReadError(status int, body []byte) *neutral.Error {
	e := &neutral.Error{Status: status}
	o := scan.Object(body)
	for o.Next() {
		switch string(o.Key) {
		case "error":
			readProblem(e, o.Value)
		case "message", "detail":
			if s, ok := scan.Text(o.Value); ok && e.Message == "" {
				e.Message = s
			}
		}
	}
	complete(e)
	return e
}

func readProblem(e *neutral.Error, value []byte) {
	if s, ok := scan.Text(value); ok {
		e.Message = s
	}
	for o := scan.Object(value); o.Next(); {
		s, ok := scan.Text(o.Value)
		if !ok {
			continue
		}
		switch string(o.Key) {
		case "message":
			e.Message = s
		case "type":
			e.Type = s
		case "code":
			e.Code = s
		case "param":
			e.Field = s
		}
	}
}

// complete fills in what an error does not say of itself.
func complete(e *neutral.Error) {
	if e.Message == "" {
		if e.Message = http.StatusText(e.Status); e.Message == "" {
			e.Message = "the provider failed without saying why"
		}
	}
	if e.Type == "" {
		e.Type = neutral.ErrorType(e.Status)
	}
}

// encode writes what always is JSON.
func encode(v any) json.RawMessage {
	b, err := neutral.Encode(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}
