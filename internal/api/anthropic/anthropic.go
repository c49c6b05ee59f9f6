// Package anthropic is the door for code written against Anthropic's Messages API: it moves to Airfield by a base URL and a
// key. Calls go to the gateway, like those of every door.
// The shapes follow https://platform.claude.com/docs/en/api/messages.
package anthropic

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"airfield/internal/api"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// Door serves what of /v1 is Anthropic's.
type Door struct {
	Gateway        *gateway.Gateway
	MaxRequest     int64 // bytes of a model request
	Authentication api.Authenticate
	Log            *slog.Logger
}

// Route is one operation of the door.
type Route struct {
	Method, Path, Summary string
	handler               http.HandlerFunc
}

// Routes are all operations, for the reference. The router is made from the same list.
func Routes() []Route { return (&Door{}).routes() }

func (d *Door) routes() []Route {
	return []Route{
		{"POST", "/v1/messages", "A message, whole or as a stream", d.model(llm.Messages)},
		{"POST", "/v1/messages/count_tokens", "How many tokens a message would have", d.model(llm.CountTokens)},
		{"GET", "/v1/models", "The models that callers may ask for, with the header anthropic-version in Anthropic's shape", d.listModels},
		{"GET", "/v1/models/{model...}", "One model, in the same shape", d.getModel},
	}
}

// Handler returns the router. Every route asks for a key.
func (d *Door) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range d.routes() {
		mux.HandleFunc(r.Method+" "+r.Path, r.handler)
	}
	mux.Handle("/v1/", api.Unknown(mux, "/v1/", d.refuse, "docs/reference/api.md lists what there is"))
	return api.Guard(d.Authentication, d.refuse, api.ModelRoles, mux)
}

// through are the headers that go on to a provider of the same API.
var through = []string{"Anthropic-Version", "Anthropic-Beta"}

// model hands a call to the gateway. The raw body goes on; only the gateway looks into it.
func (d *Door) model(surface llm.Surface) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := api.Body(w, r, d.MaxRequest)
		if err == nil {
			req := gateway.Request{Surface: surface, Body: body, Header: http.Header{}}
			for _, name := range through {
				if values := r.Header[name]; len(values) > 0 {
					req.Header[name] = values
				}
			}
			if err = api.Wishes(r.Header, &req); err == nil {
				err = d.Gateway.Do(r.Context(), &req, w)
			}
		}
		if err != nil {
			d.refuse(w, r, err)
		}
	}
}

// refuse tells an error in the shape that Anthropic's SDKs read, with the id of the exchange where it has one.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	api.LogInternal(d.Log, r, err)
	f := fault.As(err)
	api.Challenge(w, f.Kind.Status())
	w.Header().Set("Content-Type", "application/json")
	api.RetryAfter(w, f)
	body := gateway.MessageError(f)
	if id := w.Header().Get("Request-Id"); id != "" {
		body = append(bytes.TrimSuffix(body, []byte("}")), `,"request_id":"`+id+`"}`...)
	}
	w.WriteHeader(f.Kind.Status())
	w.Write(body)
}

func (d *Door) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

type model struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Name    string `json:"display_name"`
	Created string `json:"created_at"`
	Tier    string `json:"tier,omitempty"`
}

func modelOf(m gateway.Model) model {
	return model{"model", m.Name, m.Name, "1970-01-01T00:00:00Z", m.Tier} // when it was released is not known here
}

type page struct {
	Data    []model `json:"data"`
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

func (d *Door) listModels(w http.ResponseWriter, r *http.Request) {
	p, err := pageOf(d.Gateway.Models(r.Context()), r)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	d.answer(w, p)
}

// pageOf cuts a page out of the models: after_id, before_id and limit say which.
func pageOf(models []gateway.Model, r *http.Request) (*page, error) {
	q, limit := r.URL.Query(), 20
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return nil, fault.New(fault.Invalid, "limit", "limit must be between 1 and 1000, not %q", text).At("limit")
		}
		limit = n
	}
	from, to := 0, len(models)
	for _, name := range []string{"after_id", "before_id"} {
		id := q.Get(name)
		if id == "" {
			continue
		}
		at := slices.IndexFunc(models, func(m gateway.Model) bool { return m.Name == id })
		if at < 0 {
			return nil, fault.New(fault.Invalid, "after", "%s names no model: %q", name, id).At(name)
		}
		if name == "after_id" {
			from = at + 1
		} else {
			from, to = max(from, at-limit), max(at, from)
		}
	}
	p := &page{Data: []model{}, HasMore: to-from > limit || q.Get("before_id") != "" && from > 0}
	for _, m := range models[from:min(from+limit, to)] {
		p.Data = append(p.Data, modelOf(m))
	}
	if n := len(p.Data); n > 0 {
		p.FirstID, p.LastID = &p.Data[0].ID, &p.Data[n-1].ID
	}
	return p, nil
}

func (d *Door) getModel(w http.ResponseWriter, r *http.Request) {
	m, err := d.Gateway.Model(r.Context(), r.PathValue("model"))
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	d.answer(w, modelOf(m))
}
