package telemetry

import (
	"context"
	"errors"
	"testing"
)

func TestTraceparent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	c, ok := ParseTraceparent(good)
	if !ok || c.Traceparent() != good {
		t.Fatalf("%v %v", c, ok)
	}
	if c, ok := ParseTraceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like"); !ok || !c.Sampled {
		t.Error("a later version is read as far as 00 goes")
	}
	for _, bad := range []string{
		"", "00", good + "-x", good + "x", "ff" + good[2:], "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
	} {
		if c, ok := ParseTraceparent(bad); ok {
			t.Errorf("%q was read as %v", bad, c)
		}
	}
}

type sink []*Span

func (s *sink) Span(sp *Span) { *s = append(*s, sp) }

func TestSpansNestAndContinueARemoteTrace(t *testing.T) {
	var got sink
	tracer := NewTracer(&got)
	remote, _ := ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	ctx, outer := tracer.Start(WithRemote(context.Background(), remote), "answer")
	_, inner := tracer.Start(ctx, "search")
	inner.Set("hits", "3")
	inner.Done(errors.New("no index"))
	outer.Done(nil)
	if len(got) != 2 || got[0].TraceID != remote.TraceID || got[0].ParentID != outer.SpanID || got[1].ParentID != remote.SpanID || got[0].Error == "" {
		t.Fatalf("%+v %+v", got[0], got[1])
	}
	var none *Span
	none.Set("a", "b")
	none.Done(nil)
	if _, root := NewTracer(nil).Start(context.Background(), "x"); root.ParentID != "" || !root.Valid() {
		t.Error("a root has no parent")
	}
}
