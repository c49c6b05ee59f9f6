package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"airfield/internal/api/admin"
)

// callBody shows what was asked and answered in a call.
func (e *environment) callBody(ctx context.Context, c *client, callID string, raw bool) error {
	b, err := get[admin.CallBody](ctx, c, "/api/calls/"+url.PathEscape(callID)+"/body")
	if err != nil {
		return err
	}
	if raw && !e.json {
		for _, t := range []*admin.BodyText{b.Request, b.Answer} {
			if t == nil {
				continue
			}
			if _, err := e.out.Write(bytesOf(t)); err != nil {
				return err
			}
			e.printf("\n")
		}
		return nil
	}
	return e.show(b, func() { e.exchange(b) })
}

func bytesOf(t *admin.BodyText) []byte {
	if t.Base64 != nil {
		return t.Base64
	}
	return []byte(t.Text)
}

// exchange prints a request and an answer for people: messages by their roles, a stream put together.
func (e *environment) exchange(b admin.CallBody) {
	e.heading("request", b.Request)
	if b.Request != nil {
		e.turns(requestTurns(b.Request), b.Request)
	}
	e.heading("answer", b.Answer)
	if b.Answer != nil {
		e.turns(answerTurns(b.Answer), b.Answer)
	}
	if b.Redaction != "" {
		e.printf("%s\n", e.colour(text.Faint, "redacted by the rules "+printable(b.Redaction)))
	}
}

func (e *environment) heading(name string, t *admin.BodyText) {
	switch {
	case t == nil:
		e.printf("── %s: not kept\n", name)
	case t.Truncated:
		e.printf("── %s, the beginning of %s\n", name, size(t.Bytes))
	default:
		e.printf("── %s, %s\n", name, size(t.Bytes))
	}
}

// turn is what one role said.
type turn struct{ role, text string }

// turns prints what was understood, and otherwise the text as it is.
func (e *environment) turns(list []turn, t *admin.BodyText) {
	if len(list) == 0 {
		list = []turn{{"", string(bytesOf(t))}}
	}
	for _, one := range list {
		if one.role != "" {
			e.printf("%s\n", e.colour(text.Bold, printable(one.role)))
		}
		for _, line := range strings.Split(strings.TrimRight(one.text, "\n"), "\n") {
			e.printf("  %s\n", printable(line))
		}
	}
}

// requestTurns reads the messages of chat completions, messages and responses. Of anything else there are none.
func requestTurns(t *admin.BodyText) (list []turn) {
	var r struct {
		System       json.RawMessage `json:"system"`
		Instructions json.RawMessage `json:"instructions"`
		Messages     []message       `json:"messages"`
		Input        json.RawMessage `json:"input"`
	}
	if json.Unmarshal(bytesOf(t), &r) != nil {
		return nil
	}
	for _, top := range []json.RawMessage{r.System, r.Instructions} {
		if said := content(top); said != "" {
			list = append(list, turn{"system", said})
		}
	}
	var items []message
	if json.Unmarshal(r.Input, &items) == nil {
		r.Messages = append(r.Messages, items...)
	} else if said := content(r.Input); said != "" {
		list = append(list, turn{"input", said})
	}
	for _, m := range r.Messages {
		list = append(list, m.turn())
	}
	return list
}

// message is one of a conversation, in any of the three APIs, or an item of a response.
type message struct {
	Role      string          `json:"role"`
	Type      string          `json:"type"`
	Content   json.RawMessage `json:"content"`
	Refusal   string          `json:"refusal"`
	ToolCalls []toolCall      `json:"tool_calls"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Output    json.RawMessage `json:"output"`
}

type toolCall struct {
	Function struct{ Name, Arguments string } `json:"function"`
}

func (m message) turn() turn {
	var parts []string
	for _, said := range []string{content(m.Content), m.Refusal, content(m.Output)} {
		if said != "" {
			parts = append(parts, said)
		}
	}
	if m.Type == "function_call" {
		parts = append(parts, "→ "+m.Name+" "+m.Arguments)
	}
	for _, c := range m.ToolCalls {
		parts = append(parts, "→ "+c.Function.Name+" "+c.Function.Arguments)
	}
	role := m.Role
	if role == "" {
		role = m.Type
	}
	return turn{role, strings.Join(parts, "\n")}
}

// content reads a text, or a list of parts.
func content(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var parts []struct {
		Type      string          `json:"type"`
		Text      string          `json:"text"`
		Thinking  string          `json:"thinking"`
		Refusal   string          `json:"refusal"`
		Name      string          `json:"name"`
		Arguments string          `json:"arguments"`
		Input     json.RawMessage `json:"input"`
		Content   json.RawMessage `json:"content"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return string(raw)
	}
	var said []string
	for _, p := range parts {
		switch {
		case p.Name != "":
			said = append(said, "→ "+p.Name+" "+p.Arguments+string(p.Input))
		case p.Text+p.Thinking+p.Refusal != "":
			said = append(said, p.Text+p.Thinking+p.Refusal)
		case len(p.Content) > 0:
			said = append(said, content(p.Content))
		default:
			said = append(said, "["+p.Type+"]")
		}
	}
	return strings.Join(said, "\n")
}

