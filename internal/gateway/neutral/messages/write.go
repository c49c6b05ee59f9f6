package messages

import (
	"encoding/json"
	"strings"
	"unicode"

	"airfield/internal/gateway/neutral"
)

// Check names what the Messages API has no word for.
func (Dialect) Check(q *neutral.Request) string {
	if own := q.Own(); own != "" {
		return own
	}
	thinks := wanted(q) > 0 && mannerOf(q.Model) != never && signed(q)
	switch {
	case len(q.Messages) == 0:
		return "Anthropic needs a message of the user"
	case q.Seed != nil:
		return "Anthropic knows no seed"
	case q.FrequencyPenalty != nil || q.PresencePenalty != nil:
		return "Anthropic knows no frequency_penalty and no presence_penalty"
	case q.Temperature != nil && *q.Temperature > 1:
		return "Anthropic's temperature is between 0 and 1"
	case wanted(q) > 0 && mannerOf(q.Model) == never:
		return "the model " + q.Model + " does not think"
	case thinks && q.Temperature != nil && *q.Temperature != 1:
		return "Anthropic's models think at temperature 1 only"
	case thinks && (q.Choice.Mode == "required" || q.Choice.Mode == "tool"):
		return "Anthropic's models do not think where a tool must be called"
	case q.Format != nil && q.Format.Schema == nil:
		return "Anthropic answers in JSON by a schema, not in any JSON"
	case q.Service == "flex" || q.Service == "scale":
		return "Anthropic has no service tier " + q.Service
	}
	for _, s := range q.Stop {
		if strings.TrimSpace(s) == "" {
			return "Anthropic's stop sequences are more than white space"
		}
	}
	for i := range q.Messages {
		if reason := checkParts(q.Messages[i].Parts); reason != "" {
			return reason
		}
	}
	return ""
}

func checkParts(parts []neutral.Part) string {
	for i := range parts {
		p := &parts[i]
		switch {
		case p.Kind == neutral.Audio:
			return "Anthropic hears no audio"
		case p.Kind == neutral.Document && p.Data != "" && p.Media != "application/pdf":
			return "Anthropic reads documents of application/pdf, not " + p.Media
		}
		if reason := checkParts(p.Parts); reason != "" {
			return reason
		}
	}
	return ""
}

// request is written field by field in a fixed order.
type request struct {
	Model       string            `json:"model"`
	MaxTokens   int64             `json:"max_tokens"`
	System      any               `json:"system,omitempty"`
	Messages    []turn            `json:"messages"`
	Stream      bool              `json:"stream,omitempty"`
	Temperature *float64          `json:"temperature,omitempty"`
	TopP        *float64          `json:"top_p,omitempty"`
	TopK        *int64            `json:"top_k,omitempty"`
	Stop        []string          `json:"stop_sequences,omitempty"`
	Tools       []tool            `json:"tools,omitempty"`
	Choice      *choice           `json:"tool_choice,omitempty"`
	Thinking    *thinking         `json:"thinking,omitempty"`
	Output      *output           `json:"output_config,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Service     string            `json:"service_tier,omitempty"`
}

type turn struct {
	Role    string `json:"role"`
	Content []any  `json:"content"`
}

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"input_schema"`
	Strict      bool            `json:"strict,omitempty"`
	Cache       *cacheControl   `json:"cache_control,omitempty"`
}

type choice struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
	One  bool   `json:"disable_parallel_tool_use,omitempty"`
}

type output struct {
	Effort string  `json:"effort,omitempty"`
	Format *format `json:"format,omitempty"`
}

type format struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

