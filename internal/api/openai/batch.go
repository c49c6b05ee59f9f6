package openai

import (
	"net/http"
	"strconv"
	"time"

	"airfield/internal/batch"
	"airfield/internal/fault"
)

func (d *Door) createLines(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in struct {
		InputFile string            `json:"input_file_id"`
		Endpoint  string            `json:"endpoint"`
		Window    string            `json:"completion_window"`
		Metadata  map[string]string `json:"metadata"`
		Expires   *struct {
			Anchor  string `json:"anchor"`
			Seconds int64  `json:"seconds"`
		} `json:"output_expires_after"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	n := batch.NewBatch{InputFile: in.InputFile, Endpoint: in.Endpoint, Window: in.Window, Metadata: in.Metadata}
	if e := in.Expires; e != nil {
		if e.Anchor != "created_at" || e.Seconds < 3600 || e.Seconds > 30*24*3600 {
			return nil, fault.New(fault.Invalid, "batch_expiry", "output_expires_after has the anchor created_at and 3600 to 2592000 seconds").At("output_expires_after")
		}
		n.OutputsExpire = time.Duration(e.Seconds) * time.Second
	}
	b, err := d.Batches.Create(r.Context(), n)
	if err != nil {
		return nil, err
	}
	return linesObject(b), nil
}

func (d *Door) listLines(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, err := 20, error(nil)
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 100 {
			return nil, fault.New(fault.Invalid, "limit", "limit must be between 1 and 100, not %q", text).At("limit")
		}
	}
	all, err := d.Batches.List(r.Context(), batch.Filter{After: r.URL.Query().Get("after"), Limit: limit + 1})
	if err != nil {
		return nil, err
	}
	return page(all, limit, linesObject, func(b batch.Batch) string { return b.ID }), nil
}

func (d *Door) getLines(_ http.ResponseWriter, r *http.Request) (any, error) {
	b, err := d.Batches.Get(r.Context(), r.PathValue("batch"))
	if err != nil {
		return nil, err
	}
	return linesObject(b), nil
}

func (d *Door) cancelLines(_ http.ResponseWriter, r *http.Request) (any, error) {
	b, err := d.Batches.Cancel(r.Context(), r.PathValue("batch"))
	if err != nil {
		return nil, err
	}
	return linesObject(b), nil
}

// linesObject is a batch as OpenAI's API shows it, with what it cost so far under airfield.
func linesObject(b batch.Batch) any {
	o := map[string]any{
		"id": b.ID, "object": "batch", "endpoint": b.Endpoint, "input_file_id": b.InputFile, "completion_window": b.Window, "status": b.Status, "metadata": b.Metadata, "errors": nil,
		"output_file_id": named(b.OutputFile), "error_file_id": named(b.ErrorFile), "created_at": b.CreatedAt.Unix(), "expires_at": b.ExpiresAt.Unix(),
		"in_progress_at": unix(b.InProgressAt), "finalizing_at": unix(b.FinalizingAt), "cancelling_at": unix(b.CancellingAt),
		"completed_at": nil, "failed_at": nil, "expired_at": nil, "cancelled_at": nil,
		"request_counts": map[string]any{"total": b.Total, "completed": b.Completed, "failed": b.Failed},
		"airfield":       map[string]any{"cost_usd": b.Cost.Decimal(), "unpriced": b.Unpriced, "service_tiers": b.Tiers},
	}
	if len(b.Errors) > 0 {
		o["errors"] = map[string]any{"object": "list", "data": b.Errors}
	}
	if !b.EndedAt.IsZero() {
		o[string(b.Status)+"_at"] = b.EndedAt.Unix()
	}
	return o
}

// named is an id, or null where there is none.
func named(id string) any {
	if id == "" {
		return nil
	}
	return id
}

func unix(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Unix()
}
