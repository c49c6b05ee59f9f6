package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/token"
	"airfield/internal/llm"
)

// counts reports whether the call only asks how many tokens a request has. A provider that cannot say is not asked: they
// are counted here, which costs nothing.
func (c *call) counts() bool { return c.req.Surface == llm.CountTokens }

// counted answers with an estimate of a request's tokens.
func counted(q *neutral.Request) (*Response, error) {
	body := strconv.AppendInt([]byte(`{"input_tokens":`), tokensOf(q), 10)
	body = append(body, '}')
	return &Response{
		Status: http.StatusOK, ContentType: "application/json", Size: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		Meter: &Known{Read: Reading{Usage: llm.Usage{Source: llm.Counted}}},
	}, nil
}

// tokensOf counts what a model reads of a request: its texts, and a few for the form of each message, part and tool.
func tokensOf(q *neutral.Request) int64 {
	var c token.Counter
	form := int64(3)
	var parts func([]neutral.Part)
	parts = func(list []neutral.Part) {
		for i := range list {
			p := &list[i]
			for _, text := range []string{p.Text, p.Name} {
				c.Add([]byte(text))
			}
			switch form++; {
			case p.Kind == neutral.Image:
				form += picture
			case p.Kind == neutral.Document && p.Text == "":
				form += max(int64(len(p.Data))/bytesOfPage, 1) * page
			}
			parts(p.Parts)
		}
	}
	parts(q.System)
	for i := range q.Messages {
		form += 3
		parts(q.Messages[i].Parts)
	}
	for _, t := range q.Tools {
		form += 8
		c.Add([]byte(t.Name))
		c.Add([]byte(t.Description))
		c.Add(t.Schema)
	}
	if q.Format != nil {
		c.Add(q.Format.Schema)
	}
	return c.Tokens() + form
}

// What cannot be counted from bytes, as Anthropic describes it: a picture of the usual size, and a page of a PDF, which is
// read as text and as a picture (https://platform.claude.com/docs/en/build-with-claude/pdf-support).
const (
	picture     = 1600
	page        = 3000
	bytesOfPage = 100 << 10 // in base64
)
