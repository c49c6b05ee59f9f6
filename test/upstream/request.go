package upstream

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Request is what was asked.
type Request struct {
	N           int64 // counted from 1, over everything
	Path        string
	Header      http.Header
	Body        []byte
	RequestID   string // the header X-Request-Id
	Traceparent string
	Model       string // with its suffix
	Stream      bool
	WantsUsage  bool     // on a stream
	Cap         int64    // tokens of each choice at the most; 0 for no cap
	Choices     int64    // 1, unless n says more
	Inputs      []string // to be embedded
	Base64      bool     // vectors are to be written so
}

// read reads a request; false where it is none.
func (u *Upstream) read(r *http.Request) (*Request, bool) {
	body, err := io.ReadAll(r.Body)
	var q struct {
		Model         string `json:"model"`
		Stream        bool   `json:"stream"`
		StreamOptions *struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
		MaxTokens           int64           `json:"max_tokens"`
		MaxCompletionTokens int64           `json:"max_completion_tokens"`
		N                   int64           `json:"n"`
		Input               json.RawMessage `json:"input"`
		EncodingFormat      string          `json:"encoding_format"`
	}
	if err != nil || json.Unmarshal(body, &q) != nil {
		return nil, false
	}
	req := &Request{
		Path: r.URL.Path, Header: r.Header, Body: body, RequestID: r.Header.Get("X-Request-Id"), Traceparent: r.Header.Get("Traceparent"),
		Model: q.Model, Stream: q.Stream, WantsUsage: q.StreamOptions != nil && q.StreamOptions.IncludeUsage,
		Cap: max(q.MaxTokens, q.MaxCompletionTokens), Choices: max(1, q.N), Base64: q.EncodingFormat == "base64",
	}
	if len(q.Input) > 0 && json.Unmarshal(q.Input, &req.Inputs) != nil {
		var one string
		if json.Unmarshal(q.Input, &one) != nil {
			return nil, false
		}
		req.Inputs = []string{one}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	req.N = u.asked
	return req, true
}

// choose says how a request is answered.
func (u *Upstream) choose(r *Request) Behaviour {
	if i := strings.LastIndexByte(r.Model, '+'); i >= 0 {
		if b, known := Named[r.Model[i+1:]]; known {
			return b
		}
	}
	if f := u.behave.Load(); f != nil {
		return (*f)(r)
	}
	return u.options.Default
}
