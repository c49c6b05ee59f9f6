package gateway

import (
	"net/http"

	"airfield/internal/llm"
)

// Composed is a request with a prompt written into it.
func Composed(surface llm.Surface, body []byte, p RenderedPrompt) ([]byte, error) {
	c := &call{table: &table{}, g: &Gateway{prompts: always{p}}, req: &Request{Surface: surface, Body: body}}
	err := c.render(http.Header{})
	return c.req.Body, err
}

type always struct{ prompt RenderedPrompt }

func (a always) Render(PromptRef) (RenderedPrompt, error) { return a.prompt, nil }
