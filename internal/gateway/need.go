package gateway

import (
	"bytes"

	"airfield/internal/llm"
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

// marks are JSON strings that stand in a request only where it needs an ability: quoted in a text they would be escaped.
var marks = []struct {
	text string
	need ability
}{
	{`"tools"`, tools}, {`"functions"`, tools}, {`"tool_calls"`, tools},
	{`"image_url"`, images}, {`"input_image"`, images},
	{`"input_audio"`, audio}, {`"audio"`, audio},
	{`"json_schema"`, jsonSchema},
}

// needs is what a request needs of a model. A text that consists of such a word alone may count as a need, too.
func (q *asked) needs(surface llm.Surface, body []byte) (all ability) {
	if q.stream {
		all |= streaming
	}
	if surface != llm.ChatCompletions {
		return all
	}
	for _, m := range marks {
		if all&m.need == 0 && bytes.Contains(body, []byte(m.text)) {
			all |= m.need
		}
	}
	return all
}

// remote reports whether the request names something that its bytes do not hold: a picture at an address, a file.
func remote(body []byte) bool {
	for _, mark := range []string{`"image_url"`, `"file"`, `"file_id"`, `"file_url"`} {
		if bytes.Contains(body, []byte(mark)) {
			return true
		}
	}
	return false
}

// ceiling is the most tokens a request can use at a deployment. Every token of a text is at least a byte, so its bytes
// bound what goes in; what is not in the bytes is bounded by the context window, if that is known.
func (c *call) ceiling(d *deployment) (u llm.Usage, reason string) {
	if c.asked.unbounded != "" {
		return u, "its field " + c.asked.unbounded + " can cost any amount"
	}
	u.Input = int64(len(c.req.Body))
	if remote(c.req.Body) {
		if d.context == 0 {
			return u, "it names a picture or a file, and how many tokens these are is not known: set context_tokens of the model " + d.model.name
		}
		u.Input = d.context
	} else if d.context > 0 {
		u.Input = min(u.Input, d.context)
	}
	if c.req.Surface == llm.ChatCompletions {
		each := c.asked.maxTokens
		if each == 0 {
			each = d.maxOutput
		}
		if each > mostExpected || c.asked.choices > mostExpected/max(1, each) {
			return u, "it asks for more tokens than any budget holds"
		}
		u.Output = each * c.asked.choices
	}
	u.Source = llm.Estimated
	return u, ""
}
