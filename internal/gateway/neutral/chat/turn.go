package chat

import (
	"encoding/json"
	"fmt"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
)

// turn is a message as it stands in a request or an answer.
type turn struct {
	Role       string          `json:"role"`
	Name       string          `json:"name"`
	Content    json.RawMessage `json:"content"`
	Refusal    string          `json:"refusal"`
	Calls      []toolCall      `json:"tool_calls"`
	CallID     string          `json:"tool_call_id"`
	Function   json.RawMessage `json:"function_call"`
	Audio      json.RawMessage `json:"audio"`
	Thought    string          `json:"reasoning_content"`
	Reasoning  json.RawMessage `json:"reasoning"`
	Details    []detail        `json:"reasoning_details"`
	Cache      *cacheControl   `json:"cache_control"`
	Annotation json.RawMessage `json:"annotations"`
}

type toolCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
	Extra *extra `json:"extra_content,omitempty"`
}

// extra is where Gemini's endpoint puts the signature of a tool call
// (https://ai.google.dev/gemini-api/docs/thought-signatures).
type extra struct {
	Google struct {
		Signature string `json:"thought_signature,omitempty"`
	} `json:"google"`
}

func (c *toolCall) signature() string {
	if c.Extra == nil {
		return ""
	}
	return c.Extra.Google.Signature
}

// detail is a piece of a thought that its provider wants back
// (https://openrouter.ai/docs/use-cases/reasoning-tokens).
type detail struct {
	Type      string `json:"type"` // reasoning.text, reasoning.summary, reasoning.encrypted
	Text      string `json:"text,omitempty"`
	Summary   string `json:"summary,omitempty"`
	Data      string `json:"data,omitempty"`
	Signature string `json:"signature,omitempty"`
	ID        string `json:"id,omitempty"`
	Index     *int   `json:"index,omitempty"`
}

// part is an element of a message's content.
type part struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Refusal string `json:"refusal"`
	Image   *struct {
		URL    string `json:"url"`
		Detail string `json:"detail"`
	} `json:"image_url"`
	Audio *struct {
		Data   string `json:"data"`
		Format string `json:"format"`
	} `json:"input_audio"`
	File *struct {
		Name string `json:"filename"`
		Data string `json:"file_data"`
		ID   string `json:"file_id"`
	} `json:"file"`
	Cache *cacheControl `json:"cache_control"`
}

func readMessages(q *neutral.Request, raw json.RawMessage) error {
	var turns []turn
	if raw == nil {
		return neutral.Invalid("messages", "is missing")
	}
	if json.Unmarshal(raw, &turns) != nil {
		return neutral.Invalid("messages", "must be a list of messages of their documented form")
	}
	answering := false // the last message is one of tool results
	for i := range turns {
		t, at := &turns[i], fmt.Sprintf("messages[%d]", i)
		parts, err := t.parts(q, at)
		if err != nil {
			return err
		}
		m := neutral.Message{Role: neutral.User, Name: t.Name, Parts: parts}
		switch t.Role {
		case "system", "developer":
			if m.Role = neutral.System; len(q.Messages) == 0 {
				q.System = append(q.System, parts...)
				continue
			}
		case "user":
		case "assistant":
			m.Role = neutral.Assistant
		case "tool":
			if t.CallID == "" {
				return neutral.Invalid(at+".tool_call_id", "is missing")
			}
			m.Name, m.Parts = "", []neutral.Part{{Kind: neutral.ToolResult, ID: t.CallID, Name: t.Name, Parts: parts, Cache: t.Cache.time()}}
			if answering {
				last := &q.Messages[len(q.Messages)-1]
				last.Parts = append(last.Parts, m.Parts...)
				continue
			}
		default:
			return neutral.Invalid(at+".role", "must be system, developer, user, assistant or tool, not %q", t.Role)
		}
		answering = t.Role == "tool"
		q.Messages = append(q.Messages, m)
	}
	return nil
}

// parts reads a message's thoughts, content and tool calls, in this order.
func (t *turn) parts(q *neutral.Request, at string) ([]neutral.Part, error) {
	parts := t.thoughts()
	content, err := readContent(q, at+".content", t.Content)
	if err != nil {
		return nil, err
	}
	if len(content) > 0 && t.Cache != nil {
		content[len(content)-1].Cache = t.Cache.time()
	}
	parts = append(parts, content...)
	if t.Refusal != "" {
		parts = append(parts, neutral.Part{Kind: neutral.Refusal, Text: t.Refusal})
	}
	for i := range t.Calls {
		c := &t.Calls[i]
		if c.Type != "" && c.Type != "function" {
			q.Only = append(q.Only, "a tool call of type "+c.Type)
			continue
		}
		parts = append(parts, neutral.Part{Kind: neutral.ToolCall, ID: c.ID, Name: c.Function.Name, Text: c.Function.Arguments, Signature: c.signature()})
	}
	if present(t.Function) != nil {
		q.Only = append(q.Only, "function_call")
	}
	if present(t.Audio) != nil {
		q.Only = append(q.Only, "audio of an earlier answer")
	}
	return parts, nil
}

