package observe

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

// at is a call that began at a time.
func at(began time.Time, change func(*llm.Call)) llm.Call {
	c := sampleCall()
	c.ID, c.Start = id.At("call", began), began
	if change != nil {
		change(&c)
	}
	return c
}

// filled is a log with these calls and spans in it.
func filled(t *testing.T, d *db.DB, calls []llm.Call, spans ...telemetry.Span) *Store {
	t.Helper()
	j := openJournal(t, t.TempDir())
	r, running := NewRecorder(j, nil, quiet), start(t, newDrain(d, j))
	for _, c := range calls {
		record(t, r, c)
	}
	for _, s := range spans {
		r.Span(&s)
	}
	running.flush(t)
	return NewStore(d)
}

func TestCallsAreListedTheNewestFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, noon := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var calls []llm.Call
		for i := range 9 {
			calls = append(calls, at(noon.Add(time.Duration(i)*time.Second), func(c *llm.Call) {
				c.Session = fmt.Sprint(i)
				if i%3 == 0 {
					c.Workflow, c.Model, c.Outcome, c.TraceID = "other", "large", llm.Broken, "trace"
				}
			}))
		}
		s := filled(t, d, calls)
		for _, c := range []struct {
			name   string
			filter Filter
			want   string
		}{
			{"all", Filter{}, "876543210"},
			{"a page", Filter{Limit: 4}, "8765"},
			{"the next page", Filter{Limit: 4, Before: calls[5].ID}, "4321"},
			{"by workflow", Filter{Workflow: "other"}, "630"},
			{"by model and outcome", Filter{Model: "large", Outcome: llm.Broken}, "630"},
			{"by outcome that none had", Filter{Outcome: llm.Cut}, ""},
			{"by trace", Filter{TraceID: "trace"}, "630"},
			{"since a moment", Filter{Since: noon.Add(6500 * time.Millisecond)}, "87"},
			{"until a moment, which is not in it", Filter{Until: noon.Add(2 * time.Second)}, "10"},
			{"between", Filter{Since: noon.Add(2 * time.Second), Until: noon.Add(4 * time.Second)}, "32"},
			{"before all", Filter{Until: noon.Add(-time.Hour)}, ""},
		} {
			list, err := s.Calls(ctx, c.filter)
			got := ""
			for _, call := range list {
				got += call.Session
			}
			if err != nil || got != c.want {
				t.Errorf("%s: %q, not %q, %v", c.name, got, c.want, err)
			}
		}
		if _, err := s.Call(ctx, "call_none"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestTheLogIsFollowedWithoutGapOrRepetition(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, j := context.Background(), openJournal(t, t.TempDir())
		r, running := NewRecorder(j, nil, quiet), start(t, newDrain(d, j))
		record(t, r, sampleCall()) // before: not followed
		running.flush(t)
		s := NewStore(d)
		if d.Engine() == db.Postgres {
			time.Sleep(settle) // what is younger than that is shown late, and so is not before
		}
		_, place, err := s.Follow(ctx, Place{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for i := range 57 {
			c := at(time.Now().Add(-time.Duration(i)*time.Hour), nil) // a long call ends late
			want[c.ID] = true
			record(t, r, c)
			if i%10 == 0 {
				running.flush(t)
			}
		}
		running.flush(t)
		for end := time.Now().Add(10 * time.Second); len(want) > 0 && time.Now().Before(end); {
			var list []llm.Call
			if list, place, err = s.Follow(ctx, place, 10); err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				if !want[c.ID] {
					t.Fatal("not wanted, or twice:", c.ID)
				}
				delete(want, c.ID)
			}
			if len(list) == 0 {
				time.Sleep(20 * time.Millisecond)
			}
		}
		if len(want) > 0 {
			t.Error(len(want), "never came")
		}
	})
}

