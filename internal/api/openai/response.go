package openai

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"airfield/internal/api"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/response"
)

// createResponse answers with as many calls of the gateway as a response takes, all of them with the caller's wishes.
func (d *Door) createResponse(w http.ResponseWriter, r *http.Request) {
	wish := gateway.Request{Surface: llm.Responses}
	body, err := api.Body(w, r, d.MaxRequest)
	if err == nil {
		err = api.Wishes(r.Header, &wish)
	}
	if err == nil {
		wish.Sent = int64(len(body))
		err = d.Responses.Create(r.Context(), body, wish.Timeout, func(ctx context.Context, body []byte, epochs string, timeout time.Duration, w http.ResponseWriter) error {
			req := wish
			req.Body, req.Epochs, req.Timeout = body, epochs, timeout
			wish.Further = true // passages are ours, and have a bound of their own
			return d.Gateway.Do(ctx, &req, w)
		}, w)
	}
	if err != nil {
		d.refuse(w, r, err)
	}
}

func (d *Door) getResponse(_ http.ResponseWriter, r *http.Request) (any, error) {
	if stream := r.URL.Query().Get("stream"); stream != "" && stream != "false" {
		return nil, fault.New(fault.Invalid, "stream_unsupported", "a response that is kept is not streamed again: only those in the background could be, and there are none").At("stream").
			Hinted("leave stream out")
	}
	return d.Responses.Get(r.Context(), r.PathValue("response"))
}

func (d *Door) deleteResponse(_ http.ResponseWriter, r *http.Request) (any, error) {
	id := r.PathValue("response")
	if err := d.Responses.Delete(r.Context(), id); err != nil {
		return nil, err
	}
	return deleted("response", id), nil
}

func (d *Door) cancelResponse(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, d.Responses.Cancel(r.Context(), r.PathValue("response"))
}

func (d *Door) inputItems(_ http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	p := response.Page{After: q.Get("after"), Limit: 20}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return nil, fault.New(fault.Invalid, "limit", "limit must be between 1 and 100, not %q", text).At("limit")
		}
		p.Limit = n
	}
	switch order := q.Get("order"); order {
	case "", "desc":
	case "asc":
		p.Asc = true
	default:
		return nil, fault.New(fault.Invalid, "order", "order must be asc or desc, not %q", order).At("order")
	}
	if q.Get("before") != "" {
		return nil, fault.New(fault.Invalid, "order", "before is not offered: give after and order").At("before")
	}
	return d.Responses.InputItems(r.Context(), r.PathValue("response"), p)
}
