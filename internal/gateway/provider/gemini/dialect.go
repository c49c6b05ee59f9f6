package gemini

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"

	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// dialect is generateContent. Vertex AI knows no ids of function calls.
type dialect struct{ vertex bool }

func (d *dialect) Surface() llm.Surface { return Surface }

const mostStops = 5

var functionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$`)

// Check names what Gemini cannot be asked for. Which model is asked is not yet known.
func (d *dialect) Check(q *neutral.Request) string {
	switch {
	case len(q.Only) > 0:
		return strings.Join(q.Only, ", ") + " cannot be asked of Gemini"
	case q.Parallel != nil && !*q.Parallel && len(q.Tools) > 0:
		return "Gemini cannot be told to call one tool at a time (parallel_tool_calls)"
	case !llm.Usual(q.Service) && q.Service != "auto":
		return "the service tier " + q.Service + " is not asked of Gemini"
	case len(q.Stop) > mostStops:
		return "Gemini takes 5 stop sequences, not more"
	case q.Seed != nil && (*q.Seed > math.MaxInt32 || *q.Seed < math.MinInt32):
		return "Gemini takes seeds of 32 bits"
	case q.Format != nil && q.Format.Schema != nil && !object(q.Format.Schema):
		return "the JSON schema of the answer is not an object"
	}
	for _, t := range q.Tools {
		if !functionName.MatchString(t.Name) {
			return "Gemini takes no tool of the name " + quoted(t.Name)
		}
		if t.Schema != nil && !object(t.Schema) {
			return "the schema of the tool " + t.Name + " is not an object"
		}
	}
	return checkMessages(q.Messages)
}

func checkMessages(messages []neutral.Message) string {
	names, turns := callNames(messages), 0
	for _, m := range messages {
		if m.Role != neutral.System {
			turns++
		}
		for _, p := range m.Parts {
			switch {
			case p.Kind == neutral.ToolCall && p.Text != "" && !object([]byte(p.Text)):
				return "the arguments of the tool call " + quoted(p.ID) + " are not a JSON object"
			case p.Kind == neutral.ToolResult && p.Name == "" && names[p.ID] == "":
				return "the result " + quoted(p.ID) + " is of no tool call in the conversation"
			case (p.Kind == neutral.Image || p.Kind == neutral.Document || p.Kind == neutral.Audio) && p.Data == "" && p.URL == "" && p.Text == "":
				return "a file is named by an id, which Gemini does not know"
			}
		}
	}
	if turns == 0 {
		return "there is no message besides instructions"
	}
	return ""
}

// callNames are the names of the tools by the ids of their calls.
func callNames(messages []neutral.Message) map[string]string {
	names := map[string]string{}
	for _, m := range messages {
		for _, p := range m.Parts {
			if p.Kind == neutral.ToolCall {
				names[p.ID] = p.Name
			}
		}
	}
	return names
}

// WriteRequest writes a GenerateContentRequest. Model and stream stand in its address.
func (d *dialect) WriteRequest(q *neutral.Request) ([]byte, error) {
	w := writer{dialect: d, model: versionOf(q.Model), names: callNames(q.Messages)}
	r := request{Config: w.generation(q)}
	system := w.texts(q.System)
	for _, m := range q.Messages {
		if m.Role == neutral.System {
			system = append(system, w.texts(m.Parts)...)
			continue
		}
		w.turn(&r, m)
	}
	w.sign(r.Contents)
	if len(system) > 0 {
		r.System = &content{Parts: system}
	}
	if len(q.Tools) > 0 {
		r.Tools, r.ToolConfig = []toolbox{{functions(q.Tools)}}, choice(q)
	}
	return json.Marshal(r)
}

func functions(tools []neutral.Tool) []function {
	list := make([]function, len(tools))
	for i, t := range tools {
		list[i] = function{Name: t.Name, Description: t.Description, Schema: t.Schema}
	}
	return list
}

// choice says whether tools are to be called. A strict tool is one whose schema its calls must follow.
func choice(q *neutral.Request) *toolConfig {
	c := calling{Mode: "AUTO"}
	switch q.Choice.Mode {
	case "none":
		c.Mode = "NONE"
	case "required":
		c.Mode = "ANY"
	case "tool":
		c.Mode, c.Allowed = "ANY", []string{q.Choice.Name}
	default:
		strict := false
		for _, t := range q.Tools {
			strict = strict || t.Strict
		}
		if strict {
			c.Mode = "VALIDATED"
		} else if q.Choice.Mode == "" {
			return nil
		}
	}
	return &toolConfig{c}
}

func (w *writer) generation(q *neutral.Request) *generation {
	g := generation{
		MaxOutput: q.MaxOutput, Temperature: q.Temperature, TopP: q.TopP, TopK: q.TopK, FrequencyPenalty: q.FrequencyPenalty,
		PresencePenalty: q.PresencePenalty, Seed: q.Seed, Stop: q.Stop, Thinking: w.thinking(q),
	}
	if q.Format != nil {
		g.Media, g.Schema = "application/json", q.Format.Schema
	}
	if none, err := json.Marshal(g); err == nil && string(none) == "{}" {
		return nil
	}
	return &g
}

func object(b []byte) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal(b, &m) == nil && m != nil
}

func quoted(s string) string {
	b, _ := json.Marshal(s[:min(len(s), 80)]) // a string is always JSON
	return string(b)
}
