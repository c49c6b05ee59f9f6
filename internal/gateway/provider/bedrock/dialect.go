package bedrock

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// Converse is what requests to Bedrock speak.
const Converse llm.Surface = "bedrock.converse"

// dialect is Converse, one way of speaking to every model that Bedrock has.
type dialect struct{}

// Surface is the name of the dialect.
func (dialect) Surface() llm.Surface { return Converse }

// WriteRequest writes a request. Its model and whether it streams stand in the path.
func (dialect) WriteRequest(q *neutral.Request) ([]byte, error) {
	var out request
	out.System = texts(q.System)
	for _, m := range q.Messages {
		if m.Role == neutral.System {
			out.System = append(out.System, texts(m.Parts)...)
			continue
		}
		content := blocks(m.Parts)
		switch last := len(out.Messages) - 1; {
		case len(content) == 0:
		case last >= 0 && out.Messages[last].Role == m.Role: // turns must alternate
			out.Messages[last].Content = append(out.Messages[last].Content, content...)
		default:
			out.Messages = append(out.Messages, message{m.Role, content})
		}
	}
	nameDocuments(out.Messages)
	if q.MaxOutput > 0 || q.Temperature != nil || q.TopP != nil || len(q.Stop) > 0 {
		out.Inference = &inference{q.MaxOutput, q.Temperature, q.TopP, q.Stop}
	}
	if len(q.Stop) > 0 {
		out.Wanted = []string{"/stop_sequence"} // Claude says which one it met
	}
	out.Tools = tools(q)
	if q.Format != nil {
		f := &textFormat{Type: "json_schema"}
		s := &f.Structure.Schema
		s.Schema, s.Name, s.Description = string(q.Format.Schema), q.Format.Name, q.Format.Description
		out.Output = &outputConfig{Format: f}
	}
	if tier := services[q.Service]; tier != "" {
		out.Service = &serviceTier{tier}
	}
	out.particular(q)
	b, err := json.Marshal(&out)
	if err != nil {
		return nil, fmt.Errorf("write a request to Bedrock: %w", err)
	}
	return b, nil
}

// texts are the instructions.
func texts(parts []neutral.Part) (list []block) {
	for i := range parts {
		list = appendText(list, parts[i].Text)
		list = appendCache(list, parts[i].Cache)
	}
	return list
}

// blocks is the content of a turn. Texts of blanks are refused by Bedrock and say nothing.
func blocks(parts []neutral.Part) (list []block) {
	for i := range parts {
		p := &parts[i]
		switch p.Kind {
		case neutral.Text, neutral.Refusal:
			list = appendText(list, p.Text)
		case neutral.Image:
			list = append(list, block{Image: &media{imageFormats[mediaType(p.Media)], source{p.Data}}})
		case neutral.Audio:
			list = append(list, block{Audio: &media{audioFormats[mediaType(p.Media)], source{p.Data}}})
		case neutral.Document:
			d := &document{Format: documentFormats[mediaType(p.Media)], Name: p.Name, Source: source{p.Data}}
			if p.Data == "" {
				d.Source.Bytes = base64.StdEncoding.EncodeToString([]byte(p.Text))
			}
			list = append(list, block{Document: d})
		case neutral.ToolCall:
			list = append(list, block{ToolUse: &toolUse{neutral.CallID(p.ID), p.Name, neutral.Arguments(p.Text)}})
		case neutral.ToolResult:
			r := &toolResult{ID: neutral.CallID(p.ID), Content: blocks(p.Parts)}
			if r.Content == nil {
				r.Content = []block{}
			}
			if p.Failed {
				r.Status = "error"
			}
			list = append(list, block{ToolResult: r})
		case neutral.Reasoning:
			switch {
			case p.Data != "":
				list = append(list, block{Reasoning: &reasoning{Redacted: p.Data}})
			case p.Signature != "": // thoughts that nobody signed are not taken back
				list = append(list, block{Reasoning: &reasoning{Text: &reasoningText{p.Text, p.Signature}}})
			}
		}
		list = appendCache(list, p.Cache)
	}
	return list
}

func appendText(list []block, text string) []block {
	if strings.TrimSpace(text) == "" {
		return list
	}
	return append(list, block{Text: &text})
}

// appendCache marks how far the prompt is to be cached; a mark before everything would mark nothing.
func appendCache(list []block, ttl string) []block {
	if ttl == "" || len(list) == 0 {
		return list
	}
	return append(list, block{CachePoint: point(ttl)})
}

// point leaves five minutes unsaid: they are the default, and all that older models take.
func point(ttl string) *cachePoint {
	if ttl == "5m" {
		ttl = ""
	}
	return &cachePoint{"default", ttl}
}

func tools(q *neutral.Request) *toolConfig {
	if len(q.Tools) == 0 || q.Choice.Mode == "none" {
		return nil
	}
	c := &toolConfig{}
	for _, t := range q.Tools {
		spec := &toolSpec{Name: t.Name, Description: t.Description, Strict: t.Strict}
		if spec.Schema.JSON = t.Schema; t.Schema == nil {
			spec.Schema.JSON = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		if c.Tools = append(c.Tools, tool{Spec: spec}); t.Cache != "" {
			c.Tools = append(c.Tools, tool{CachePoint: point(t.Cache)})
		}
	}
	switch q.Choice.Mode {
	case "auto":
		c.Choice = &toolChoice{Auto: &struct{}{}}
	case "required":
		c.Choice = &toolChoice{Any: &struct{}{}}
	case "tool":
		c.Choice = &toolChoice{Tool: &named{q.Choice.Name}}
	}
	return c
}

// nameDocuments gives every document of a conversation a name of its own, of the characters that names may have.
func nameDocuments(messages []message) {
	used := map[string]bool{}
	for _, m := range messages {
		for _, b := range m.Content {
			if b.Document != nil {
				b.Document.Name = documentName(b.Document.Name, used)
			}
			if b.ToolResult == nil {
				continue
			}
			for _, inner := range b.ToolResult.Content {
				if inner.Document != nil {
					inner.Document.Name = documentName(inner.Document.Name, used)
				}
			}
		}
	}
}

func documentName(name string, used map[string]bool) string {
	clean := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-()[]", r)) {
			return r
		}
		return ' '
	}, name)
	clean = strings.Join(strings.Fields(clean), " ")
	if clean = strings.TrimSpace(clean[:min(len(clean), 180)]); clean == "" {
		clean = "document"
	}
	unique := clean
	for n := 2; used[unique]; n++ {
		unique = fmt.Sprintf("%s (%d)", clean, n)
	}
	used[unique] = true
	return unique
}
