package journal

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const childDir = "AIRFIELD_JOURNAL_TEST_DIR"

// TestMain is also the process that is killed: it appends from eight goroutines until it dies, and says of each
// record, after Append returned, that it is kept.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	j, err := Open(dir, Config{SegmentBytes: 64 << 10, MaxBytes: 1 << 30}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	start := j.Stats().Tail.Segment // tells this life's records from those of earlier ones
	var saying sync.Mutex
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				if err := j.Append(fmt.Appendf(nil, "%d.%d %d %s", start, w, i, strings.Repeat("x", i%700))); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				saying.Lock()
				fmt.Printf("%d.%d %d\n", start, w, i)
				saying.Unlock()
			}
		}()
	}
	time.Sleep(time.Minute)
	os.Exit(1)
}

func TestEveryAcknowledgedRecordOutlivesKill9(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]int{} // by writer: the highest number
	for life := range 6 {
		kill(t, dir, time.Duration(5+rand.IntN(60))*time.Millisecond, acknowledged)
		a, err := OpenReader(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r := a.Reader(Position{})
		next := map[string]int{}
		records := drain(t, r)
		for _, record := range records {
			writer, rest, _ := strings.Cut(record, " ")
			var i int
			if _, err := fmt.Sscanf(rest, "%d", &i); err != nil || i != next[writer] {
				t.Fatalf("life %d: %.30q, expected number %d", life, record, next[writer])
			}
			next[writer]++
		}
		for writer, last := range acknowledged {
			if next[writer] <= last {
				t.Fatalf("life %d: writer %s has %d records, %d were acknowledged", life, writer, next[writer], last+1)
			}
		}
		r.Close()
		a.Close()
		t.Logf("life %d: %d records, %d bytes torn", life, len(records), r.Skipped())
	}
	if len(acknowledged) < 8 {
		t.Fatalf("only %d writers got to append", len(acknowledged))
	}
}

// kill runs the child until it has acknowledged a record and some time more, and notes what it acknowledged.
func kill(t *testing.T, dir string, after time.Duration, acknowledged map[string]int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for first := true; ; first = false {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // killed; half a line says nothing
		}
		var writer string
		var i int
		if _, err := fmt.Sscanf(line, "%s %d\n", &writer, &i); err != nil {
			t.Fatalf("the child says %q", line)
		}
		acknowledged[writer] = i
		if first {
			time.AfterFunc(after, func() { child.Process.Kill() })
		}
	}
	child.Wait()
}
