package observe

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/id"
	"airfield/internal/journal"
	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

var quiet = slog.New(slog.DiscardHandler)

// sampleCall is a usual call that ended well.
func sampleCall() llm.Call {
	now := time.Now().UTC().Truncate(time.Microsecond)
	trace := fmt.Sprintf("%012x", now.UnixMilli()) + telemetry.NewTraceID()[12:]
	return llm.Call{ID: id.At("call", now), Start: now, Duration: 1234 * time.Microsecond, FirstByte: 900 * time.Microsecond, Environment: "dev", BusinessUnit: "service", Workflow: "support", KeyID: id.At("key", now),
		Surface: llm.ChatCompletions, Model: "gpt-4o-mini", Deployment: "openai/gpt-4o-mini", Provider: "openai", Upstream: "gpt-4o-mini", Status: 200, Outcome: llm.OK, Finish: "stop",
		Usage: llm.Usage{Input: 120, Output: 30, Source: llm.Reported}, Cost: 36000, Priced: true, PriceID: "openai/gpt-4o-mini@2024-07-18", TraceID: trace, SpanID: telemetry.NewSpanID(),
		RequestSize: 500, ResponseSize: 320, Attempts: []llm.Attempt{{Deployment: "openai/gpt-4o-mini", Provider: "openai", Model: "gpt-4o-mini", Start: now, FirstByte: 800 * time.Microsecond, Duration: 1200 * time.Microsecond, Status: 200, Outcome: llm.OK, RequestID: "req_1234567890"}}}
}

// admitted is a call as it is at admission.
func admitted(c llm.Call) llm.Call {
	return llm.Call{ID: c.ID, Start: c.Start, Environment: c.Environment, BusinessUnit: c.BusinessUnit, Workflow: c.Workflow, KeyID: c.KeyID, Surface: c.Surface, Model: c.Model,
		Stream: c.Stream, TraceID: c.TraceID, SpanID: c.SpanID, ParentSpanID: c.ParentSpanID, RequestSize: c.RequestSize}
}

func openJournal(t testing.TB, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir, journal.Default(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// running is a drain at work.
type running struct {
	*Drain
	stop func()
}

func start(t testing.TB, d *Drain) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r := running{Drain: d, stop: sync.OnceFunc(func() { cancel(); done.Wait() })}
	t.Cleanup(r.stop)
	return r
}

func (r running) flush(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Flush(ctx); err != nil {
		t.Fatal("flush:", err)
	}
}

func count(t testing.TB, d *db.DB, query string, args ...any) (n int64) {
	t.Helper()
	if err := d.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		t.Fatal(query, err)
	}
	return n
}
