package gateway

import (
	"bytes"
	"net/http"

	"airfield/internal/llm"
)

// wished is the service tier to ask a deployment for, where the caller wishes for one, the request names none, and there is a
// price for it; empty for none.
func (c *call) wished(t *tried) string {
	service := c.req.Service
	if service == "" || t.usual || c.asked.service != "" || !c.asked.modelAt.found() || (c.req.Surface != llm.ChatCompletions && c.req.Surface != llm.Responses) || !t.d.provider.Takes(c.req.Surface) {
		return ""
	}
	price, ok := t.d.priceAt(c.g.prices, c.row.Start)
	if _, has := price.Services[service]; !ok || !has {
		return ""
	}
	return service
}

// refuses reports whether a refusal may be for the sake of the service tier: there is no room at it now, or the model, or the
// provider, does not know it.
func (r *refusal) refuses(service string) bool {
	switch r.upstream {
	case http.StatusTooManyRequests:
		return true
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return bytes.Contains(r.body, []byte("service_tier")) || bytes.Contains(r.body, []byte(service))
	}
	return false
}
