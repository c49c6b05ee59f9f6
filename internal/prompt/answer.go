package prompt

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"airfield/internal/fault"
)

// schema is the JSON schema that a version asks its answers to follow.
type schema struct{ compiled *jsonschema.Schema }

// schemaOf reads the schema in a prompt's response_format; nil where it has none.
func schemaOf(p *Prompt) (*schema, error) {
	var format struct {
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	if p == nil || json.Unmarshal(p.Parameters["response_format"], &format) != nil || len(format.JSONSchema.Schema) == 0 {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(format.JSONSchema.Schema))
	if err != nil {
		return nil, fault.New(fault.Invalid, "prompt_schema", "the JSON schema of the prompt cannot be read: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // knows no scheme: a schema refers to itself alone
	if err := c.AddResource("mem:answer", doc); err != nil {
		return nil, fault.New(fault.Invalid, "prompt_schema", "the JSON schema of the prompt cannot be used: %w", err)
	}
	compiled, err := c.Compile("mem:answer")
	if err != nil {
		return nil, fault.New(fault.Invalid, "prompt_schema", "the JSON schema of the prompt cannot be used: %w", err)
	}
	return &schema{compiled}, nil
}

func (s *schema) holds(answer string) bool {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(answer))
	return err == nil && s.compiled.Validate(v) == nil
}

// part is a piece of an answer, or of an event of one, on any surface.
type part struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Name    string `json:"name"`
	Partial string `json:"partial_json"`

	Arguments json.RawMessage `json:"arguments"`
	Input     json.RawMessage `json:"input"`
	Content   json.RawMessage `json:"content"`
	Calls     []struct {
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// said is an answer, or an event of one, on any surface.
type said struct {
	Type    string `json:"type"`
	Choices []struct {
		Message part `json:"message"`
		Delta   part `json:"delta"`
	} `json:"choices"`
	Content      []part          `json:"content"`
	Output       []part          `json:"output"`
	Delta        json.RawMessage `json:"delta"`
	ContentBlock part            `json:"content_block"`
}

// answerText is what an answer says: its text, and the tools that it calls, one a line. It reads whole answers and streams of
// chat completions, responses and messages; anything else is shown as it is.
func answerText(answer []byte) string {
	var b strings.Builder
	var w said
	if json.Unmarshal(answer, &w) == nil {
		w.write(&b)
	} else {
		for line := range bytes.Lines(answer) {
			data, is := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data:"))
			var event said
			if is && json.Unmarshal(bytes.TrimSpace(data), &event) == nil {
				event.writeEvent(&b)
			}
		}
	}
	if b.Len() == 0 {
		return strings.ToValidUTF8(string(answer), "�")
	}
	return b.String()
}

func (w *said) write(b *strings.Builder) {
	if len(w.Choices) > 0 {
		w.Choices[0].Message.write(b)
	}
	for _, list := range [][]part{w.Content, w.Output} {
		for i := range list {
			list[i].write(b)
		}
	}
}

func (w *said) writeEvent(b *strings.Builder) {
	if len(w.Choices) > 0 {
		w.Choices[0].Delta.write(b)
	}
	switch w.Type {
	case "content_block_start":
		if w.ContentBlock.Name != "" {
			b.WriteString(w.ContentBlock.Name + " ")
		}
	case "content_block_delta":
		var d part
		if json.Unmarshal(w.Delta, &d) == nil {
			b.WriteString(d.Text + d.Partial)
		}
	case "response.output_text.delta", "response.function_call_arguments.delta":
		var text string
		if json.Unmarshal(w.Delta, &text) == nil {
			b.WriteString(text)
		}
	}
}

func (p *part) write(b *strings.Builder) {
	var text string
	var parts []part
	switch {
	case json.Unmarshal(p.Content, &text) == nil && len(p.Content) > 0:
		b.WriteString(text)
	case json.Unmarshal(p.Content, &parts) == nil && len(p.Content) > 0:
		for i := range parts {
			parts[i].write(b)
		}
	}
	switch p.Type {
	case "thinking", "reasoning":
		return
	case "tool_use":
		b.WriteString(p.Name + " " + string(p.Input))
	case "function_call":
		var arguments string
		if json.Unmarshal(p.Arguments, &arguments) == nil {
			b.WriteString(p.Name + " " + arguments)
		}
	}
	b.WriteString(p.Text)
	for _, c := range p.Calls {
		if c.Function.Name != "" {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(c.Function.Name + " ")
		}
		b.WriteString(c.Function.Arguments)
	}
}
