package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
	"time"
)

// report is what bench.json holds.
type report struct {
	At          time.Time `json:"at"`
	Go          string    `json:"go"`
	CPUs        int       `json:"cpus"`
	Connections int       `json:"connections"`
	RequestSize int       `json:"request_bytes"`
	Rate        int       `json:"open_loop_per_second"`
	Rounds      int       `json:"rounds"`
	Targets     []figures `json:"targets"`
	Ratios      ratios    `json:"ratios"`
	Calls       int64     `json:"calls,omitempty"` // answered by airfield in the whole run
	Rows        int64     `json:"rows,omitempty"`  // in its call log afterwards

	Bodies *bodyRatios `json:"with_bodies,omitempty"`
}

// bodyRatios are of the server that keeps requests and answers, redacted.
type bodyRatios struct {
	Throughput float64 `json:"throughput_to_reverse_proxy"` // to reach: at least 0.5
	CPU        float64 `json:"cpu_to_reverse_proxy"`        // at most 3
	Calls      int64   `json:"calls"`
	Rows       int64   `json:"rows"` // of calls whose request and answer are kept
}

// figures of one target, medians over the rounds.
type figures struct {
	Name       string  `json:"name"`
	PerSecond  float64 `json:"requests_per_second"`
	CPU        float64 `json:"cpu_us_per_request"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	PeakMemory int64   `json:"peak_rss_bytes"`
}

// ratios compare the third target, the one that matters, with those before it.
type ratios struct {
	Throughput float64 `json:"throughput_to_reverse_proxy"` // to reach: at least 0.7
	CPU        float64 `json:"cpu_to_reverse_proxy"`        // at most 2
	AddedP50   float64 `json:"added_p50_ms"`                // over the mock alone; at most 0.5
	AddedP99   float64 `json:"added_p99_ms"`                // at most 2
}

func newReport(p plan, targets []*measured, rows []int64) *report {
	r := &report{At: time.Now().UTC(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Connections: p.connections, RequestSize: len(body), Rate: p.rate, Rounds: p.rounds}
	for _, t := range targets {
		r.Targets = append(r.Targets, figures{t.target.name, median(t.rates), median(t.cpus), median(t.p50s), median(t.p99s), t.peakBytes})
	}
	mock, proxy, ours := r.Targets[0], r.Targets[1], r.Targets[2]
	r.Ratios = ratios{Throughput: ours.PerSecond / proxy.PerSecond, CPU: ours.CPU / proxy.CPU, AddedP50: ours.P50 - mock.P50, AddedP99: ours.P99 - mock.P99}
	if len(rows) > 0 {
		r.Rows, r.Calls = rows[0], targets[2].made.Load()
	}
	if len(rows) > 1 {
		with := r.Targets[3]
		r.Bodies = &bodyRatios{Throughput: with.PerSecond / proxy.PerSecond, CPU: with.CPU / proxy.CPU, Calls: targets[3].made.Load(), Rows: rows[1]}
	}
	return r
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%d connections, requests of %d bytes, %d CPUs shared with the load generator; medians of %d rounds; latency at %d requests/s\n\n", r.Connections, r.RequestSize, r.CPUs, r.Rounds, r.Rate)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\trequests/s\tCPU µs/request\tp50 ms\tp99 ms\tpeak MB\t")
	for _, f := range r.Targets {
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t%.2f\t%.2f\t%.0f\t\n", f.Name, f.PerSecond, f.CPU, f.P50, f.P99, float64(f.PeakMemory)/(1<<20))
	}
	t.Flush()
	fmt.Fprintf(w, "\n%s to the reverse proxy: %.2f × the requests/s (to reach 0.70), %.2f × the CPU (to reach 2.00)\n", r.Targets[2].Name, r.Ratios.Throughput, r.Ratios.CPU)
	fmt.Fprintf(w, "added over the mock: p50 %.2f ms (to reach 0.50), p99 %.2f ms (to reach 2.00)\n", r.Ratios.AddedP50, r.Ratios.AddedP99)
	if b := r.Bodies; b != nil {
		fmt.Fprintf(w, "with requests and answers kept and redacted: %.2f × the requests/s (to reach 0.50), %.2f × the CPU (to reach 3.00); %d calls, %d kept\n", b.Throughput, b.CPU, b.Calls, b.Rows)
	}
	if r.Calls > 0 {
		fmt.Fprintf(w, "calls answered %d, rows in the call log %d\n", r.Calls, r.Rows)
	}
}

// complete holds the call log against what was answered: not one row more or less.
func (r *report) complete() error {
	if r.Rows != r.Calls {
		return fmt.Errorf("%d calls were answered, the call log has %d", r.Calls, r.Rows)
	}
	if b := r.Bodies; b != nil && b.Rows != b.Calls {
		return fmt.Errorf("%d calls were answered where bodies are kept, and those of %d are", b.Calls, b.Rows)
	}
	return nil
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
