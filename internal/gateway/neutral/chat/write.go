package chat

import (
	"encoding/json"
	"slices"
	"strings"

	"airfield/internal/gateway/neutral"
)

// Check names what chat completions have no word for.
func (Dialect) Check(q *neutral.Request) string {
	if own := q.Own(); own != "" {
		return own
	}
	if len(q.Messages) == 0 && len(q.System) == 0 {
		return "it has no messages"
	}
	for i := range q.Messages {
		if addressed(q.Messages[i].Parts) {
			return "chat completions take a document's bytes, not its address"
		}
	}
	return ""
}

// addressed reports whether a document is named by its address.
func addressed(parts []neutral.Part) bool {
	return slices.ContainsFunc(parts, func(p neutral.Part) bool {
		return p.Kind == neutral.Document && p.URL != "" || addressed(p.Parts)
	})
}

// request is written field by field in a fixed order.
type request struct {
	Model         string         `json:"model"`
	Messages      []message      `json:"messages"`
	Stream        bool           `json:"stream,omitempty"`
	Options       map[string]any `json:"stream_options,omitempty"`
	MaxTokens     int64          `json:"max_tokens,omitempty"`
	MaxCompletion int64          `json:"max_completion_tokens,omitempty"`
	Temperature   *float64       `json:"temperature,omitempty"`
	TopP          *float64       `json:"top_p,omitempty"`
	TopK          *int64         `json:"top_k,omitempty"`
	Frequency     *float64       `json:"frequency_penalty,omitempty"`
	Presence      *float64       `json:"presence_penalty,omitempty"`
	Seed          *int64         `json:"seed,omitempty"`
	Stop          []string       `json:"stop,omitempty"`
	Tools         []tool         `json:"tools,omitempty"`
	Choice        any            `json:"tool_choice,omitempty"`
	Parallel      *bool          `json:"parallel_tool_calls,omitempty"`
	Format        any            `json:"response_format,omitempty"`
	Effort        string         `json:"reasoning_effort,omitempty"`
	User          string         `json:"user,omitempty"`
	Service       string         `json:"service_tier,omitempty"`
}

type message struct {
	Role    string     `json:"role"`
	Name    string     `json:"name,omitempty"`
	Content any        `json:"content"` // a text, a list of parts, or null
	Refusal string     `json:"refusal,omitempty"`
	Thought string     `json:"reasoning_content,omitempty"`
	Groqs   string     `json:"reasoning,omitempty"`
	Calls   []toolCall `json:"tool_calls,omitempty"`
	CallID  string     `json:"tool_call_id,omitempty"`
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      bool            `json:"strict,omitempty"`
}

// WriteRequest writes a chat completion's request. What it does not say: where the prompt is to be cached, because
// endpoints do that by themselves; effort none, because models that cannot think refuse to be asked about it; thoughts
// that another provider signed.
func (d Dialect) WriteRequest(q *neutral.Request) ([]byte, error) {
	r := &request{
		Model: q.Model, Stream: q.Stream, Temperature: q.Temperature, TopP: q.TopP, TopK: q.TopK, Frequency: q.FrequencyPenalty, Presence: q.PresencePenalty,
		Seed: q.Seed, Stop: q.Stop, User: neutral.ShortUser(q.User, longestUser), Service: q.Service, Effort: effort(q),
	}
	if q.Stream && !d.OmitUsage {
		r.Options = map[string]any{"include_usage": true}
	}
	if d.Cap == "max_completion_tokens" {
		r.MaxCompletion = q.MaxOutput
	} else {
		r.MaxTokens = q.MaxOutput
	}
	if text := neutral.Texts(q.System, "\n\n"); text != "" {
		r.Messages = append(r.Messages, message{Role: "system", Content: text})
	}
	for i := range q.Messages {
		r.Messages = appendTurn(r.Messages, &q.Messages[i])
	}
	for _, t := range q.Tools {
		r.Tools = append(r.Tools, tool{"function", function{t.Name, t.Description, t.Schema, t.Strict}})
	}
	if len(q.Tools) > 0 {
		r.Parallel = q.Parallel
		switch q.Choice.Mode {
		case "":
		case "tool":
			r.Choice = map[string]any{"type": "function", "function": map[string]string{"name": q.Choice.Name}}
		default:
			r.Choice = q.Choice.Mode
		}
	}
	r.Format = formatOf(q.Format)
	return neutral.Encode(r)
}