// thoughts are in reasoning_details where they can be given back to who thought them, else plain.
func (t *turn) thoughts() (parts []neutral.Part) {
	at := map[int]int{} // the pieces of one thought may come apart
	for _, d := range t.Details {
		p := neutral.Part{Kind: neutral.Reasoning, ID: d.ID, Text: d.Text + d.Summary, Data: d.Data, Signature: d.Signature}
		if d.Index != nil {
			if i, ok := at[*d.Index]; ok && p.Data == "" && parts[i].Data == "" && parts[i].Signature == "" {
				parts[i].Text, parts[i].Signature = parts[i].Text+p.Text, p.Signature
				continue
			}
			at[*d.Index] = len(parts)
		}
		parts = append(parts, p)
	}
	if len(parts) > 0 {
		return parts
	}
	if text, field := t.plainThought(); text != "" {
		parts = append(parts, neutral.Part{Kind: neutral.Reasoning, Text: text, Name: field})
	}
	return parts
}

// The fields in which endpoints have what a model thought, and from which some want it back in the middle of a tool loop
// (https://api-docs.deepseek.com/guides/thinking_mode).
const (
	deepSeeks = "reasoning_content"
	groqs     = "reasoning"
)

// plainThought is a thought that nobody signed, and its field, where it has one of its own.
func (t *turn) plainThought() (text, field string) {
	if t.Thought != "" {
		return t.Thought, deepSeeks
	}
	json.Unmarshal(t.Reasoning, &text) // others put an object there, which is not it
	if text != "" {
		return text, groqs
	}
	return innerThought(t.Content), ""
}

// innerThought is what Mistral puts among the parts of the content: {"type":"thinking","thinking":[{"type":"text",…}]}.
func innerThought(content []byte) (text string) {
	if scan.Kind(content) != '[' {
		return ""
	}
	for list := scan.Array(content); list.Next(); {
		for o := scan.Object(list.Value); o.Next(); {
			if string(o.Key) == "thinking" {
				text += contentText(o.Value)
			}
		}
	}
	return text
}

func readContent(q *neutral.Request, at string, raw json.RawMessage) ([]neutral.Part, error) {
	if present(raw) == nil {
		return nil, nil
	}
	text := ""
	if json.Unmarshal(raw, &text) == nil {
		return []neutral.Part{{Kind: neutral.Text, Text: text}}, nil
	}
	var list []part
	if json.Unmarshal(raw, &list) != nil {
		return nil, neutral.Invalid(at, "must be a text or a list of parts of their documented form")
	}
	var parts []neutral.Part
	for i := range list {
		p, err := list[i].read(q, fmt.Sprintf("%s[%d]", at, i))
		if err != nil {
			return nil, err
		}
		p.Cache = list[i].Cache.time()
		parts = append(parts, p)
	}
	return parts, nil
}

func (p *part) read(q *neutral.Request, at string) (neutral.Part, error) {
	switch {
	case p.Type == "text":
		return neutral.Part{Kind: neutral.Text, Text: p.Text}, nil
	case p.Type == "refusal":
		return neutral.Part{Kind: neutral.Refusal, Text: p.Refusal}, nil
	case p.Type == "image_url" && p.Image != nil:
		out := neutral.Part{Kind: neutral.Image, Detail: p.Image.Detail}
		var ok bool
		if out.Media, out.Data, ok = neutral.DataURL(p.Image.URL); !ok {
			if !neutral.Remote(p.Image.URL) {
				return out, neutral.Invalid(at+".image_url.url", "must be an http or https address, or a data: URL of base64")
			}
			out.Media, out.Data, out.URL = "", "", p.Image.URL
		}
		return out, nil
	case p.Type == "input_audio" && p.Audio != nil:
		return neutral.Part{Kind: neutral.Audio, Media: "audio/" + p.Audio.Format, Data: p.Audio.Data}, nil
	case p.Type == "file" && p.File != nil:
		out := neutral.Part{Kind: neutral.Document, Name: p.File.Name}
		if p.File.ID != "" {
			q.Only = append(q.Only, "a file by its id")
			return out, nil
		}
		var ok bool
		if out.Media, out.Data, ok = neutral.DataURL(p.File.Data); !ok {
			return out, neutral.Invalid(at+".file.file_data", "must be a data: URL of base64")
		}
		return out, nil
	}
	return neutral.Part{}, neutral.Invalid(at, "must be a part of type text, image_url, input_audio or file, not %q", p.Type)
}
