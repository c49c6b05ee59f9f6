package binary

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Metrics are the figures of /metrics by name and labels, as they stand there: `airfield_calls_total{model="chat",…}`.
func (s *Server) Metrics() map[string]float64 {
	s.T.Helper()
	figures := map[string]float64{}
	for line := range strings.Lines(s.page("/metrics")) {
		name, value, found := cutLast(strings.TrimSpace(line), ' ')
		if !found || strings.HasPrefix(line, "#") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			s.T.Fatalf("the metric %s: %v", line, err)
		}
		figures[name] = n
	}
	return figures
}

// Metric is the sum of a figure over all labels that hold every one of the given, such as `outcome="ok"`.
func (s *Server) Metric(name string, labels ...string) float64 {
	s.T.Helper()
	sum := 0.0
	for key, value := range s.Metrics() {
		base, set, _ := strings.Cut(strings.TrimSuffix(key, "}"), "{")
		if base == name && holds(","+set+",", labels) {
			sum += value
		}
	}
	return sum
}

func holds(set string, labels []string) bool {
	for _, l := range labels {
		if !strings.Contains(set, ","+l+",") {
			return false
		}
	}
	return true
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// Goroutines is how many the server has.
func (s *Server) Goroutines() int {
	s.T.Helper()
	var n int
	if _, err := fmt.Sscanf(s.page("/debug/pprof/goroutine?debug=1"), "goroutine profile: total %d", &n); err != nil {
		s.T.Fatal(err)
	}
	return n
}

func (s *Server) page(path string) string {
	s.T.Helper()
	answer, err := s.Ask(context.Background(), http.MethodGet, path, nil)
	if err != nil || answer.Status != http.StatusOK {
		s.T.Fatalf("%s: %d %.500s %v", path, answer.Status, answer.Body, err)
	}
	return string(answer.Body)
}

// RSS is the server's resident memory in bytes, now and at its peak. Linux only, as are ChildrenRSS, CPU and Pause.
func (s *Server) RSS() (now, peak int64) {
	s.T.Helper()
	for lines := bufio.NewScanner(strings.NewReader(s.proc("status"))); lines.Scan(); {
		for name, into := range map[string]*int64{"VmRSS:": &now, "VmHWM:": &peak} {
			if text, found := strings.CutPrefix(lines.Text(), name); found {
				if _, err := fmt.Sscanf(text, "%d kB", into); err != nil {
					s.T.Fatal(err)
				}
				*into <<= 10
			}
		}
	}
	return now, peak
}

// ChildrenRSS is the resident memory of the processes that the server has started and that live, and how many there are.
func (s *Server) ChildrenRSS() (bytes int64, n int) {
	s.T.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.process.Process.Pid))
	if err != nil {
		s.T.Fatal(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may have ended
		for pid := range strings.FieldsSeq(string(text)) {
			var all, resident int64
			statm, _ := os.ReadFile("/proc/" + pid + "/statm") // and so may a child
			if _, err := fmt.Sscan(string(statm), &all, &resident); err == nil {
				bytes += resident * int64(os.Getpagesize())
				n++
			}
		}
	}
	return bytes, n
}

// CPU is the processor time the server has used, that of its ended children included.
func (s *Server) CPU() time.Duration {
	s.T.Helper()
	var ticks time.Duration
	for _, f := range s.stat()[11:15] { // utime, stime and those of children
		var n int64
		if _, err := fmt.Sscan(f, &n); err != nil {
			s.T.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * time.Second / 100 // the kernel counts in hundredths on every Linux of today
}

// state is R, S, T and so on.
func (s *Server) state() byte {
	s.T.Helper()
	return s.stat()[0][0]
}

// stat are the fields of /proc/PID/stat behind the name.
func (s *Server) stat() []string {
	s.T.Helper()
	text := []byte(s.proc("stat"))
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

func (s *Server) proc(name string) string {
	s.T.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.process.Process.Pid, name))
	if err != nil {
		s.T.Fatal(err)
	}
	return string(text)
}
