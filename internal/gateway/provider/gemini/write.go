package gemini

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/url"
	"path"
	"strings"

	"airfield/internal/gateway/neutral"
)

// writer writes the turns of one request.
type writer struct {
	dialect *dialect
	model   version
	names   map[string]string
}

// turn adds a message. Google's conversations alternate: what one side says in several messages is one turn.
func (w *writer) turn(r *request, m neutral.Message) {
	role := "user"
	if m.Role == neutral.Assistant {
		role = "model"
	}
	var parts []part
	for _, p := range m.Parts {
		parts = append(parts, w.part(p)...)
	}
	if len(parts) == 0 {
		return
	}
	if n := len(r.Contents); n > 0 && r.Contents[n-1].Role == role {
		r.Contents[n-1].Parts = append(r.Contents[n-1].Parts, parts...)
		return
	}
	r.Contents = append(r.Contents, content{role, parts})
}

// part says a part. Thoughts are not told back: what is wanted of them is their signature, on what followed them.
func (w *writer) part(p neutral.Part) []part {
	switch p.Kind {
	case neutral.Text, neutral.Refusal:
		if p.Text == "" {
			return nil
		}
		return []part{{Text: &p.Text, Signature: signature(p.Signature)}}
	case neutral.Image, neutral.Document, neutral.Audio:
		return w.file(p)
	case neutral.ToolCall:
		args := json.RawMessage(p.Text)
		if p.Text == "" {
			args = json.RawMessage("{}")
		}
		return []part{{Call: &functionCall{w.id(p.ID), p.Name, args}, Signature: signature(p.Signature)}}
	case neutral.ToolResult:
		return w.result(p)
	}
	return nil
}

func (w *writer) id(id string) string {
	if w.dialect.vertex {
		return ""
	}
	return id
}

func (w *writer) file(p neutral.Part) []part {
	switch {
	case p.Data != "":
		return []part{{Inline: &blob{mediaOf(p), p.Data}}}
	case p.URL != "":
		return []part{{File: &file{mediaOf(p), p.URL}}}
	case p.Text != "":
		return []part{{Text: &p.Text}}
	}
	return nil
}

// mediaOf is the media type of a file: the caller's, else what its address ends with.
func mediaOf(p neutral.Part) string {
	if p.Media != "" {
		return p.Media
	}
	if u, err := url.Parse(p.URL); err == nil && p.URL != "" {
		media, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(u.Path)), ";")
		return media
	}
	if p.Kind == neutral.Document && p.Data != "" {
		return "application/pdf"
	}
	return ""
}

// result says what a tool gave. Pictures in it belong into the result since Gemini 3, before they stand beside it.
func (w *writer) result(p neutral.Part) []part {
	var text strings.Builder
	var files []part
	for _, inner := range p.Parts {
		if inner.Kind == neutral.Text {
			text.WriteString(inner.Text)
			continue
		}
		files = append(files, w.file(inner)...)
	}
	text.WriteString(p.Text)
	name := p.Name
	if name == "" {
		name = w.names[p.ID]
	}
	field := "output"
	if p.Failed {
		field = "error"
	}
	r := functionResult{ID: w.id(p.ID), Name: name, Response: map[string]string{field: text.String()}}
	if w.model.signs() {
		r.Parts, files = files, nil
	}
	return append([]part{{Result: &r}}, files...)
}

func (w *writer) texts(parts []neutral.Part) (list []part) {
	for _, p := range parts {
		if p.Text != "" {
			list = append(list, part{Text: &p.Text})
		}
	}
	return list
}

// unsigned is what Google documents for calls of functions whose signature is not known, because another model made them
// or the caller's API has no place for it (https://ai.google.dev/gemini-api/docs/thought-signatures).
const unsigned = "skip_thought_signature_validator"

// sign sees to it that the first call of each turn is signed: models that sign refuse the conversation otherwise.
func (w *writer) sign(turns []content) {
	if !w.model.signs() {
		return
	}
	for _, t := range turns {
		for i := range t.Parts {
			if t.Parts[i].Call == nil {
				continue
			}
			if t.Parts[i].Signature == "" {
				t.Parts[i].Signature = unsigned
			}
			break
		}
	}
}

// signature is one that may be Google's: bytes as base64. Another would have the whole request refused.
func signature(s string) string {
	if s == unsigned {
		return s
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if _, err := enc.DecodeString(s); err == nil {
			return s
		}
	}
	return ""
}