// WriteRequest writes a request. Instructions in mid-conversation join those at its beginning; names of participants,
// the detail of pictures and thoughts that Anthropic did not sign are left out.
func (Dialect) WriteRequest(q *neutral.Request) ([]byte, error) {
	r := &request{Model: q.Model, Stream: q.Stream, Temperature: q.Temperature, TopP: q.TopP, TopK: q.TopK, Stop: q.Stop, Messages: []turn{}}
	var effort string
	r.Thinking, effort, r.MaxTokens = think(q)
	r.System = system(q)
	for i := range q.Messages {
		r.addTurn(&q.Messages[i])
	}
	r.trimPrefill()
	for _, t := range q.Tools {
		schema := t.Schema
		if schema == nil {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		r.Tools = append(r.Tools, tool{t.Name, t.Description, schema, t.Strict, cacheOf(t.Cache)})
	}
	r.Choice = choiceOf(q)
	if q.Format != nil {
		r.Output = &output{effort, &format{"json_schema", q.Format.Schema}}
	} else if effort != "" {
		r.Output = &output{Effort: effort}
	}
	if q.User != "" {
		r.Metadata = map[string]string{"user_id": neutral.ShortUser(q.User, longestUser)}
	}
	switch q.Service {
	case "auto", "priority": // who has bought priority is given it
		r.Service = "auto"
	case "default":
		r.Service = "standard_only"
	}
	return neutral.Encode(r)
}

// longestUser is the most characters that the API takes for metadata.user_id.
const longestUser = 256

// system is one text, or blocks where something in them is to be cached.
func system(q *neutral.Request) any {
	parts := q.System
	for i := range q.Messages {
		if q.Messages[i].Role == neutral.System {
			parts = append(parts[:len(parts):len(parts)], q.Messages[i].Parts...)
		}
	}
	cached := false
	blocks := []any{}
	for i := range parts {
		if parts[i].Kind == neutral.Text && !blank(parts[i].Text) {
			blocks, cached = append(blocks, textOf(&parts[i])), cached || parts[i].Cache != ""
		}
	}
	switch {
	case len(blocks) == 0:
		return nil
	case !cached:
		return neutral.Texts(parts, "\n\n")
	}
	return blocks
}

func choiceOf(q *neutral.Request) *choice {
	if len(q.Tools) == 0 {
		return nil
	}
	c := &choice{Type: q.Choice.Mode, Name: q.Choice.Name}
	if c.Type == "required" {
		c.Type = "any"
	}
	if q.Parallel != nil && !*q.Parallel && c.Type != "none" {
		c.One = true
		if c.Type == "" {
			c.Type = "auto"
		}
	}
	if c.Type == "" {
		return nil
	}
	return c
}

// addTurn adds a message to the last one where both are of the same role.
func (r *request) addTurn(m *neutral.Message) {
	if m.Role == neutral.System {
		return
	}
	blocks := []any{}
	for i := range m.Parts {
		if b := blockOf(&m.Parts[i]); b != nil {
			blocks = append(blocks, b)
		}
	}
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == m.Role {
		r.Messages[n-1].Content = append(r.Messages[n-1].Content, blocks...)
		return
	}
	if len(blocks) > 0 {
		r.Messages = append(r.Messages, turn{m.Role, blocks})
	}
}

// trimPrefill takes the white space from the end of an answer that is to be continued, as the API asks.
func (r *request) trimPrefill() {
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == neutral.Assistant {
		content := r.Messages[n-1].Content
		if t, ok := content[len(content)-1].(*textBlock); ok {
			t.Text = strings.TrimRightFunc(t.Text, unicode.IsSpace)
		}
	}
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

type textBlock struct {
	Type  string        `json:"type"`
	Text  string        `json:"text"`
	Cache *cacheControl `json:"cache_control,omitempty"`
}

func textOf(p *neutral.Part) *textBlock { return &textBlock{"text", p.Text, cacheOf(p.Cache)} }

// blockOf writes a part; nil where nothing is to be said: empty texts are refused.
func blockOf(p *neutral.Part) any {
	switch p.Kind {
	case neutral.Text, neutral.Refusal:
		if blank(p.Text) {
			return nil
		}
		return textOf(p)
	case neutral.Reasoning:
		return thoughtOf(p)
	case neutral.ToolCall:
		return with(p, map[string]any{"type": "tool_use", "id": neutral.CallID(p.ID), "name": p.Name, "input": neutral.Arguments(p.Text)})
	case neutral.ToolResult:
		b := map[string]any{"type": "tool_result", "tool_use_id": neutral.CallID(p.ID)}
		content := []any{}
		for i := range p.Parts {
			if inner := blockOf(&p.Parts[i]); inner != nil {
				content = append(content, inner)
			}
		}
		if len(content) > 0 {
			b["content"] = content
		}
		if p.Failed {
			b["is_error"] = true
		}
		return with(p, b)
	case neutral.Image:
		return with(p, map[string]any{"type": "image", "source": sourceOf(p)})
	case neutral.Document:
		b := map[string]any{"type": "document", "source": sourceOf(p)}
		if p.Name != "" {
			b["title"] = p.Name
		}
		return with(p, b)
	}
	return nil
}

func thoughtOf(p *neutral.Part) any {
	switch {
	case p.Data != "":
		return map[string]any{"type": "redacted_thinking", "data": p.Data}
	case p.Signature != "":
		return map[string]any{"type": "thinking", "thinking": p.Text, "signature": p.Signature}
	}
	return nil
}

func with(p *neutral.Part, b map[string]any) map[string]any {
	if c := cacheOf(p.Cache); c != nil {
		b["cache_control"] = c
	}
	return b
}

func sourceOf(p *neutral.Part) map[string]any {
	switch {
	case p.URL != "":
		return map[string]any{"type": "url", "url": p.URL}
	case p.Data != "":
		return map[string]any{"type": "base64", "media_type": p.Media, "data": p.Data}
	}
	return map[string]any{"type": "text", "media_type": "text/plain", "data": p.Text}
}
