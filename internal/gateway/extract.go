package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// extractable reports whether an extractive answer could stand for the one that was asked for: plain text, once.
func (c *call) extractable() bool {
	return c.g.extractor != nil && c.req.Surface == llm.ChatCompletions && c.asked.choices == 1 && !c.local &&
		c.asked.needs(c.req.Body)&^streaming == 0 && !mentions(c.req.Body, "json_object")
}

// extract answers with sentences of the workflow's documents, within the caller's clearance.
func (c *call) extract(w http.ResponseWriter, collections []string) (bool, error) {
	question := lastQuestion(c.asked.content[0].of(c.req.Body))
	if !c.extractable() || question == "" {
		return false, nil
	}
	ctx, cancel := context.WithDeadline(c.ctx, c.until)
	defer cancel()
	found, err := c.g.extractor.Extract(ctx, collections, question)
	if err != nil || !found.Found {
		if err != nil && c.ctx.Err() == nil {
			c.log.Warn("an extractive answer could not be made", "call", c.row.ID, "error", err)
		}
		return false, nil
	}
	citations, err := json.Marshal(found.Citations)
	if err != nil {
		c.log.Error("the citations of an extractive answer are not JSON", "call", c.row.ID, "error", err)
		return false, nil
	}
	found.Citations = json.RawMessage(citations)
	c.row.Degraded, c.served = RungExtractive, nil
	c.row.Deployment, c.row.Provider, c.row.Upstream = RungExtractive, "builtin", ""
	c.row.Status, c.row.Finish, c.row.FirstByte = http.StatusOK, "stop", time.Since(c.row.Start)
	c.charge(llm.Usage{})
	c.finish(llm.OK, nil)
	c.g.degraded(c)
	return true, c.giveExtract(w, found)
}

// giveExtract writes the answer in the shape of a chat completion, or of a stream of one.
func (c *call) giveExtract(w http.ResponseWriter, found Extract) error {
	type message struct {
		Role    string `json:"role,omitempty"`
		Content string `json:"content,omitempty"`
	}
	type choice struct {
		Index   int      `json:"index"`
		Message *message `json:"message,omitempty"`
		Delta   *message `json:"delta,omitempty"`
		Finish  *string  `json:"finish_reason"`
	}
	type statement struct {
		Degraded  string `json:"degraded"`
		Citations any    `json:"citations"`
	}
	type completion struct {
		ID       string           `json:"id"`
		Object   string           `json:"object"`
		Created  int64            `json:"created"`
		Model    string           `json:"model"`
		Choices  []choice         `json:"choices"`
		Usage    map[string]int64 `json:"usage,omitempty"`
		Airfield *statement       `json:"airfield,omitempty"`
	}
	stop := "stop"
	said := &statement{RungExtractive, found.Citations}
	answer := completion{ID: c.row.ID, Object: "chat.completion", Created: c.row.Start.Unix(), Model: c.row.Model, Airfield: said}
	h := w.Header()
	c.marked(h)
	if !c.asked.stream {
		answer.Choices = []choice{{Message: &message{"assistant", found.Text}, Finish: &stop}}
		answer.Usage = map[string]int64{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
		b, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		c.charged(h)
		h["Content-Type"] = []string{"application/json"}
		w.Write(b)
		return nil
	}
	h["Content-Type"], h["Cache-Control"] = []string{"text/event-stream"}, []string{"no-cache"}
	answer.Object, answer.Airfield = "chat.completion.chunk", nil
	var b []byte
	for _, ch := range []choice{{Delta: &message{"assistant", found.Text}}, {Delta: &message{}, Finish: &stop}} {
		if answer.Choices = []choice{ch}; ch.Finish != nil {
			answer.Airfield = said
		}
		event, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		b = append(append(append(b, "data: "...), event...), "\n\n"...)
	}
	w.Write(append(b, c.ending(nil, []byte("data: [DONE]\n\n"))...))
	return nil
}

// lastQuestion is the text of the last message of a user.
func lastQuestion(messages []byte) (question string) {
	for a := scan.Array(messages); a.Next(); {
		role, text := "", ""
		for m := scan.Object(a.Value); m.Next(); {
			switch string(m.Key) {
			case "role":
				role, _ = scan.Text(m.Value)
			case "content":
				text = plainText(m.Value)
			}
		}
		if role == "user" {
			question = text
		}
	}
	return strings.TrimSpace(question)
}

// plainText is a message's content: a text, or a list of parts of which the texts count.
func plainText(content []byte) string {
	if text, ok := scan.Text(content); ok {
		return text
	}
	var texts []string
	for a := scan.Array(content); a.Next(); {
		for m := scan.Object(a.Value); m.Next(); {
			if string(m.Key) == "text" {
				if text, ok := scan.Text(m.Value); ok {
					texts = append(texts, text)
				}
			}
		}
	}
	return strings.Join(texts, "\n")
}
