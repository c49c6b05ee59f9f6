package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// extractable reports whether an extractive answer could stand for the one that was asked for: plain text, once.
func (c *call) extractable() bool {
	return c.g.extractor != nil && c.asked.shape.generates && c.asked.shape.neutral != nil && c.asked.choices == 1 && !c.local &&
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

// giveExtract writes the answer, whole or as a stream, as the caller's surface does. What it quotes stands under airfield.
func (c *call) giveExtract(w http.ResponseWriter, found Extract) error {
	said, err := json.Marshal(map[string]any{"degraded": RungExtractive, "citations": found.Citations})
	if err != nil {
		return err
	}
	surface := c.asked.shape.neutral
	answer := &neutral.Answer{
		ID: c.row.ID, Created: c.row.Start, Model: c.row.Model, Parts: []neutral.Part{{Kind: neutral.Text, Text: found.Text}}, Stop: neutral.EndTurn,
	}
	h := w.Header()
	c.marked(h)
	if !c.asked.stream {
		answer.Usage.Source = llm.Counted // nothing was used
		b, err := surface.WriteAnswer(nil, answer)
		if err != nil {
			return err
		}
		c.charged(h)
		h["Content-Type"] = []string{"application/json"}
		w.Write(inside(b, len(b), said))
		return nil
	}
	h["Content-Type"], h["Cache-Control"] = []string{"text/event-stream"}, []string{"no-cache"}
	var b []byte
	writer, last := surface.NewWriter(nil), 0
	neutral.Events(answer, func(e *neutral.Event) {
		last = len(b)
		b = writer.Write(b, e)
	})
	// The first event of the end takes what we say; the last one is the end mark.
	first := last + bytes.Index(b[last:], []byte("\n\n"))
	b = inside(b, first, said)
	end := bytes.LastIndex(b[:len(b)-2], []byte("\n\n")) + 2
	w.Write(append(append([]byte(nil), b[:end]...), c.ending(nil, b[end:])...))
	return nil
}

// inside puts our statement into the object that ends at a place.
func inside(b []byte, end int, said []byte) []byte {
	at := bytes.LastIndexByte(b[:end], '}')
	return slices.Concat(b[:at], []byte(`,"airfield":`), said, b[at:])
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
