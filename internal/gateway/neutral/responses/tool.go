package responses

import (
	"encoding/json"
	"fmt"

	"airfield/internal/gateway/neutral"
)

// tool is a function in the flat form, or one of OpenAI's own tools.
type tool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`
}

func readTools(w *wire, q *neutral.Request) error {
	for i, t := range w.Tools {
		at := fmt.Sprintf("tools.%d", i)
		switch t.Type {
		case "function":
			if t.Name == "" {
				return wrong(at+".name", "%s is a function without a name", at)
			}
			if given(t.Parameters) && !object(t.Parameters) {
				return wrong(at+".parameters", "%s.parameters must be a JSON Schema", at)
			}
			n := neutral.Tool{Name: t.Name, Description: text(t.Description), Strict: t.Strict != nil && *t.Strict}
			if given(t.Parameters) {
				n.Schema = t.Parameters
			}
			q.Tools = append(q.Tools, n)
		case "":
			return wrong(at+".type", "%s has no type", at)
		default: // web_search, code_interpreter, computer_use_preview, image_generation, mcp, custom, …
			q.Only = append(q.Only, "the tool "+clip(t.Type))
		}
	}
	return nil
}

func readChoice(w *wire, q *neutral.Request) error {
	if !given(w.Choice) {
		return nil
	}
	var mode string
	if json.Unmarshal(w.Choice, &mode) == nil {
		if mode != "auto" && mode != "none" && mode != "required" {
			return wrong("tool_choice", "tool_choice must be auto, none, required or an object, not %q", mode)
		}
		q.Choice.Mode = mode
		return nil
	}
	var c struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Mode  string `json:"mode"`
		Tools []tool `json:"tools"`
	}
	if err := json.Unmarshal(w.Choice, &c); err != nil {
		return wrong("tool_choice", "tool_choice must be auto, none, required or an object")
	}
	switch c.Type {
	case "function":
		if c.Name == "" {
			return wrong("tool_choice.name", "tool_choice names no function")
		}
		q.Choice = neutral.ToolChoice{Mode: "tool", Name: c.Name}
	case "allowed_tools":
		return allow(q, c.Mode, c.Tools)
	default:
		q.Only = append(q.Only, "tool_choice of the type "+clip(c.Type))
	}
	return nil
}

// allow leaves the tools that may be called: nobody else can be told of tools that may not.
func allow(q *neutral.Request, mode string, allowed []tool) error {
	if mode != "auto" && mode != "required" {
		return wrong("tool_choice.mode", "tool_choice.mode must be auto or required, not %q", mode)
	}
	names := map[string]bool{}
	for _, t := range allowed {
		names[t.Name] = t.Type == "function"
	}
	var left []neutral.Tool
	for _, t := range q.Tools {
		if names[t.Name] {
			left = append(left, t)
		}
	}
	if len(left) == 0 {
		return wrong("tool_choice.tools", "tool_choice allows none of the tools")
	}
	q.Tools, q.Choice.Mode = left, mode
	return nil
}

// clip bounds a caller's word in a reason.
func clip(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return fmt.Sprintf("%q", s)
}
