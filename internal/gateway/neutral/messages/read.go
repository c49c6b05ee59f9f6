package messages

import (
	"encoding/json"
	"fmt"

	"airfield/internal/gateway/neutral"
)

// ReadRequest takes a request apart; one to count tokens, which has no bound of the output, too.
func (Surface) ReadRequest(body []byte) (*neutral.Request, error) {
	f, q := neutral.ReadFields("", body), &neutral.Request{}
	if f.Err != nil {
		return nil, f.Err
	}
	q.Model = f.Text("model")
	f.Into("stream", &q.Stream)
	q.MaxOutput, _ = f.Int("max_tokens")
	f.Into("temperature", &q.Temperature)
	f.Into("top_p", &q.TopP)
	if n, ok := f.Int("top_k"); ok {
		q.TopK = &n
	}
	f.Into("stop_sequences", &q.Stop)
	if err := readConversation(f, q); err != nil {
		return nil, err
	}
	if err := readTools(f, q); err != nil {
		return nil, err
	}
	readOutput(f, q)
	readThinking(f, q)
	var who struct {
		ID string `json:"user_id"`
	}
	f.Into("metadata", &who)
	q.User = who.ID
	if q.Service = f.Text("service_tier"); q.Service == "standard_only" {
		q.Service = "default"
	}
	if speed := f.Text("speed"); speed != "" && speed != "standard" {
		q.Only = append(q.Only, "speed "+speed)
	}
	f.Skip("diagnostics", "user_profile_id", "workspace_id")
	q.Only = append(q.Only, f.Left()...)
	q.NameResults()
	return q, f.Err
}

func readConversation(f *neutral.Fields, q *neutral.Request) (err error) {
	if raw := f.Raw("system"); raw != nil {
		if q.System, err = readContent(q, "system", raw); err != nil {
			return err
		}
	}
	raw := f.Raw("messages")
	if raw == nil {
		return neutral.Invalid("messages", "is missing")
	}
	var turns []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(raw, &turns) != nil {
		return neutral.Invalid("messages", "must be a list of messages of their documented form")
	}
	for i, t := range turns {
		at := fmt.Sprintf("messages[%d]", i)
		switch t.Role {
		case neutral.User, neutral.Assistant, neutral.System:
		default:
			return neutral.Invalid(at+".role", "must be user, assistant or system, not %q", t.Role)
		}
		parts, err := readContent(q, at+".content", t.Content)
		if err != nil {
			return err
		}
		q.Messages = append(q.Messages, neutral.Message{Role: t.Role, Parts: parts})
	}
	var whole *cacheControl // marks the last block of the request
	if f.Into("cache_control", &whole) && len(q.Messages) > 0 {
		if parts := q.Messages[len(q.Messages)-1].Parts; len(parts) > 0 {
			parts[len(parts)-1].Cache = whole.time()
		}
	}
	return nil
}

func readTools(f *neutral.Fields, q *neutral.Request) error {
	var tools []struct {
		Type        string          `json:"type"`
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"input_schema"`
		Strict      bool            `json:"strict"`
		Cache       *cacheControl   `json:"cache_control"`
	}
	f.Into("tools", &tools)
	for i, t := range tools {
		if t.Type != "" && t.Type != "custom" {
			q.Only = append(q.Only, "the tool "+t.Type)
			continue
		}
		if t.Name == "" {
			return neutral.Invalid(fmt.Sprintf("tools[%d].name", i), "is missing")
		}
		q.Tools = append(q.Tools, neutral.Tool{Name: t.Name, Description: t.Description, Schema: t.Schema, Strict: t.Strict, Cache: t.Cache.time()})
	}
	var choice struct {
		Type string `json:"type"`
		Name string `json:"name"`
		One  bool   `json:"disable_parallel_tool_use"`
	}
	if !f.Into("tool_choice", &choice) {
		return f.Err
	}
	switch choice.Type {
	case "auto", "none", "tool":
		q.Choice = neutral.ToolChoice{Mode: choice.Type, Name: choice.Name}
	case "any":
		q.Choice.Mode = "required"
	default:
		return neutral.Invalid("tool_choice.type", "must be auto, any, tool or none, not %q", choice.Type)
	}
	if choice.One {
		parallel := false
		q.Parallel = &parallel
	}
	return nil
}

// readOutput reads the form of the answer, where it now stands and where it stood before, and the effort.
func readOutput(f *neutral.Fields, q *neutral.Request) {
	type format struct {
		Type   string          `json:"type"`
		Schema json.RawMessage `json:"schema"`
	}
	var config struct {
		Effort string  `json:"effort"`
		Format *format `json:"format"`
	}
	f.Into("output_config", &config)
	f.Into("output_format", &config.Format)
	if q.Effort = config.Effort; q.Effort == "max" {
		q.Effort = "xhigh"
	}
	if config.Format == nil {
		return
	}
	if config.Format.Type != "json_schema" {
		q.Only = append(q.Only, "an output format of type "+config.Format.Type)
		return
	}
	q.Format = &neutral.Format{Schema: config.Format.Schema, Strict: true}
}

func readThinking(f *neutral.Fields, q *neutral.Request) {
	var t struct {
		Type    string `json:"type"`
		Budget  int64  `json:"budget_tokens"`
		Display string `json:"display"`
	}
	if !f.Into("thinking", &t) {
		return
	}
	switch t.Type {
	case "disabled":
		q.Effort = "none"
	case "enabled":
		q.Thinking, q.Summary = max(t.Budget, 0), t.Display != "omitted"
	case "adaptive":
		if q.Summary = t.Display != "omitted"; q.Effort == "" {
			q.Effort = "high" // which is what it stands for
		}
	default:
		q.Only = append(q.Only, "thinking of type "+t.Type)
	}
}

type cacheControl struct {
	Type string `json:"type"`
	TTL  string `json:"ttl,omitempty"`
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

func cacheOf(time string) *cacheControl {
	switch time {
	case "":
		return nil
	case "1h":
		return &cacheControl{"ephemeral", "1h"}
	}
	return &cacheControl{Type: "ephemeral"}
}