// longestUser is the most characters that OpenAI takes; ids of coding agents have more.
const longestUser = 64

func formatOf(f *neutral.Format) any {
	switch {
	case f == nil:
		return nil
	case f.Schema == nil:
		return map[string]string{"type": "json_object"}
	}
	name := f.Name
	if name == "" {
		name = "answer"
	}
	schema := struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Strict      bool            `json:"strict"`
		Schema      json.RawMessage `json:"schema"`
	}{name, f.Description, f.Strict, f.Schema}
	return map[string]any{"type": "json_schema", "json_schema": schema}
}

// effort is how hard to think, by the word or by the tokens.
func effort(q *neutral.Request) string {
	switch {
	case q.Effort == "none":
		return ""
	case q.Effort != "" || q.Thinking == 0:
		return q.Effort
	case q.Thinking <= 4<<10:
		return "low"
	case q.Thinking <= 16<<10:
		return "medium"
	}
	return "high"
}

// appendTurn writes a message, which may be several: each tool result is one.
func appendTurn(out []message, m *neutral.Message) []message {
	switch m.Role {
	case neutral.System:
		return append(out, message{Role: "system", Content: neutral.Texts(m.Parts, "\n\n")})
	case neutral.Assistant:
		return append(out, assistant(m))
	}
	var rest, pictures []neutral.Part
	for _, p := range m.Parts {
		if p.Kind != neutral.ToolResult {
			rest = append(rest, p)
			continue
		}
		text, before := neutral.Texts(p.Parts, "\n"), len(pictures)
		for _, inner := range p.Parts {
			if inner.Kind != neutral.Text {
				pictures = append(pictures, inner)
			}
		}
		if text == "" && len(pictures) > before {
			text = "The result follows in the next message."
		}
		out = append(out, message{Role: "tool", CallID: p.ID, Content: text})
	}
	if rest = append(pictures, rest...); len(rest) > 0 { // a tool's message holds text alone
		out = append(out, message{Role: "user", Name: m.Name, Content: content(rest)})
	}
	return out
}

func assistant(m *neutral.Message) message {
	out := message{Role: "assistant", Name: m.Name}
	var texts []string
	for i := range m.Parts {
		switch p := &m.Parts[i]; p.Kind {
		case neutral.Text:
			texts = append(texts, p.Text)
		case neutral.Refusal:
			out.Refusal += p.Text
		case neutral.Reasoning:
			switch {
			case p.Signature != "" || p.Data != "":
			case p.Name == groqs:
				out.Groqs += p.Text
			default:
				out.Thought += p.Text
			}
		case neutral.ToolCall:
			c := toolCall{ID: p.ID, Type: "function"}
			c.Function.Name, c.Function.Arguments = p.Name, argumentsOf(p)
			out.Calls = append(out.Calls, c)
		}
	}
	if len(texts) > 0 {
		out.Content = strings.Join(texts, "")
	}
	return out
}

// content is a text where there is nothing else, or a list of parts.
func content(parts []neutral.Part) any {
	if len(parts) == 1 && parts[0].Kind == neutral.Text {
		return parts[0].Text
	}
	list := []any{}
	for i := range parts {
		p := &parts[i]
		switch p.Kind {
		case neutral.Text:
			list = append(list, map[string]string{"type": "text", "text": p.Text})
		case neutral.Image:
			image := map[string]string{"url": p.URL}
			if p.URL == "" {
				image["url"] = "data:" + p.Media + ";base64," + p.Data
			}
			if p.Detail != "" {
				image["detail"] = p.Detail
			}
			list = append(list, map[string]any{"type": "image_url", "image_url": image})
		case neutral.Audio:
			format := strings.TrimPrefix(p.Media, "audio/")
			list = append(list, map[string]any{"type": "input_audio", "input_audio": map[string]string{"data": p.Data, "format": format}})
		case neutral.Document:
			list = append(list, document(p))
		}
	}
	return list
}

func document(p *neutral.Part) any {
	if p.Data == "" {
		text := p.Text
		if p.Name != "" {
			text = p.Name + "\n\n" + text
		}
		return map[string]string{"type": "text", "text": text}
	}
	name := p.Name
	if name == "" {
		name = "document.pdf"
	}
	return map[string]any{"type": "file", "file": map[string]string{"filename": name, "file_data": "data:" + p.Media + ";base64," + p.Data}}
}
