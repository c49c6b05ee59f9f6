// Package telemetry is what Airfield says about itself: JSON logs, metrics, and the spans of a trace. Spans follow the
// W3C trace context, so that a trace goes from a caller's action through Airfield to the provider and back.
package telemetry

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"
)

// SpanContext is the part of a span that travels: in a traceparent header or a context.
type SpanContext struct {
	TraceID string // 32 hex digits
	SpanID  string // 16 hex digits
	Sampled bool
}

// Valid reports whether both ids are there.
func (c SpanContext) Valid() bool { return len(c.TraceID) == 32 && len(c.SpanID) == 16 }

// Traceparent writes the context as the W3C header of that name, version 00.
func (c SpanContext) Traceparent() string {
	if !c.Valid() {
		return ""
	}
	flags := "00"
	if c.Sampled {
		flags = "01"
	}
	return "00-" + c.TraceID + "-" + c.SpanID + "-" + flags
}

// ParseTraceparent reads a W3C traceparent header. Versions above 00 are read as far as 00 goes, as the
// recommendation asks; anything malformed, all-zero or in capitals is no context.
// https://www.w3.org/TR/trace-context/#traceparent-header
func ParseTraceparent(h string) (SpanContext, bool) {
	h = strings.TrimSpace(h)
	if len(h) < 55 || h[2] != '-' || h[35] != '-' || h[52] != '-' || h[:2] == "ff" || (len(h) > 55 && (h[:2] == "00" || h[55] != '-')) {
		return SpanContext{}, false
	}
	trace, span := h[3:35], h[36:52]
	if !lowerHex(h[:2]) || !lowerHex(trace) || !lowerHex(span) || !lowerHex(h[53:55]) || strings.Trim(trace, "0") == "" || strings.Trim(span, "0") == "" {
		return SpanContext{}, false
	}
	flags, _ := hex.DecodeString(h[53:55])
	return SpanContext{TraceID: strings.Clone(trace), SpanID: strings.Clone(span), Sampled: flags[0]&1 == 1}, true
}

func lowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// NewTraceID returns 32 hex digits: 48 bits of milliseconds since 1970, so that a database finds neighbours in time side by
// side, then 80 random bits, of which the recommendation asks for 56.
func NewTraceID() string {
	var b [16]byte
	rand8(b[:8])
	rand8(b[8:])
	now := time.Now().UnixMilli()
	for i := range 6 {
		b[i] = byte(now >> (8 * (5 - i)))
	}
	return hex.EncodeToString(b[:])
}

// NewSpanID returns 16 random hex digits.
func NewSpanID() string {
	var b [8]byte
	rand8(b[:])
	return hex.EncodeToString(b[:])
}

// rand8 fills eight bytes that are never all zero. Span ids need to differ, not to be secret.
func rand8(b []byte) {
	for {
		v := rand.Uint64()
		for i := range b {
			b[i] = byte(v >> (8 * i))
		}
		if v != 0 {
			return
		}
	}
}

// Span is one timed piece of work. A nil span accepts every call, so that code can be written without asking
// whether tracing is on.
type Span struct {
	SpanContext
	ParentID   string
	Name       string
	Start      time.Time
	End        time.Time
	Error      string
	Attributes map[string]string // names and sizes, never what was asked or answered

	tracer *Tracer
}

// Sink takes finished spans. It must not block for long.
type Sink interface {
	Span(*Span)
}

// Tracer starts spans and gives them to its sink when they end.
type Tracer struct{ sink Sink }

// NewTracer returns a tracer; a nil sink drops spans, but ids and propagation work.
func NewTracer(sink Sink) *Tracer { return &Tracer{sink: sink} }

type spanKey struct{}
type remoteKey struct{}

// WithRemote returns a context whose next span continues a trace that began elsewhere.
func WithRemote(ctx context.Context, parent SpanContext) context.Context {
	return context.WithValue(ctx, remoteKey{}, parent)
}

// Current is the span context of the innermost span, or of the remote parent, or none.
func Current(ctx context.Context) SpanContext {
	if s, _ := ctx.Value(spanKey{}).(*Span); s != nil {
		return s.SpanContext
	}
	c, _ := ctx.Value(remoteKey{}).(SpanContext)
	return c
}

// Start begins a span, as a child of the context's one.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, *Span) {
	parent := Current(ctx)
	s := &Span{Name: name, Start: time.Now(), tracer: t, SpanContext: SpanContext{TraceID: parent.TraceID, SpanID: NewSpanID(), Sampled: true}, ParentID: parent.SpanID}
	if !parent.Valid() {
		s.TraceID, s.ParentID = NewTraceID(), ""
	}
	return context.WithValue(ctx, spanKey{}, s), s
}

// Set adds an attribute.
func (s *Span) Set(key, value string) {
	if s == nil {
		return
	}
	if s.Attributes == nil {
		s.Attributes = map[string]string{}
	}
	s.Attributes[key] = value
}

// Done ends the span, with the error that ended it or nil, and hands it on. Call it once.
func (s *Span) Done(err error) {
	if s == nil {
		return
	}
	s.End = time.Now()
	if err != nil {
		s.Error = err.Error()
	}
	if s.tracer != nil && s.tracer.sink != nil {
		s.tracer.sink.Span(s)
	}
}
