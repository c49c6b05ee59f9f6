package gateway

import (
	"encoding/json"

	"airfield/internal/fault"
)

// ErrorBody writes a fault in the shape of an OpenAI error: {"error":{"message":…,"type":…,"param":…,"code":…}},
// with the record of a decision, where there is one, under airfield.
func ErrorBody(f *fault.Fault) []byte {
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
		Detail  any     `json:"airfield,omitempty"`
	}
	e := inner{Message: f.Text, Type: errorType(f.Kind), Code: f.Code, Detail: f.Detail}
	if f.Hint != "" {
		e.Message += " — " + f.Hint
	}
	if f.Field != "" {
		e.Param = &f.Field
	}
	b, err := json.Marshal(struct {
		Error inner `json:"error"`
	}{e})
	if err != nil { // strings always are JSON
		return []byte(`{"error":{"message":"an internal error","type":"server_error","param":null,"code":"internal"}}`)
	}
	return b
}

// errorType is a kind in the words of that API.
func errorType(k fault.Kind) string {
	switch k {
	case fault.Unauthenticated:
		return "authentication_error"
	case fault.Denied:
		return "permission_error"
	case fault.Limited:
		return "rate_limit_error"
	case fault.Invalid, fault.NotFound, fault.NotOffered, fault.Conflict, fault.TooSlow, fault.TooLarge:
		return "invalid_request_error"
	}
	return "server_error"
}

// MessageError writes a fault in the shape of an Anthropic error: {"type":"error","error":{"type":…,"message":…}}, with
// code, and with the record of a decision, where there is one, under airfield.
func MessageError(f *fault.Fault) []byte {
	type inner struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Code    string `json:"code,omitempty"`
		Detail  any    `json:"airfield,omitempty"`
	}
	e := inner{Type: messageErrorType(f.Kind), Message: f.Text, Code: f.Code, Detail: f.Detail}
	if f.Hint != "" {
		e.Message += " — " + f.Hint
	}
	b, err := json.Marshal(struct {
		Type  string `json:"type"`
		Error inner  `json:"error"`
	}{"error", e})
	if err != nil { // strings always are JSON
		return []byte(`{"type":"error","error":{"type":"api_error","message":"an internal error"}}`)
	}
	return b
}

// messageErrorType is a kind in the words of that API.
func messageErrorType(k fault.Kind) string {
	switch k {
	case fault.Unauthenticated:
		return "authentication_error"
	case fault.Denied:
		return "permission_error"
	case fault.NotFound:
		return "not_found_error"
	case fault.TooLarge:
		return "request_too_large"
	case fault.Limited:
		return "rate_limit_error"
	case fault.Timeout:
		return "timeout_error"
	case fault.Unavailable:
		return "overloaded_error"
	case fault.Invalid, fault.NotOffered, fault.Conflict, fault.TooSlow:
		return "invalid_request_error"
	}
	return "api_error"
}
