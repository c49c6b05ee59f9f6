package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// What a caller in the process wishes for is asked for where there is a price for it, and what refuses it is asked without.
func TestAServiceTierIsWishedForAndGivenUp(t *testing.T) {
	tiered := func(c *gateway.Config) {
		m := c.Models["chat"]
		m.Deployments[0].Prices = &gateway.PriceConfig{Input: money.Dollar, Output: 2 * money.Dollar,
			Services: map[string]gateway.ServiceRate{"flex": {RateConfig: gateway.RateConfig{Input: money.Dollar / 2, Output: money.Dollar}}}}
	}
	for name, c := range map[string]struct {
		change  func(*gateway.Config)
		body    string
		refusal int
		says    string
		sent    []string // the service tiers in what is sent
		service string
	}{
		"it is given":          {change: tiered, sent: []string{"flex"}, service: "flex"},
		"there is no room":     {change: tiered, refusal: 429, says: "Resource unavailable", sent: []string{"flex", ""}},
		"it is not known":      {change: tiered, refusal: 400, says: "service_tier is not supported", sent: []string{"flex", ""}},
		"without a price":      {change: func(*gateway.Config) {}, sent: []string{""}},
		"the request says one": {change: tiered, body: `{"model":"chat","service_tier":"default","messages":[]}`, sent: []string{"default"}},
		"another mistake":      {change: tiered, refusal: 400, says: "no such role", sent: []string{"flex"}},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []string
			w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				tier := ""
				for _, known := range []string{"flex", "default"} {
					if strings.Contains(string(b), `"service_tier":"`+known+`"`) {
						tier = known
					}
				}
				sent = append(sent, tier)
				rw.Header().Set("Content-Type", "application/json")
				if tier == "flex" && c.refusal > 0 {
					rw.WriteHeader(c.refusal)
					io.WriteString(rw, `{"error":{"message":"`+c.says+`"}}`)
					return
				}
				io.WriteString(rw, strings.TrimSuffix(whole, "}")+`,"service_tier":"`+tier+`"}`)
			}, c.change)
			body := c.body
			if body == "" {
				body = ask
			}
			ctx := caller.With(context.Background(), &caller.Caller{KeyID: "key_1", Workflow: "support"})
			a, err := w.Answer(ctx, &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(body), Service: "flex"})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(sent, ",") != strings.Join(c.sent, ",") || a.Row.Service != c.service {
				t.Errorf("sent %q, want %q; billed %q", sent, c.sent, a.Row.Service)
			}
			if name == "another mistake" {
				if a.Status != 400 || !strings.Contains(string(a.Body), c.says) {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			} else if a.Status != 200 || !strings.Contains(string(a.Body), "Hello there") || a.Row.Outcome != llm.OK || len(a.Row.Attempts) != len(c.sent) {
				t.Errorf("%d %s %+v", a.Status, a.Body, a.Row.Attempts)
			}
		})
	}
}
