package neutral

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// DataURL takes a data: URL of base64 apart.
func DataURL(url string) (media, data string, ok bool) {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return "", "", false
	}
	head, data, ok := strings.Cut(rest, ",")
	if !ok {
		return "", "", false
	}
	head, ok = strings.CutSuffix(head, ";base64")
	media, _, _ = strings.Cut(head, ";")
	return media, data, ok && media != ""
}

// Remote reports whether a URL is one that a provider can fetch.
func Remote(url string) bool {
	return strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")
}

// Arguments is the text of a tool call's arguments as a JSON object. A text that is none, because the model was cut off
// or wrote nonsense, is told as {"INVALID_JSON": text}, as Anthropic advises
// (https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming).
func Arguments(text string) json.RawMessage {
	if text = strings.TrimSpace(text); text == "" {
		return json.RawMessage("{}")
	}
	if text[0] == '{' && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	b, err := Encode(map[string]string{"INVALID_JSON": text})
	if err != nil { // strings always are JSON
		return json.RawMessage("{}")
	}
	return b
}

// CallID is the id of a tool call as Anthropic and Bedrock take it: up to 64 letters, digits, _ and -. One of another
// form, because another provider's model made the call, always becomes the same other one.
func CallID(id string) string {
	fine := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}
	if id == "" || len(id) <= 64 && strings.IndexFunc(id, func(r rune) bool { return !fine(r) }) < 0 {
		return id
	}
	return "call_" + digest(id)
}

// ShortUser is a caller's user in at most so many bytes; a longer name always becomes the same other one.
func ShortUser(name string, most int) string {
	if len(name) <= most {
		return name
	}
	return "user_" + digest(name)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// Texts joins the texts among parts.
func Texts(parts []Part, between string) string {
	var texts []string
	for i := range parts {
		if parts[i].Kind == Text && parts[i].Text != "" {
			texts = append(texts, parts[i].Text)
		}
	}
	return strings.Join(texts, between)
}

// NameResults gives tool results the names of the tools that were called.
func (q *Request) NameResults() {
	names := map[string]string{}
	for m := range q.Messages {
		for p := range q.Messages[m].Parts {
			switch part := &q.Messages[m].Parts[p]; part.Kind {
			case ToolCall:
				names[part.ID] = part.Name
			case ToolResult:
				if part.Name == "" {
					part.Name = names[part.ID]
				}
			}
		}
	}
}

// Own says why no other API can serve a request; empty where one may.
func (q *Request) Own() string {
	if len(q.Only) == 0 {
		return ""
	}
	return "it asks for " + strings.Join(q.Only, ", ") + ", which only its own API knows"
}

// ErrorType is a status in the words of Error.Type.
func ErrorType(status int) string {
	switch {
	case status == 401:
		return "authentication_error"
	case status == 403:
		return "permission_error"
	case status == 404:
		return "not_found_error"
	case status == 429:
		return "rate_limit_error"
	case status >= 500 || status == 0:
		return "server_error"
	}
	return "invalid_request_error"
}
