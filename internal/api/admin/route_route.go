package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/notify"
)

type explainIn struct {
	Body struct {
		Workflow string          `json:"workflow,omitempty" doc:"Whose call it would be."`
		Surface  string          `json:"surface,omitempty" enum:"chat.completions,embeddings" default:"chat.completions"`
		Request  json.RawMessage `json:"request" doc:"The body of the call."`
	}
}

func (d *Door) registerRoutes(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/route", "routeStatus", "How the deployments, the queue and the limits are, as this process sees them", readers}, func(ctx context.Context, _ *struct{}) (gateway.RouteState, error) {
		return d.Gateway.State(ctx), nil
	})
	add(a, d.Log, route{http.MethodPost, "/api/route/explain", "routeExplain", "Which deployments a request would be brought to, and why; nothing is sent", readers}, func(ctx context.Context, in *explainIn) (gateway.RouteExplanation, error) {
		if len(in.Body.Request) == 0 {
			return gateway.RouteExplanation{}, fault.New(fault.Invalid, "request_missing", "request is the body of a call").At("request")
		}
		surface := llm.Surface(in.Body.Surface)
		if surface == "" {
			surface = llm.ChatCompletions
		}
		return d.Gateway.Explain(ctx, in.Body.Workflow, &gateway.Request{Surface: surface, Body: in.Body.Request})
	})
	add(a, d.Log, route{http.MethodGet, "/api/notify", "notifyStatus", "What became of the events that this process told people of, by channel", readers}, func(context.Context, *struct{}) ([]notify.ChannelStatus, error) {
		return append([]notify.ChannelStatus{}, d.Notify.Status()...), nil
	})
	add(a, d.Log, route{http.MethodPost, "/api/notify/test", "notifyTest", "Send a word to a channel, or to each, and say whether it arrived", operators}, func(ctx context.Context, in *testIn) ([]notify.Tested, error) {
		return d.Notify.Test(ctx, in.Body.Channel)
	})
}

type testIn struct {
	Body struct {
		Channel string `json:"channel,omitempty" doc:"Left out: each."`
	}
}
