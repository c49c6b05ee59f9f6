package chat

import (
	"encoding/json"
	"fmt"

	"airfield/internal/gateway/neutral"
)

// ReadRequest takes a chat completion's request apart.
func (Surface) ReadRequest(body []byte) (*neutral.Request, error) {
	f, q := neutral.ReadFields("", body), &neutral.Request{}
	if f.Err != nil {
		return nil, f.Err
	}
	q.Model = f.Text("model")
	f.Into("stream", &q.Stream)
	readSampling(f, q)
	if err := readMessages(q, f.Raw("messages")); err != nil {
		return nil, err
	}
	if err := readTools(f, q); err != nil {
		return nil, err
	}
	if err := readFormat(q, f.Raw("response_format")); err != nil {
		return nil, err
	}
	readEffort(f, q)
	q.User = f.Text("safety_identifier")
	if user := f.Text("user"); user != "" {
		q.User = user
	}
	q.Service = f.Text("service_tier")
	readOwn(f, q)
	q.NameResults()
	return q, f.Err
}

func readSampling(f *neutral.Fields, q *neutral.Request) {
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		if n, ok := f.Int(name); ok {
			q.MaxOutput = max(q.MaxOutput, n)
		}
	}
	f.Into("temperature", &q.Temperature)
	f.Into("top_p", &q.TopP)
	if n, ok := f.Int("top_k"); ok {
		q.TopK = &n
	}
	for name, into := range map[string]**float64{"frequency_penalty": &q.FrequencyPenalty, "presence_penalty": &q.PresencePenalty} {
		if f.Into(name, into) && **into == 0 {
			*into = nil // the default
		}
	}
	f.Into("seed", &q.Seed)
	if raw := f.Raw("stop"); raw != nil {
		one := ""
		if json.Unmarshal(raw, &one) == nil {
			q.Stop = []string{one}
		} else if json.Unmarshal(raw, &q.Stop) != nil && f.Err == nil {
			f.Err = neutral.Invalid("stop", "must be a string or a list of strings")
		}
	}
}

func readEffort(f *neutral.Fields, q *neutral.Request) {
	var r struct {
		Effort    string `json:"effort"`
		MaxTokens int64  `json:"max_tokens"`
		Exclude   bool   `json:"exclude"`
	}
	if f.Into("reasoning", &r) {
		q.Effort, q.Thinking, q.Summary = r.Effort, max(r.MaxTokens, 0), !r.Exclude
	}
	f.Into("include_reasoning", &q.Summary)
	f.Into("reasoning_effort", &q.Effort)
}

// readOwn names what only chat completions know. What is left out changes nothing in the answer.
func readOwn(f *neutral.Fields, q *neutral.Request) {
	f.Skip("stream_options", "store", "metadata", "prompt_cache_key", "prompt_cache_retention", "prediction")
	own := func(name string, asked bool) {
		if asked {
			q.Only = append(q.Only, name)
		}
	}
	n, _ := f.Int("n")
	own("n", n > 1)
	var logprobs bool
	f.Into("logprobs", &logprobs)
	own("logprobs", logprobs)
	top, _ := f.Int("top_logprobs")
	own("top_logprobs", top > 0)
	var modalities []string
	f.Into("modalities", &modalities)
	own("modalities", len(modalities) > 1 || len(modalities) == 1 && modalities[0] != "text")
	bias := map[string]json.RawMessage{}
	f.Into("logit_bias", &bias)
	own("logit_bias", len(bias) > 0)
	for _, name := range []string{"functions", "function_call"} {
		own(name, f.Raw(name) != nil)
	}
	if verbosity := f.Text("verbosity"); verbosity != "medium" {
		own("verbosity", verbosity != "")
	}
	q.Only = append(q.Only, f.Left()...)
}

func readTools(f *neutral.Fields, q *neutral.Request) error {
	var tools []struct {
		Type     string `json:"type"`
		Function struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
			Strict      *bool           `json:"strict"`
		} `json:"function"`
		Cache *cacheControl `json:"cache_control"`
	}
	f.Into("tools", &tools)
	for i, t := range tools {
		if t.Type != "function" && t.Type != "" {
			q.Only = append(q.Only, "a tool of type "+t.Type)
			continue
		}
		if t.Function.Name == "" {
			return neutral.Invalid(fmt.Sprintf("tools[%d].function.name", i), "is missing")
		}
		q.Tools = append(q.Tools, neutral.Tool{
			Name: t.Function.Name, Description: t.Function.Description, Schema: present(t.Function.Parameters), Strict: t.Function.Strict != nil && *t.Function.Strict, Cache: t.Cache.time(),
		})
	}
	f.Into("parallel_tool_calls", &q.Parallel)
	raw := f.Raw("tool_choice")
	if raw == nil || f.Err != nil {
		return f.Err
	}
	if json.Unmarshal(raw, &q.Choice.Mode) == nil {
		switch q.Choice.Mode {
		case "auto", "none", "required":
			return nil
		}
		return neutral.Invalid("tool_choice", "must be auto, none, required or a tool")
	}
	var one struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(raw, &one) != nil {
		return neutral.Invalid("tool_choice", "must be auto, none, required or a tool")
	}
	if one.Type != "function" {
		q.Only = append(q.Only, "a tool_choice of type "+one.Type)
		return nil
	}
	q.Choice = neutral.ToolChoice{Mode: "tool", Name: one.Function.Name}
	return nil
}

// present is a value that is not null.
func present(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

func readFormat(q *neutral.Request, raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var r struct {
		Type   string `json:"type"`
		Schema struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Schema      json.RawMessage `json:"schema"`
			Strict      *bool           `json:"strict"`
		} `json:"json_schema"`
	}
	if json.Unmarshal(raw, &r) != nil {
		return neutral.Invalid("response_format", "must be of its documented form")
	}
	switch r.Type {
	case "", "text":
	case "json_object":
		q.Format = &neutral.Format{}
	case "json_schema":
		if present(r.Schema.Schema) == nil {
			return neutral.Invalid("response_format.json_schema.schema", "is missing")
		}
		q.Format = &neutral.Format{Schema: r.Schema.Schema, Name: r.Schema.Name, Description: r.Schema.Description, Strict: r.Schema.Strict != nil && *r.Schema.Strict}
	default:
		q.Only = append(q.Only, "a response_format of type "+r.Type)
	}
	return nil
}

// cacheControl is how callers mark what the provider's cache is to keep.
type cacheControl struct {
	Type string `json:"type"`
	TTL  string `json:"ttl"`
}

func (c *cacheControl) time() string {
	switch {
	case c == nil || c.Type != "ephemeral":
		return ""
	case c.TTL == "1h":
		return "1h"
	}
	return "5m"
}
