package admin

import (
	"context"
	"net/http"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/access"
	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/observe/body"
)

// CallBody is what is kept of a call's request and answer.
type CallBody struct {
	CallID    string    `json:"call_id"`
	Surface   string    `json:"surface"`
	Bodies    string    `json:"bodies" enum:"kept,truncated,request,pending" doc:"As in the call."`
	Redaction string    `json:"redaction,omitempty" doc:"Version of the rules that took secrets and personal data out, before anything was written."`
	Request   *BodyText `json:"request,omitempty"`
	Answer    *BodyText `json:"answer,omitempty"`
}

// BodyText is a request or an answer: as text, or in base64 where it is none.
type BodyText struct {
	Text      string `json:"text,omitempty"`
	Base64    []byte `json:"base64,omitempty"`
	MediaType string `json:"media_type,omitempty"`
	Bytes     int64  `json:"bytes" doc:"As it went over the wire."`
	Truncated bool   `json:"truncated,omitempty" doc:"Only its beginning is kept."`
}

func bodyText(t *body.Text) *BodyText {
	if t == nil {
		return nil
	}
	shown := &BodyText{MediaType: t.Media, Bytes: t.Size, Truncated: t.Truncated}
	if utf8.Valid(t.Bytes) {
		shown.Text = string(t.Bytes)
	} else {
		shown.Base64 = t.Bytes
	}
	return shown
}

func (d *Door) registerBodies(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/calls/{id}/body", "getCallBody", "What was asked and answered; the showing is written to the audit log first", auditors}, d.body)
}

// body shows a call's request and answer. What is shown is in the audit log before: where that fails, nothing is.
func (d *Door) body(ctx context.Context, in *callIn) (CallBody, error) {
	d.flush(ctx)
	c, err := d.Calls.Call(ctx, in.ID)
	if err != nil {
		return CallBody{}, err
	}
	if c, err = d.resolved(ctx, c); err != nil {
		return CallBody{}, err
	}
	if err := notShown(c); err != nil {
		return CallBody{}, err
	}
	k, err := d.Bodies.Read(ctx, c.ID)
	if fault.Is(err, fault.NotFound) && c.Bodies == llm.BodiesPending {
		return CallBody{}, fault.New(fault.Unavailable, "bodies_pending", "the request and the answer of %s are still being written by the process that served it", c.ID).
			Hinted("try again when observe.bodies.seal_after, a minute by default, is over")
	}
	if err != nil {
		return CallBody{}, err
	}
	if err := d.Audit.Note(ctx, access.Entry{Action: "call.read", Target: c.ID, Detail: map[string]any{
		"workflow": c.Workflow, "request": k.Request != nil, "answer": k.Answer != nil, "redaction": k.Redaction,
	}}); err != nil {
		return CallBody{}, fault.New(fault.Unavailable, "audit_unavailable", "the showing cannot be written to the audit log, so nothing is shown: %w", err)
	}
	return CallBody{CallID: c.ID, Surface: string(c.Surface), Bodies: c.Bodies, Redaction: k.Redaction, Request: bodyText(k.Request), Answer: bodyText(k.Answer)}, nil
}

// resolved is a call whose row says what is true of its bodies now.
func (d *Door) resolved(ctx context.Context, c llm.Call) (llm.Call, error) {
	one := []llm.Call{c}
	err := d.Bodies.Resolve(ctx, one)
	return one[0], err
}

// notShown says why there is nothing to show; nil where there is.
func notShown(c llm.Call) error {
	why := ""
	switch c.Bodies {
	case llm.BodiesKept, llm.BodiesTruncated, llm.BodiesRequest, llm.BodiesPending:
		return nil
	case llm.BodiesDropped:
		why = "there was no room for them when the call was made (airfield_bodies_dropped_total counts such calls)"
	case llm.BodiesExpired:
		why = "their time was over at " + c.BodiesUntil.UTC().Format("2006-01-02 15:04 MST")
	case llm.BodiesLost:
		why = "the process that served it died before they were on its disk"
	default:
		why = "the workflow or the environment keeps none (bodies, observe.bodies.mode), or the call is Airfield's own"
	}
	return fault.New(fault.NotFound, "bodies_not_kept", "the request and the answer of %s are not there: %s", c.ID, why)
}
