// Package openai is the OpenAI-compatible door: code written against that API moves to Airfield by changing a base URL and a
// key. Model calls go to the gateway, files and vector stores to ingestion and retrieval.
// The shapes follow https://platform.openai.com/docs/api-reference.
package openai

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"airfield/internal/api"
	"airfield/internal/batch"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/ingest"
	"airfield/internal/llm"
	"airfield/internal/response"
	"airfield/internal/retrieve"
)

// Door serves /v1.
type Door struct {
	Gateway        *gateway.Gateway
	Ingest         *ingest.Pipeline
	Retrieve       *retrieve.Retriever
	Batches        *batch.Batches
	Responses      *response.Service
	MaxRequest     int64 // bytes of a model request
	MaxUpload      int64 // bytes of an uploaded file
	Authentication api.Authenticate
	Log            *slog.Logger
}

// model hands a call to the gateway. The raw body goes on; only the gateway looks into it.
func (d *Door) model(surface llm.Surface) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := api.Body(w, r, d.MaxRequest)
		if err == nil {
			req := gateway.Request{Surface: surface, Body: body, ContentType: formType(r)}
			if err = api.Wishes(r.Header, &req); err == nil {
				err = d.Gateway.Do(r.Context(), &req, w)
			}
		}
		if err != nil {
			d.refuse(w, r, err)
		}
	}
}

// formType is the content type of a form, which its reader needs; of everything else the surface says what it is.
func formType(r *http.Request) string {
	if t := r.Header.Get("Content-Type"); strings.HasPrefix(t, "multipart/") {
		return t
	}
	return ""
}

// object answers with JSON or an error.
type object func(w http.ResponseWriter, r *http.Request) (any, error)

func (d *Door) handle(fn object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			api.Bound(w, r, d.MaxRequest)
		}
		v, err := fn(w, r)
		if err != nil {
			d.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
}

// decode reads a JSON body. Fields of the hosted API that mean nothing here are accepted and left alone.
func decode(r *http.Request, into any) error {
	body := json.NewDecoder(r.Body)
	err := body.Decode(into)
	if err == nil {
		if _, more := body.Token(); more == nil {
			return fault.New(fault.Invalid, "json_invalid", "something follows the JSON of the request's body")
		}
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var f *fault.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	case errors.As(err, &syntax):
		return fault.New(fault.Invalid, "json_invalid", "the request's body is not valid JSON at byte %d: %v", syntax.Offset, syntax)
	case errors.As(err, &kind) && kind.Field == "":
		return fault.New(fault.Invalid, "json_type", "the request's body must be a JSON object, not %s", jsonWord(kind.Value))
	case errors.As(err, &kind):
		return fault.New(fault.Invalid, "json_type", "the field %s must be %s, not %s", kind.Field, kindWord(kind.Type), jsonWord(kind.Value)).At(kind.Field)
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "json_invalid", "the request has no body")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Invalid, "json_invalid", "the JSON of the request's body ends too early")
	}
	return api.BodyError(err)
}

// jsonWord is what encoding/json calls a value, as people call it.
func jsonWord(value string) string {
	switch kind, _, _ := strings.Cut(value, " "); kind {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "number":
		return "this number"
	case "bool":
		return "true or false"
	}
	return "a text"
}

// kindWord is a Go type as people call it.
func kindWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "an object"
}

// refuse tells an error in the shape that OpenAI's SDKs read.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	api.LogInternal(d.Log, r, err)
	f := fault.As(err)
	api.Challenge(w, f.Kind.Status())
	w.Header().Set("Content-Type", "application/json")
	api.RetryAfter(w, f)
	w.WriteHeader(f.Kind.Status())
	w.Write(gateway.ErrorBody(f))
}

// list is a page of the hosted API.
type list struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	FirstID string `json:"first_id,omitempty"`
	LastID  string `json:"last_id,omitempty"`
	HasMore bool   `json:"has_more"`
}

// page makes a list of at most limit things out of one more than that, which only says that there are more.
func page[T any](things []T, limit int, show func(T) any, idOf func(T) string) list {
	l := list{Object: "list", Data: []any{}, HasMore: len(things) > limit}
	for _, t := range things[:min(limit, len(things))] {
		l.Data = append(l.Data, show(t))
		l.LastID = idOf(t)
		if l.FirstID == "" {
			l.FirstID = l.LastID
		}
	}
	return l
}

// paging reads after and limit. Lists are in the order of creation; asking for another is refused, not ignored.
func paging(r *http.Request, fallback int) (after string, limit int, err error) {
	q := r.URL.Query()
	limit = fallback
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 1000 {
			return "", 0, fault.New(fault.Invalid, "limit", "limit must be between 1 and 1000, not %q", text).At("limit")
		}
	}
	if q.Get("order") == "desc" || q.Get("before") != "" {
		return "", 0, fault.New(fault.Invalid, "order", "lists are in the order of creation: order=desc and before are not offered").At("order")
	}
	return q.Get("after"), limit, nil
}

func (d *Door) listModels(_ http.ResponseWriter, r *http.Request) (any, error) {
	models := []any{}
	for _, m := range d.Gateway.Models(r.Context()) {
		models = append(models, modelObject(m))
	}
	return list{Object: "list", Data: models}, nil
}

func (d *Door) getModel(_ http.ResponseWriter, r *http.Request) (any, error) {
	m, err := d.Gateway.Model(r.Context(), r.PathValue("model"))
	if err != nil {
		return nil, err
	}
	return modelObject(m), nil
}

func modelObject(m gateway.Model) any {
	owner := "airfield"
	if len(m.Providers) > 0 {
		owner = m.Providers[0]
	}
	return map[string]any{"id": m.Name, "object": "model", "created": 0, "owned_by": owner, "tier": m.Tier, "dimensions": m.Dimensions}
}
