// Package messages is Anthropic's Messages API in neutral words: a Surface for callers who speak it, a Dialect for providers
// that do. The wire format is that of https://platform.claude.com/docs/en/api/messages.
package messages

import (
	"encoding/json"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// Surface is the Messages API as callers speak it.
type Surface struct{}

// Dialect is the Messages API as providers speak it.
type Dialect struct{}

// Surface is the name of the API.
func (Dialect) Surface() llm.Surface { return llm.Messages }

// Classify says what a server-sent event is.
func (Surface) Classify(data []byte) neutral.Class {
	switch Type(data) {
	case "message_stop":
		return neutral.Done
	case "error":
		return neutral.Failure
	}
	return neutral.Content
}

// Type is the type of an event.
func Type(data []byte) (kind string) {
	for o := scan.Object(data); o.Next(); {
		if string(o.Key) == "type" {
			kind, _ = scan.Text(o.Value)
			return kind
		}
	}
	return ""
}

// WriteError writes a refusal as Anthropic does.
func (Surface) WriteError(e *neutral.Error) []byte {
	b, err := neutral.Encode(problem{Type: "error", Error: problemDetail{Type: errorType(e), Message: e.Message}})
	if err != nil { // strings always are JSON
		return []byte(`{"type":"error","error":{"type":"api_error","message":"the provider refused"}}`)
	}
	return b
}

type problem struct {
	Type  string        `json:"type"`
	Error problemDetail `json:"error"`
}

type problemDetail struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// errorType is the type that Anthropic's clients know, by the status where there is one.
func errorType(e *neutral.Error) string {
	switch e.Status {
	case 400, 405, 409, 422:
		return "invalid_request_error"
	case 401:
		return "authentication_error"
	case 402:
		return "billing_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	case 504:
		return "timeout_error"
	case 503, 529:
		return "overloaded_error"
	case 0: // in mid-stream
		switch {
		case e.Code == overloaded:
			return "overloaded_error"
		case e.Type != "" && e.Type != "server_error":
			return e.Type
		}
	}
	if e.Status > 400 && e.Status < 500 {
		return "invalid_request_error"
	}
	return "api_error"
}

// overloaded is the code of a provider that has too much to do.
const overloaded = "overloaded"

// ReadError reads a refusal: {"type":"error","error":{"type":…,"message":…}}.
func (Dialect) ReadError(status int, body []byte) *neutral.Error {
	e := &neutral.Error{Status: status}
	for o := scan.Object(body); o.Next(); {
		if string(o.Key) == "error" {
			readProblem(e, o.Value)
		}
	}
	complete(e)
	return e
}

func readProblem(e *neutral.Error, value []byte) {
	for o := scan.Object(value); o.Next(); {
		switch string(o.Key) {
		case "message":
			e.Message, _ = scan.Text(o.Value)
		case "type":
			e.Type, _ = scan.Text(o.Value)
		}
	}
}

// complete puts the type into the words of neutral.Error.
func complete(e *neutral.Error) {
	switch e.Type {
	case "overloaded_error":
		e.Type, e.Code = "server_error", overloaded
	case "api_error", "timeout_error":
		e.Type = "server_error"
	case "request_too_large", "billing_error":
		e.Type, e.Code = "invalid_request_error", e.Type
	case "":
		e.Type = neutral.ErrorType(e.Status)
	}
	if e.Message == "" {
		e.Message = "the provider failed without saying why"
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
