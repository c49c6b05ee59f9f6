package responses

import (
	"encoding/json"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/id"
	"airfield/internal/llm"
)

// response is the object that answers are, and that several events of a stream carry.
type response struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"`
	Created      int64           `json:"created_at"`
	Status       string          `json:"status"`
	Background   bool            `json:"background"`
	Error        *problem        `json:"error"`
	Incomplete   *incomplete     `json:"incomplete_details"`
	Instructions json.RawMessage `json:"instructions"`
	MaxOutput    json.RawMessage `json:"max_output_tokens"`
	Model        string          `json:"model"`
	Output       []any           `json:"output"`
	Parallel     json.RawMessage `json:"parallel_tool_calls"`
	Previous     json.RawMessage `json:"previous_response_id"`
	Reasoning    json.RawMessage `json:"reasoning"`
	Safety       json.RawMessage `json:"safety_identifier"`
	Service      string          `json:"service_tier"`
	Store        json.RawMessage `json:"store"`
	Temperature  json.RawMessage `json:"temperature"`
	Text         json.RawMessage `json:"text"`
	Choice       json.RawMessage `json:"tool_choice"`
	Tools        json.RawMessage `json:"tools"`
	TopP         json.RawMessage `json:"top_p"`
	Truncation   json.RawMessage `json:"truncation"`
	Usage        *usage          `json:"usage"`
	User         json.RawMessage `json:"user"`
	Metadata     json.RawMessage `json:"metadata"`
}

type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

type usage struct {
	Input   int64 `json:"input_tokens"`
	Details struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Output  int64 `json:"output_tokens"`
	Thought struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int64 `json:"total_tokens"`
}

func usageOf(u llm.Usage) *usage {
	if u.Source == "" {
		return nil
	}
	n := &usage{Input: u.Prompt(), Output: u.Completion(), Total: u.Total()}
	n.Details.Cached, n.Thought.Reasoning = u.CacheRead, u.Reasoning
	return n
}

// The items of an output.
type (
	message struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Status  string `json:"status"`
		Role    string `json:"role"`
		Content []any  `json:"content"`
	}
	outputText struct {
		Type        string `json:"type"`
		Annotations []any  `json:"annotations"`
		Logprobs    []any  `json:"logprobs"`
		Text        string `json:"text"`
	}
	refused struct {
		Type    string `json:"type"`
		Refusal string `json:"refusal"`
	}
	functionCall struct {
		ID        string `json:"id"`
		Type      string `json:"type"`
		Status    string `json:"status"`
		CallID    string `json:"call_id"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	reasoning struct {
		ID        string        `json:"id"`
		Type      string        `json:"type"`
		Status    string        `json:"status"`
		Summary   []summaryText `json:"summary"`
		Encrypted string        `json:"encrypted_content,omitempty"`
	}
	summaryText struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
)

const (
	inProgress = "in_progress"
	completed  = "completed"
	unfinished = "incomplete"
)

// begin is the response as it is before anything was said: what was asked for, and who answers.
func begin(q *neutral.Request, a *neutral.Answer) *response {
	asked := map[string]json.RawMessage{}
	json.Unmarshal(q.Echo, &asked) // it was read before
	echo := func(name, otherwise string) json.RawMessage {
		if v := asked[name]; given(v) {
			return v
		}
		return json.RawMessage(otherwise)
	}
	r := &response{
		ID: id.New("resp"), Object: "response", Created: a.Created.Unix(), Status: inProgress, Model: a.Model, Output: []any{}, Service: a.Service,
		Instructions: echo("instructions", "null"), MaxOutput: echo("max_output_tokens", "null"), Parallel: echo("parallel_tool_calls", "true"),
		Previous: echo("previous_response_id", "null"), Reasoning: echo("reasoning", `{"effort":null,"summary":null}`), Safety: echo("safety_identifier", "null"),
		Store: echo("store", "true"), Temperature: echo("temperature", "1"), Text: echo("text", `{"format":{"type":"text"}}`), Choice: echo("tool_choice", `"auto"`),
		Tools: echo("tools", "[]"), TopP: echo("top_p", "1"), Truncation: echo("truncation", `"disabled"`), User: echo("user", "null"), Metadata: echo("metadata", "{}"),
	}
	if a.Created.IsZero() {
		r.Created = time.Now().Unix()
	}
	if r.Model == "" {
		r.Model = q.Model
	}
	if r.Service == "" {
		r.Service = "default"
	}
	return r
}

// end says how the answer ended.
func (r *response) end(a *neutral.Answer) {
	r.Status, r.Usage = completed, usageOf(a.Usage)
	if a.Service != "" {
		r.Service = a.Service
	}
	switch a.Stop {
	case neutral.MaxTokens, neutral.ContextFull:
		r.Status, r.Incomplete = unfinished, &incomplete{"max_output_tokens"}
	case neutral.Filtered:
		r.Status, r.Incomplete = unfinished, &incomplete{"content_filter"}
	}
}

// WriteAnswer writes a whole answer.
func (Surface) WriteAnswer(q *neutral.Request, a *neutral.Answer) ([]byte, error) {
	w := &writer{q: q, quiet: true}
	neutral.Events(a, func(e *neutral.Event) { w.Write(nil, e) })
	return neutral.Encode(w.response)
}

// WriteError writes a provider's refusal as OpenAI would.
func (Surface) WriteError(e *neutral.Error) []byte {
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	out := inner{Message: e.Message, Type: e.Type}
	if out.Type == "" {
		out.Type = "invalid_request_error"
		if e.Status >= 500 {
			out.Type = "server_error"
		}
	}
	if e.Field != "" {
		out.Param = &e.Field
	}
	if e.Code != "" {
		out.Code = &e.Code
	}
	b, err := neutral.Encode(map[string]any{"error": out})
	if err != nil { // strings always are JSON
		return []byte(`{"error":{"message":"an internal error","type":"server_error","param":null,"code":"internal"}}`)
	}
	return b
}