func TestATraceIsATree(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, noon, trace := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), telemetry.NewTraceID()
		span := func(spanID, parent, name string, from, took time.Duration) telemetry.Span {
			return telemetry.Span{SpanContext: telemetry.SpanContext{TraceID: trace, SpanID: spanID}, ParentID: parent, Name: name, Start: noon.Add(from), End: noon.Add(from + took), Attributes: map[string]string{"hits": "3"}}
		}
		call := at(noon.Add(30*time.Millisecond), func(c *llm.Call) {
			c.TraceID, c.SpanID, c.ParentSpanID, c.Duration = trace, "c1", "a1", 50*time.Millisecond
			c.Attempts = append([]llm.Attempt{{Deployment: "first", Start: noon.Add(31 * time.Millisecond), Outcome: llm.Failed, Status: 500, Error: "500"}}, c.Attempts...)
			c.Attempts[1].Start = noon.Add(40 * time.Millisecond)
		})
		s := filled(t, d, []llm.Call{call, sampleCall()},
			span("s2", "a1", "embed", 5*time.Millisecond, 2*time.Millisecond), span("a1", "remote", "answer", 0, 100*time.Millisecond), span("s1", "a1", "search", 2*time.Millisecond, 20*time.Millisecond),
			span("r1", "r2", "ring", time.Second, 0), span("r2", "r1", "ring", time.Second, 0), span("m1", "m1", "its own parent", 2*time.Second, 0), span("a1", "remote", "sent again", 0, 0))
		got, err := s.Trace(ctx, trace)
		if err != nil {
			t.Fatal(err)
		}
		var draw func([]*Node) string
		draw = func(nodes []*Node) (out string) {
			for _, n := range nodes {
				out += n.Kind + " " + n.Name + "(" + draw(n.Children) + ")"
			}
			return out
		}
		const want = "span answer(span search()span embed()call chat.completions gpt-4o-mini(attempt first()attempt openai/gpt-4o-mini()))" +
			"span ring(span ring())" + "span its own parent()"
		if d := draw(got.Roots); d != want {
			t.Errorf("%s\n%s", d, want)
		}
		root := got.Roots[0]
		if got.Nodes != 9 || !got.Start.Equal(noon) || got.Duration != 2*time.Second || root.Duration != 100*time.Millisecond || root.Attributes["hits"] != "3" {
			t.Errorf("%+v", got)
		}
		if c := root.Children[2]; c.Call == nil || c.ID != call.ID || c.Children[0].Attributes["status"] != "500" || c.Children[0].Error != "500" {
			t.Errorf("%+v", c)
		}
		if _, err := s.Trace(ctx, telemetry.NewTraceID()); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestUsageIsSummedWithPercentiles(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, noon := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var calls []llm.Call
		for i := range 100 {
			calls = append(calls, at(noon.Add(time.Duration(i)*time.Minute), func(c *llm.Call) {
				c.Duration = time.Duration(i+1) * time.Millisecond
				switch {
				case i < 10:
					c.Outcome, c.Workflow = llm.Failed, "other"
				case i < 15:
					c.Priced, c.Cost = false, 0
				case i == 15:
					c.Outcome = llm.Cancelled // the client's choice, not an error
				}
			}))
		}
		s := filled(t, d, calls)
		near := func(got, want time.Duration) bool { return math.Abs(float64(got-want)) < 0.01*float64(want) }
		list, err := s.Usage(ctx, UsageFilter{Latency: true})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if u := list[0]; u.Calls != 100 || u.Errors != 10 || u.Unpriced != 5 || u.Usage.Input != 12000 || u.Cost != 95*36000 || !near(u.P50, 50*time.Millisecond) || !near(u.P95, 95*time.Millisecond) || !near(u.P99, 99*time.Millisecond) {
			t.Errorf("%+v", u)
		}
		for _, latency := range []bool{false, true} {
			list, err = s.Usage(ctx, UsageFilter{By: []string{"hour", "workflow"}, Latency: latency})
			if err != nil || len(list) != 3 || list[0].Group["hour"] != "2026-03-01T12:00:00Z" || list[0].Group["workflow"] != "other" || list[0].Calls != 10 || list[1].Calls != 50 || list[2].Calls != 40 {
				t.Errorf("latency %v: %+v %v", latency, list, err)
			}
			list, err = s.Usage(ctx, UsageFilter{Workflow: "support", From: noon.Add(time.Hour), To: noon.Add(2 * time.Hour), Latency: latency})
			if err != nil || len(list) != 1 || list[0].Calls != 40 || (latency && list[0].P50 == 0) {
				t.Errorf("latency %v: %+v %v", latency, list, err)
			}
			list, err = s.Usage(ctx, UsageFilter{From: noon.AddDate(1, 0, 0), Latency: latency})
			if err != nil || len(list) != 1 || list[0].Calls != 0 {
				t.Errorf("nothing, latency %v: %+v %v", latency, list, err)
			}
		}
		if _, err := s.Usage(ctx, UsageFilter{By: []string{"calls; DROP"}}); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}

func TestOldCallsAndSpansAreDeletedAndSumsStay(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, now := context.Background(), time.Now()
		var calls []llm.Call
		var spans []telemetry.Span
		for i := range 2*deleteAtOnce + 10 {
			began := now.Add(-100 * time.Hour)
			if i < 10 {
				began = now
			}
			calls = append(calls, at(began, nil))
			spans = append(spans, telemetry.Span{SpanContext: telemetry.SpanContext{TraceID: "t", SpanID: fmt.Sprint(i)}, Start: began, End: began})
		}
		s := filled(t, d, calls, spans...)
		if _, err := d.Exec(ctx, "UPDATE calls SET recorded_at = started_at"); err != nil {
			t.Fatal(err)
		}
		if c, sp, err := s.Retain(ctx, now, 0, 0); err != nil || c != 0 || sp != 0 {
			t.Fatal("for ever:", c, sp, err)
		}
		c, sp, err := s.Retain(ctx, now, 24*time.Hour, time.Hour)
		if err != nil || c != 2*deleteAtOnce || sp != 2*deleteAtOnce {
			t.Fatal(c, sp, err)
		}
		if count(t, d, "SELECT COUNT(*) FROM calls") != 10 || count(t, d, "SELECT COUNT(*) FROM spans") != 10 || count(t, d, "SELECT COUNT(*) FROM ledger") != int64(len(calls)) {
			t.Error("what should stay did not, or the other way round")
		}
	})
}

func TestConfig(t *testing.T) {
	if warnings, err := Default().Check(); err != nil || len(warnings) != 0 {
		t.Error(warnings, err)
	}
	for _, bad := range []Config{{BatchCalls: 0}, {BatchCalls: 1, Linger: -1}, {BatchCalls: 1, KeepCalls: -1}, {BatchCalls: 1, Linger: time.Hour}} {
		if _, err := bad.Check(); err == nil {
			t.Errorf("%+v", bad)
		}
	}
}
