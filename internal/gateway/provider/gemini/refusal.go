package gemini

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
)

// ReadError reads {"error":{"code":429,"message":…,"status":"RESOURCE_EXHAUSTED","details":[…]}}, which streams that were
// never begun have in a list.
func (d *dialect) ReadError(status int, body []byte) *neutral.Error {
	return readRefusal(body).neutral(status)
}

func readRefusal(body []byte) *problem {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		if list := scan.Array(body); list.Next() {
			body = list.Value
		}
	}
	var read struct{ Error *problem }
	if json.Unmarshal(body, &read) != nil || read.Error == nil {
		return &problem{}
	}
	return read.Error
}

// neutral says the same in the words that others read. A status of 0 is the one that the problem itself names.
func (p *problem) neutral(status int) *neutral.Error {
	if status == 0 {
		n, _ := scan.Int(p.Code)
		if status = int(n); n < 400 || n > 599 {
			status = http.StatusBadGateway
		}
	}
	e := &neutral.Error{Status: status, Type: errorType(status)}
	e.Message, _ = scan.Text(p.Message)
	e.Code, _ = scan.Text(p.Status)
	if e.Message, e.Code = clip(e.Message, 1000), clip(e.Code, 60); e.Message == "" {
		if e.Message = http.StatusText(status); e.Message == "" {
			e.Message = "the provider refused without saying why"
		}
	}
	return e
}

func errorType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500 || status == http.StatusRequestTimeout:
		return "server_error"
	}
	return "invalid_request_error"
}

func (p *problem) badKey() bool {
	for _, d := range p.Details {
		if d.Reason == "API_KEY_INVALID" || d.Reason == "API_KEY_EXPIRED" {
			return true
		}
	}
	return false
}

// retryIn is when to come back, where it says so: 7s, or 7.5s.
func (p *problem) retryIn() time.Duration {
	for _, d := range p.Details {
		if in, err := time.ParseDuration(d.Delay); err == nil && in > 0 && in <= time.Hour {
			return in
		}
	}
	return 0
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
