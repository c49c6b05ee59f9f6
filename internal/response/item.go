package response

import (
	"encoding/json"

	"airfield/internal/id"
)

// head is what tells items apart.
type head struct {
	Type      string   `json:"type"`
	ID        string   `json:"id"`
	Role      string   `json:"role"`
	CallID    string   `json:"call_id"`
	Name      string   `json:"name"`
	Arguments string   `json:"arguments"`
	Status    *string  `json:"status"`
	Encrypted *string  `json:"encrypted_content"`
	Queries   []string `json:"queries"`
}

func headOf(item json.RawMessage) (h head) {
	if json.Unmarshal(item, &h) != nil { // of another shape: only its type can matter
		h = head{Type: typeOf(item), ID: idOf(item)}
	}
	if h.Type == "" {
		h.Type = "message"
	}
	return h
}

func typeOf(item json.RawMessage) string { return member(item, "type") }
func idOf(item json.RawMessage) string   { return member(item, "id") }

// member is a text in an object, or empty.
func member(item json.RawMessage, name string) (s string) {
	var o object
	if json.Unmarshal(item, &o) == nil {
		json.Unmarshal(o[name], &s)
	}
	return s
}

// prefixes begin the ids of items that callers gave without one.
var prefixes = map[string]string{"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs", "file_search_call": "fs"}

// kept is an item of the input as it is kept and listed: complete, with an id.
func kept(item json.RawMessage) json.RawMessage {
	var o object
	if json.Unmarshal(item, &o) != nil {
		return item
	}
	h := headOf(item)
	o["type"] = must(h.Type)
	if h.ID == "" {
		prefix := prefixes[h.Type]
		if prefix == "" {
			prefix = "item"
		}
		o["id"] = must(id.New(prefix))
	}
	if h.Type == "message" {
		if h.Status == nil {
			o["status"] = must("completed")
		}
		var text string
		if json.Unmarshal(o["content"], &text) == nil {
			part := map[string]any{"type": "input_text", "text": text}
			if h.Role == "assistant" {
				part = map[string]any{"type": "output_text", "text": text, "annotations": []any{}}
			}
			o["content"] = must([]any{part})
		}
	}
	return must(o)
}

// sendable is an item as it goes to a provider, which knows none of our ids; nil for what is not sent.
func sendable(item json.RawMessage) json.RawMessage {
	var o object
	if json.Unmarshal(item, &o) != nil {
		return item
	}
	h := headOf(item)
	switch h.Type {
	case "message":
		delete(o, "id")
		delete(o, "status")
		o["content"] = plainContent(o["content"])
	case "function_call":
		if h.Status != nil && *h.Status == "incomplete" {
			return nil // it was cut off
		}
		delete(o, "id")
		delete(o, "status")
	case "function_call_output":
		delete(o, "id")
	case "reasoning":
		if h.Encrypted == nil || *h.Encrypted == "" {
			return nil // a provider that keeps nothing cannot know it
		}
		delete(o, "status")
	}
	return must(o)
}

// plainContent takes citations and probabilities from the texts in a content: they name what only we know.
func plainContent(content json.RawMessage) json.RawMessage {
	var parts []object
	if json.Unmarshal(content, &parts) != nil {
		return content
	}
	for _, p := range parts {
		if _, ok := p["annotations"]; ok {
			p["annotations"] = json.RawMessage("[]")
		}
		delete(p, "logprobs")
	}
	return must(parts)
}
