package messages

import (
	"encoding/json"
	"fmt"

	"airfield/internal/gateway/neutral"
)

// block is an element of a message's content, in a request or an answer.
type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   json.RawMessage `json:"content"`
	Failed    bool            `json:"is_error"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	Data      string          `json:"data"`
	Source    *source         `json:"source"`
	Title     string          `json:"title"`
	Context   string          `json:"context"`
	Citations json.RawMessage `json:"citations"` // of a text a list, of a document a wish
	Cache     *cacheControl   `json:"cache_control"`
}

type source struct {
	Type    string          `json:"type"`
	Media   string          `json:"media_type"`
	Data    string          `json:"data"`
	URL     string          `json:"url"`
	Content json.RawMessage `json:"content"`
}

// readContent reads a text, or a list of blocks.
func readContent(q *neutral.Request, at string, raw json.RawMessage) ([]neutral.Part, error) {
	text := ""
	if raw == nil {
		return nil, neutral.Invalid(at, "is missing")
	}
	if json.Unmarshal(raw, &text) == nil {
		return []neutral.Part{{Kind: neutral.Text, Text: text}}, nil
	}
	var blocks []block
	if json.Unmarshal(raw, &blocks) != nil {
		return nil, neutral.Invalid(at, "must be a text or a list of blocks of their documented form")
	}
	var parts []neutral.Part
	for i := range blocks {
		b, here := &blocks[i], fmt.Sprintf("%s[%d]", at, i)
		read, err := b.read(q, here)
		if err != nil {
			return nil, err
		}
		if len(read) > 0 {
			read[len(read)-1].Cache = b.Cache.time()
		}
		parts = append(parts, read...)
	}
	return parts, nil
}

func (b *block) read(q *neutral.Request, at string) ([]neutral.Part, error) {
	one := func(p neutral.Part) ([]neutral.Part, error) { return []neutral.Part{p}, nil }
	switch b.Type {
	case "text":
		return one(neutral.Part{Kind: neutral.Text, Text: b.Text, Citations: b.citations()})
	case "thinking":
		return one(neutral.Part{Kind: neutral.Reasoning, Text: b.Thinking, Signature: b.Signature})
	case "redacted_thinking":
		return one(neutral.Part{Kind: neutral.Reasoning, Data: b.Data})
	case "tool_use":
		return one(neutral.Part{Kind: neutral.ToolCall, ID: b.ID, Name: b.Name, Text: string(b.Input)})
	case "tool_result":
		p := neutral.Part{Kind: neutral.ToolResult, ID: b.ToolUseID, Failed: b.Failed}
		if b.ToolUseID == "" {
			return nil, neutral.Invalid(at+".tool_use_id", "is missing")
		}
		if len(b.Content) > 0 && string(b.Content) != "null" {
			var err error
			if p.Parts, err = readContent(q, at+".content", b.Content); err != nil {
				return nil, err
			}
		}
		return one(p)
	case "image":
		p := neutral.Part{Kind: neutral.Image}
		err := b.readSource(q, at+".source", &p)
		return []neutral.Part{p}, err
	case "document":
		return b.readDocument(q, at)
	}
	if b.Type == "" {
		return nil, neutral.Invalid(at+".type", "is missing")
	}
	q.Only = append(q.Only, "a block of type "+b.Type)
	return nil, nil
}

func (b *block) citations() (list []json.RawMessage) {
	json.Unmarshal(b.Citations, &list) // anything else is none
	return list
}

func (b *block) readDocument(q *neutral.Request, at string) (parts []neutral.Part, err error) {
	var cited struct {
		Enabled bool `json:"enabled"`
	}
	if json.Unmarshal(b.Citations, &cited) == nil && cited.Enabled {
		q.Only = append(q.Only, "citations")
	}
	if b.Context != "" {
		parts = append(parts, neutral.Part{Kind: neutral.Text, Text: b.Context})
	}
	p := neutral.Part{Kind: neutral.Document, Name: b.Title}
	err = b.readSource(q, at+".source", &p)
	return append(parts, p), err
}

func (b *block) readSource(q *neutral.Request, at string, p *neutral.Part) error {
	if b.Source == nil {
		return neutral.Invalid(at, "is missing")
	}
	switch s := b.Source; s.Type {
	case "base64":
		p.Media, p.Data = s.Media, s.Data
	case "url":
		if p.URL = s.URL; !neutral.Remote(s.URL) {
			return neutral.Invalid(at+".url", "must be an http or https address")
		}
	case "text":
		p.Media, p.Text = "text/plain", s.Data
	case "content":
		inner, err := readContent(q, at+".content", s.Content)
		p.Media, p.Text = "text/plain", neutral.Texts(inner, "\n")
		return err
	default:
		q.Only = append(q.Only, "a source of type "+s.Type)
	}
	return nil
}
