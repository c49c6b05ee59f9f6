package gateway

import (
	"encoding/json"

	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// parameter is a field of a request as a surface says it. A field of the caller's goes before it, and so does one of others.
type parameter struct {
	name   string // empty for one that says nothing there
	value  json.RawMessage
	others []string
}

// sameElsewhere are the parameters that responses and messages name as chat completions do, or that only they know.
var sameElsewhere = map[llm.Surface]map[string]bool{
	llm.Responses: set("temperature", "top_p", "parallel_tool_calls", "metadata", "service_tier", "store", "top_logprobs", "safety_identifier", "prompt_cache_key",
		"max_output_tokens", "reasoning", "text", "include", "truncation", "max_tool_calls"),
	llm.Messages: set("temperature", "top_p", "top_k", "stop_sequences", "thinking", "service_tier", "output_config"),
}

func set(names ...string) map[string]bool {
	all := map[string]bool{}
	for _, n := range names {
		all[n] = true
	}
	return all
}

// sayParameter says in the words of a surface what a parameter of a prompt says in those of chat completions; false where it
// cannot be said.
func sayParameter(s llm.Surface, name string, value json.RawMessage) (parameter, bool) {
	switch s {
	case llm.ChatCompletions:
		p := parameter{name: name, value: value}
		switch name {
		case maxTokens:
			p.others = []string{maxCompletionTokens}
		case maxCompletionTokens:
			p.others = []string{maxTokens}
		}
		return p, true
	case llm.Responses:
		return sayToResponses(name, value)
	case llm.CountTokens:
		if name != "tools" && name != "tool_choice" {
			return parameter{}, true // it counts what goes in
		}
	}
	return sayToMessages(name, value)
}

func sayToResponses(name string, value json.RawMessage) (parameter, bool) {
	switch name {
	case maxTokens, maxCompletionTokens:
		return parameter{name: "max_output_tokens", value: value}, true
	case "reasoning_effort":
		return stated("reasoning", map[string]any{"effort": value})
	case "response_format":
		f, ok := formatOf(value)
		if !ok {
			return parameter{}, false
		}
		flat := map[string]any{"type": f.Type}
		for k, v := range f.Schema {
			flat[k] = v
		}
		return stated("text", map[string]any{"format": flat})
	case "tools":
		return eachTool(value, func(t map[string]json.RawMessage) map[string]any {
			flat := map[string]any{"type": "function"}
			for k, v := range t {
				flat[k] = v
			}
			return flat
		})
	case "tool_choice":
		mode, function, ok := choiceOf(value)
		if !ok {
			return parameter{}, false
		}
		if function != "" {
			return stated(name, map[string]any{"type": "function", "name": function})
		}
		return stated(name, mode)
	}
	return parameter{name: name, value: value}, sameElsewhere[llm.Responses][name]
}

func sayToMessages(name string, value json.RawMessage) (parameter, bool) {
	switch name {
	case maxTokens, maxCompletionTokens:
		return parameter{name: maxTokens, value: value}, true
	case "stop":
		if scan.Kind(value) == '"' {
			value = json.RawMessage("[" + string(value) + "]")
		}
		return parameter{name: "stop_sequences", value: value}, true
	case "response_format":
		f, ok := formatOf(value)
		switch {
		case ok && f.Type == "text":
			return parameter{}, true
		case !ok || f.Type != "json_schema" || f.Schema["schema"] == nil:
			return parameter{}, false
		}
		return stated("output_config", map[string]any{"format": map[string]any{"type": "json_schema", "schema": f.Schema["schema"]}})
	case "tools":
		return eachTool(value, func(t map[string]json.RawMessage) map[string]any {
			tool := map[string]any{"name": t["name"], "input_schema": t["parameters"]}
			if t["parameters"] == nil {
				tool["input_schema"] = map[string]any{"type": "object", "properties": map[string]any{}}
			}
			if t["description"] != nil {
				tool["description"] = t["description"]
			}
			return tool
		})
	case "tool_choice":
		mode, function, ok := choiceOf(value)
		switch {
		case !ok:
			return parameter{}, false
		case function != "":
			return stated(name, map[string]any{"type": "tool", "name": function})
		case mode == "required":
			mode = "any"
		}
		return stated(name, map[string]any{"type": mode})
	}
	return parameter{name: name, value: value}, sameElsewhere[llm.Messages][name]
}

func stated(name string, value any) (parameter, bool) {
	b, err := json.Marshal(value)
	return parameter{name: name, value: b}, err == nil
}

type format struct {
	Type   string                     `json:"type"`
	Schema map[string]json.RawMessage `json:"json_schema"`
}

func formatOf(value json.RawMessage) (f format, ok bool) {
	err := json.Unmarshal(value, &f)
	return f, err == nil && (f.Type == "text" || f.Type == "json_object" || f.Type == "json_schema" && f.Schema != nil)
}

// choiceOf reads which tool is to be called.
func choiceOf(value json.RawMessage) (mode, function string, ok bool) {
	if mode, ok = scan.Text(value); ok {
		return mode, "", mode == "auto" || mode == "none" || mode == "required"
	}
	var read struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	err := json.Unmarshal(value, &read)
	return "", read.Function.Name, err == nil && read.Type == "function" && read.Function.Name != ""
}

// eachTool rewrites a list of functions.
func eachTool(value json.RawMessage, write func(function map[string]json.RawMessage) map[string]any) (parameter, bool) {
	var read []struct {
		Type     string                     `json:"type"`
		Function map[string]json.RawMessage `json:"function"`
	}
	if json.Unmarshal(value, &read) != nil {
		return parameter{}, false
	}
	tools := make([]any, len(read))
	for i, t := range read {
		if t.Type != "function" || t.Function["name"] == nil {
			return parameter{}, false
		}
		tools[i] = write(t.Function)
	}
	return stated("tools", tools)
}