// answerTurns reads an answer, whole or as a stream.
func answerTurns(t *admin.BodyText) []turn {
	if strings.HasPrefix(t.MediaType, "text/event-stream") {
		return streamTurns(bytesOf(t))
	}
	var r struct {
		Choices []struct{ Message message } `json:"choices"`
		Output  []message                   `json:"output"`
		Role    string                      `json:"role"`
		Content json.RawMessage             `json:"content"`
		Error   json.RawMessage             `json:"error"`
	}
	if json.Unmarshal(bytesOf(t), &r) != nil {
		return nil
	}
	var list []turn
	for _, c := range r.Choices {
		list = append(list, c.Message.turn())
	}
	for _, m := range r.Output {
		list = append(list, m.turn())
	}
	if len(r.Content) > 0 {
		list = append(list, message{Role: r.Role, Content: r.Content}.turn())
	}
	if len(r.Error) > 0 && string(r.Error) != "null" {
		list = append(list, turn{"error", string(r.Error)})
	}
	return list
}

// streamTurns puts the pieces of a stream together.
func streamTurns(b []byte) []turn {
	said, names := map[string]*strings.Builder{}, []string{}
	add := func(name, piece string) {
		if piece == "" {
			return
		}
		if said[name] == nil {
			said[name] = &strings.Builder{}
			names = append(names, name)
		}
		said[name].WriteString(piece)
	}
	for _, line := range strings.Split(string(b), "\n") {
		data, ok := strings.CutPrefix(line, "data:")
		if !ok {
			continue
		}
		var event struct {
			Type    string          `json:"type"`
			Index   int             `json:"index"`
			Output  int             `json:"output_index"`
			Delta   json.RawMessage `json:"delta"`
			Error   json.RawMessage `json:"error"`
			Block   message         `json:"content_block"`
			Item    message         `json:"item"`
			Choices []struct {
				Index int `json:"index"`
				Delta struct {
					Content, Refusal string
					ToolCalls        []struct {
						Index    int
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				} `json:"delta"`
			} `json:"choices"`
		}
		if json.Unmarshal([]byte(data), &event) != nil {
			continue
		}
		for _, c := range event.Choices {
			add(numbered("assistant", c.Index), c.Delta.Content+c.Delta.Refusal)
			for _, call := range c.Delta.ToolCalls {
				name := fmt.Sprintf("%s, tool call %d", numbered("assistant", c.Index), call.Index+1)
				if call.Function.Name != "" {
					add(name, "→ "+call.Function.Name+" ")
				}
				add(name, call.Function.Arguments)
			}
		}
		if event.Type == "content_block_start" && event.Block.Name != "" {
			add(numbered("assistant", event.Index), "→ "+event.Block.Name+" ")
		}
		if event.Type == "response.output_item.added" && event.Item.Name != "" {
			add(numbered("assistant", event.Output), "→ "+event.Item.Name+" ")
		}
		var text string
		var delta struct {
			Text, Thinking string
			Partial        string `json:"partial_json"`
		}
		switch {
		case len(event.Delta) == 0:
		case json.Unmarshal(event.Delta, &text) == nil:
			add(numbered("assistant", event.Output), text)
		case json.Unmarshal(event.Delta, &delta) == nil:
			add(numbered("assistant", event.Index), delta.Text+delta.Thinking+delta.Partial)
		}
		if len(event.Error) > 0 && string(event.Error) != "null" {
			add("error", string(event.Error))
		}
	}
	slices.SortStableFunc(names, strings.Compare)
	var list []turn
	for _, name := range names {
		list = append(list, turn{name, said[name].String()})
	}
	return list
}

// numbered names the first of several without a number.
func numbered(role string, index int) string {
	if index == 0 {
		return role
	}
	return fmt.Sprintf("%s %d", role, index+1)
}
