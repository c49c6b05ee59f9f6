package gateway

import (
	"bytes"
	"strconv"
)

// ability is what a request may need of a model.
type ability uint8

const (
	tools ability = 1 << iota
	images
	audio
	jsonSchema
	streaming
)

var abilities = map[string]ability{"tools": tools, "images": images, "audio": audio, "json_schema": jsonSchema, "stream": streaming}

func abilitiesOf(names ...[]string) (all ability) {
	for _, list := range names {
		for _, name := range list {
			all |= abilities[name]
		}
	}
	return all
}

// first names one of the abilities.
func (a ability) first() string {
	for _, name := range []string{"tools", "images", "audio", "json_schema", "stream"} {
		if a&abilities[name] != 0 {
			return name
		}
	}
	return ""
}

// mark is a JSON string that stands in a request only where it needs an ability: quoted in a text it would be escaped.
type mark struct {
	text string
	need ability
}

var (
	chatMarks = []mark{
		{"tools", tools}, {"functions", tools}, {"tool_calls", tools},
		{"image_url", images}, {"input_image", images},
		{"input_audio", audio}, {"audio", audio},
		{"json_schema", jsonSchema},
	}
	responseMarks = []mark{{"tools", tools}, {"function_call", tools}, {"input_image", images}, {"input_audio", audio}, {"json_schema", jsonSchema}}
	messageMarks  = []mark{{"tools", tools}, {"tool_use", tools}, {"image", images}, {"json_schema", jsonSchema}}
)

// needs is what a request needs of a model. A text that consists of such a word alone may count as a need, too. It is
// looked for once: every deployment is held against it.
func (q *asked) needs(body []byte) ability {
	if !q.looked {
		q.looked, q.need = true, q.lookForNeeds(body)
	}
	return q.need
}

func (q *asked) lookForNeeds(body []byte) (all ability) {
	if q.stream {
		all |= streaming
	}
	if len(q.shape.marks) == 0 {
		return all
	}
	body = spelled(body)
	for _, m := range q.shape.marks {
		if all&m.need == 0 && quoted(body, m.text) {
			all |= m.need
		}
	}
	return all
}

// mentions reports whether one of some words of small letters is a string, or a key, of the request.
func mentions(body []byte, words ...string) bool {
	body = spelled(body)
	for _, word := range words {
		if quoted(body, word) {
			return true
		}
	}
	return false
}

// quoted looks for a word in quotes.
func quoted(body []byte, word string) bool {
	for {
		i := bytes.Index(body, []byte(word))
		if i < 0 {
			return false
		}
		end := i + len(word)
		if i > 0 && body[i-1] == '"' && end < len(body) && body[end] == '"' {
			return true
		}
		body = body[i+1:]
	}
}

// spelled writes the letters of a body out that are escaped (\u0061 is an a), so that a word is found however it is
// written. What it returns is for looking only: it may no longer be the same JSON.
func spelled(body []byte) []byte {
	if !bytes.Contains(body, []byte(`\u00`)) {
		return body
	}
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		if c, ok := letter(body[i:]); ok {
			out = append(out, c)
			i += 5
			continue
		}
		out = append(out, body[i])
	}
	return out
}

// letter reads an escape of a letter, a digit or the line below.
func letter(b []byte) (byte, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' || b[2] != '0' || b[3] != '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[4:6]), 16, 8)
	c := byte(n)
	return c, err == nil && (c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z')
}

// remote reports whether the request names something that its bytes do not hold: a picture at an address, a file.
func (q *asked) remote(body []byte) bool { return mentions(body, q.shape.remote...) }
