package builtin

import (
	"encoding/json"
	"html"
	"strconv"
	"strings"
)

// passage is one numbered passage of a prompt.
type passage struct {
	n        int
	document string
	heading  string
	text     string
}

// The format in which passages are given, by retrieve and by anyone who asks this model:
//
//	<passages>
//	<passage n="1" document="Travel policy" heading="Hotels > Limits" page="3">
//	text
//	</passage>
//	</passages>
//
//	Question: …
//
// Attributes are escaped as in HTML; inside a passage only its own tags are. What is left of the last user message is
// the question.
const (
	openAll  = "<passages>"
	closeAll = "</passages>"
	openOne  = "<passage "
	closeOne = "</passage>"
)

// message is one turn of a chat as the wire has it.
type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// text is the message's text: a string, or the text parts of a list.
func (m message) text() string {
	var s string
	if json.Unmarshal(m.Content, &s) == nil {
		return s
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if json.Unmarshal(m.Content, &parts) != nil {
		return ""
	}
	var texts []string
	for _, p := range parts {
		if p.Type == "text" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// readPrompt finds the question and the passages of a chat.
func readPrompt(messages []message) (question string, passages []passage) {
	for _, m := range messages {
		text := m.text()
		before, inside, after := cutPassages(text)
		passages = append(passages, readPassages(inside)...)
		if m.Role == "user" {
			question = strings.TrimSpace(before + "\n" + after)
		}
	}
	if i := strings.LastIndex(question, "Question:"); i >= 0 {
		question = question[i+len("Question:"):]
	}
	return strings.TrimSpace(question), passages
}

func cutPassages(text string) (before, inside, after string) {
	start := strings.Index(text, openAll)
	if start < 0 {
		return text, "", ""
	}
	before, inside = text[:start], text[start+len(openAll):]
	inside, after, _ = strings.Cut(inside, closeAll)
	return before, inside, after
}

func readPassages(s string) (list []passage) {
	for {
		_, rest, ok := strings.Cut(s, openOne)
		if !ok {
			return list
		}
		head, rest, ok := strings.Cut(rest, ">\n")
		if !ok {
			return list
		}
		body, rest, _ := strings.Cut(rest, closeOne)
		s = rest
		p := passage{document: attribute(head, "document"), heading: attribute(head, "heading"), text: unescape.Replace(strings.TrimSpace(body))}
		n, err := strconv.Atoi(attribute(head, "n"))
		if err != nil || n < 1 {
			continue
		}
		p.n = n
		list = append(list, p)
	}
}

var unescape = strings.NewReplacer("&lt;passage", "<passage", "&lt;/passage", "</passage")

// attribute reads NAME="VALUE" from a tag's inside.
func attribute(head, name string) string {
	_, rest, ok := strings.Cut(" "+head, " "+name+`="`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return html.UnescapeString(value)
}
