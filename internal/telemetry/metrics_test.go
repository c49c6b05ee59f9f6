package telemetry

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airfield/internal/llm"
)

func scrape(m *Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestCallsAreCounted(t *testing.T) {
	m := NewMetrics()
	m.SetModels([]string{"small"})
	c := llm.Call{Surface: llm.ChatCompletions, Outcome: llm.OK, Workflow: "support", Model: "small", Duration: time.Second, FirstByte: time.Millisecond,
		Usage: llm.Usage{Input: 10, CacheRead: 3, Output: 5}, Cost: 2_500_000, Priced: true}
	m.Call(&c)
	c.Attempts, c.Cache, c.Degraded, c.Waited = []llm.Attempt{{Deployment: "p/m", Outcome: llm.Failed}, {Deployment: "q/m", Outcome: llm.OK}}, "miss", "economy", 1500*time.Millisecond
	m.Call(&c)
	refused := llm.Call{Surface: llm.ChatCompletions, Outcome: llm.Failed, Workflow: "support", Model: "small", Decision: `{"rule":"budget"}`}
	m.Call(&refused)
	c.Attempts, c.Cache, c.Degraded, c.Waited = nil, "", "", 0
	c.Model, c.Outcome, c.Cost, c.Priced = "never-heard-of", llm.Broken, 0, false
	m.Call(&c)
	if err := m.Gauge("journal_lag_records", "Records that wait.", func() float64 { return 7 }); err != nil {
		t.Fatal(err)
	}
	if err := m.States("ingest_runs", "Runs.", []string{"running", "dead"}, func() map[string]float64 { return map[string]float64{"dead": 2, "odd": 9} }); err != nil {
		t.Fatal(err)
	}
	got := scrape(m)
	for _, want := range []string{
		`airfield_calls_total{model="small",outcome="ok",surface="chat.completions",workflow="support"} 2`,
		`airfield_calls_total{model="other",outcome="broken",surface="chat.completions",workflow="support"} 1`,
		`airfield_tokens_total{kind="cache_read",model="small",workflow="support"} 6`,
		`airfield_tokens_total{kind="output",model="other",workflow="support"} 5`,
		`airfield_cost_usd_total{model="small",workflow="support"} 0.005`,
		`airfield_unpriced_calls_total{model="other",workflow="support"} 1`,
		`airfield_call_duration_seconds_count{model="small",surface="chat.completions"} 2`,
		`airfield_call_first_byte_seconds_bucket{model="small",surface="chat.completions",le="0.005"} 2`,
		`airfield_attempts_total{deployment="p/m",outcome="error"} 1`,
		`airfield_attempts_total{deployment="q/m",outcome="ok"} 1`,
		`airfield_cache_calls_total{result="miss",workflow="support"} 1`,
		`airfield_degraded_calls_total{rung="economy",workflow="support"} 1`,
		`airfield_call_wait_seconds_total{workflow="support"} 1.5`,
		`airfield_refused_calls_total{rule="budget",workflow="support"} 1`,
		"airfield_journal_lag_records 7",
		`airfield_ingest_runs{state="dead"} 2`,
		`airfield_ingest_runs{state="running"} 0`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(got, want+"\n") && !strings.Contains(got, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	for _, d := range m.Descriptions() {
		if !strings.Contains(got, "# HELP "+d.Name+" "+d.Help+"\n# TYPE "+d.Name+" "+d.Kind+"\n") {
			t.Errorf("%v is described otherwise than it is served", d)
		}
	}
	if n := len(m.Descriptions()); n != 13 {
		t.Errorf("%d figures are described, not 13", n)
	}
	if strings.Contains(got, "never-heard-of") || strings.Contains(got, "odd") {
		t.Error("a label that is not bounded")
	}
	if m.Gauge("journal_lag_records", "again", nil) == nil {
		t.Error("a name was given twice")
	}
}

func TestLabelsAreBounded(t *testing.T) {
	m := NewMetrics()
	for i := range maxLabels + 500 {
		m.Call(&llm.Call{Workflow: fmt.Sprint(i), Outcome: llm.OK})
	}
	if n := len(m.handles); n > maxLabels+10 {
		t.Fatal(n)
	}
}

func BenchmarkMetricsCall(b *testing.B) {
	m := NewMetrics()
	m.SetModels([]string{"small"})
	c := llm.Call{Surface: llm.ChatCompletions, Outcome: llm.OK, Workflow: "support", Model: "small", Duration: 12 * time.Millisecond, FirstByte: 3 * time.Millisecond,
		Usage: llm.Usage{Input: 100, Output: 50}, Cost: 36000, Priced: true}
	b.ReportAllocs()
	for b.Loop() {
		m.Call(&c)
	}
}
