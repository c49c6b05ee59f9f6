package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airfield/internal/fault"
)

func open(t testing.TB, dir string, c Config) *Journal {
	t.Helper()
	j, err := Open(dir, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func small() Config { return Config{SegmentBytes: 4 << 10, MaxBytes: 1 << 20} }

func appendAll(t testing.TB, j *Journal, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := j.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

// drain reads without waiting, by TryNext.
func drain(t testing.TB, r *Reader) (records []string) {
	t.Helper()
	for {
		record, _, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return records
		}
		records = append(records, string(record))
	}
}

func numbered(n, size int) (records []string) {
	for i := range n {
		records = append(records, fmt.Sprintf("%06d %s", i, strings.Repeat("x", size)))
	}
	return records
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("record %d is %.40q, want %.40q", i, got[i], want[i])
		}
	}
}

func TestRecordsComeBackInOrderAcrossSegmentsAndRestarts(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, small())
	want := append(numbered(100, 300), "", strings.Repeat("large", 200_000))
	journalID := j.ID()
	appendAll(t, j, want[:50]...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	c := small()
	c.MaxBytes = 2 << 20
	j = open(t, dir, c)
	appendAll(t, j, want[50:]...)
	if s := j.Stats(); j.ID() != journalID || s.Segments < 5 || s.Appended != uint64(len(want)-50) || s.Torn != 0 {
		t.Fatalf("%s, was %s; %+v", j.ID(), journalID, s)
	}
	r := j.Reader(Position{})
	equal(t, drain(t, r), want)
	if r.Position() != j.Stats().Tail || r.Skipped() != 0 {
		t.Fatalf("read to %s, skipped %d, the tail is %s", r.Position(), r.Skipped(), j.Stats().Tail)
	}
}

func TestReadingGoesOnFromAnyPosition(t *testing.T) {
	j := open(t, t.TempDir(), small())
	want := numbered(60, 200)
	appendAll(t, j, want...)
	r := j.Reader(Position{})
	for i := range want {
		_, next, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParsePosition(next.String())
		if err != nil || parsed != next {
			t.Fatalf("%s parsed as %s: %v", next, parsed, err)
		}
		equal(t, drain(t, j.Reader(parsed)), want[i+1:])
	}
}

func TestAReaderFollowsTheTail(t *testing.T) {
	j := open(t, t.TempDir(), small())
	want := numbered(500, 100)
	go func() {
		for _, r := range want {
			if err := j.Append([]byte(r)); err != nil {
				t.Error(err)
			}
		}
		j.Close()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := j.Reader(Position{})
	var got []string
	for {
		records, next, err := r.ReadBatch(ctx, 7)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(records) == 0 || len(records) > 7 || next != r.Position() {
			t.Fatalf("%d records to %s: %v", len(records), next, err)
		}
		for _, record := range records {
			got = append(got, string(record))
		}
	}
	equal(t, got, want)
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	j := open(t, t.TempDir(), small())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	if _, _, err := j.Reader(Position{}).Next(ctx); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
}

func TestParallelAppendersEachKeepTheirOrder(t *testing.T) {
	for _, sync := range []bool{false, true} {
		c := small()
		c.Sync = sync
		j := open(t, t.TempDir(), c)
		const writers, each = 16, 100
		appendFrom(t, j, writers, each)
		checkOrder(t, drain(t, j.Reader(Position{})), writers, each)
	}
}

func appendFrom(t *testing.T, j *Journal, writers, each int) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := j.Append(fmt.Appendf(nil, "%d %d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func checkOrder(t *testing.T, records []string, writers, each int) {
	t.Helper()
	next := make([]int, writers)
	for _, record := range records {
		var w, i int
		if _, err := fmt.Sscanf(record, "%d %d", &w, &i); err != nil || next[w] != i {
			t.Fatalf("record %q, expected number %d of its writer: %v", record, next[w], err)
		}
		next[w]++
	}
	if len(records) != writers*each {
		t.Fatalf("%d records, want %d", len(records), writers*each)
	}
}

func TestAFullJournalRefusesUntilItIsTrimmed(t *testing.T) {
	c := Config{SegmentBytes: 4 << 10, MaxBytes: 12 << 10}
	j := open(t, t.TempDir(), c)
	record := make([]byte, 500)
	var n int
	var err error
	for ; n < 100 && err == nil; n++ {
		err = j.Append(record)
	}
	if f := fault.As(err); f.Kind != fault.Unavailable || f.Code != "journal_full" || f.Hint == "" || j.Stats().Bytes > c.MaxBytes {
		t.Fatalf("after %d records: %v", n, err)
	}
	r := j.Reader(Position{})
	if got := len(drain(t, r)); got != n-1 {
		t.Fatalf("%d records, want %d", got, n-1)
	}
	if err := j.Trim(r.Position()); err != nil {
		t.Fatal(err)
	}
	s := j.Stats()
	if files, _ := listSegments(j.dir); len(files) != 1 || s.Segments != 1 || s.Oldest.Segment != s.Tail.Segment {
		t.Fatalf("%d files, %+v", len(files), s)
	}
	appendAll(t, j, "there is room again")
	equal(t, drain(t, r), []string{"there is room again"})
}

func TestTrimKeepsWhatIsNotRead(t *testing.T) {
	j := open(t, t.TempDir(), small())
	want := numbered(100, 300)
	appendAll(t, j, want...)
	r := j.Reader(Position{})
	var next Position
	for range 40 {
		_, next, _ = r.Next(t.Context())
	}
	if err := j.Trim(next); err != nil {
		t.Fatal(err)
	}
	equal(t, drain(t, j.Reader(next)), want[40:])
	if s := j.Stats(); s.Oldest.Segment != next.Segment {
		t.Fatalf("oldest %s, want the segment of %s", s.Oldest, next)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, small())
	appendAll(t, j, "mine")
	_, err1 := Open(dir, small(), slog.New(slog.DiscardHandler))
	_, err2 := OpenReader(dir, slog.New(slog.DiscardHandler))
	for _, err := range []error{err1, err2} {
		if f := fault.As(err); f.Kind != fault.Conflict || f.Code != "journal_in_use" {
			t.Fatalf("got %v", err)
		}
	}
	j.Close()
	a, err := OpenReader(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	equal(t, drain(t, a.Reader(Position{})), []string{"mine"})
	if _, _, err := a.Reader(Position{Segment: 1 << 40}).Next(t.Context()); a.ID() != j.ID() || !errors.Is(err, io.EOF) {
		t.Fatalf("id %s, %v", a.ID(), err)
	}
	if _, err := OpenReader(t.TempDir(), slog.New(slog.DiscardHandler)); !fault.Is(err, fault.NotFound) {
		t.Fatalf("an empty folder: %v", err)
	}
}

func TestAnAppendThatTheDiskCutsShortLeavesNothing(t *testing.T) {
	for _, sync := range []bool{false, true} {
		c := Default()
		c.Sync = sync
		dir := t.TempDir()
		j := open(t, dir, c)
		appendAll(t, j, "before")
		before := j.Stats()
		limitFileSize(t, uint64(before.Tail.Offset)+100, func() {
			if err := j.Append(make([]byte, 500)); err == nil {
				t.Error("the append went through")
			}
		})
		if info, err := os.Stat(segment{number: 1}.path(dir)); err != nil || info.Size() != before.Tail.Offset || j.Stats() != before {
			t.Fatalf("%d bytes, %+v, was %+v: %v", info.Size(), j.Stats(), before, err)
		}
		appendAll(t, j, "after")
		equal(t, drain(t, j.Reader(Position{})), []string{"before", "after"})
		if n := j.Stats().Segments; sync != (n == 2) {
			t.Fatalf("%d segments", n)
		}
	}
}

// limitFileSize makes the kernel cut writes short at limit bytes of a file, as a full disk does.
func limitFileSize(t *testing.T, limit uint64, do func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	do()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	if f := fault.As(writeError(&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})); f.Kind != fault.Unavailable || f.Code != "disk_full" {
		t.Fatal(f)
	}
}

func TestAnAppendIsRefused(t *testing.T) {
	j := open(t, t.TempDir(), small())
	if err := j.Append(make([]byte, MaxRecordBytes+1)); !fault.Is(err, fault.TooLarge) {
		t.Fatalf("too large: %v", err)
	}
	j.Close()
	if err := j.Append(nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("closed: %v", err)
	}
}

func TestAPositionAfterTheTailIsRefused(t *testing.T) {
	j := open(t, t.TempDir(), small())
	appendAll(t, j, "one")
	if _, _, err := j.Reader(Position{Segment: 2}).Next(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
}

func TestAFolderOfOtherFilesIsNotAJournal(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "0000000000000003.journal")
	if err := os.WriteFile(name, bytes.Repeat([]byte("not a journal"), 20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, small(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "not a journal segment") {
		t.Fatal(err)
	}
}

func TestBytesThatDoNotParseAreNotAPosition(t *testing.T) {
	for _, text := range []string{"1", ":", "1:-1", "-1:1", "01:1", "1:1 ", "1:99999999999999999999", "a:b"} {
		if p, err := ParsePosition(text); err == nil {
			t.Errorf("%q parsed as %s", text, p)
		}
	}
	if p, err := ParsePosition(""); err != nil || p != (Position{}) {
		t.Errorf("the empty text: %s, %v", p, err)
	}
}

func TestAnAppendAllocatesNothing(t *testing.T) {
	j := open(t, t.TempDir(), Default())
	record := make([]byte, 400)
	if n := testing.AllocsPerRun(200, func() { _ = j.Append(record) }); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestConfig(t *testing.T) {
	if warnings, err := Default().Check(); err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	for name, c := range map[string]Config{
		"segments too small":       {SegmentBytes: 100, MaxBytes: 1 << 30},
		"no room for two segments": {SegmentBytes: 1 << 20, MaxBytes: 1 << 20},
		"nothing is set":           {},
	} {
		if _, err := c.Check(); err == nil {
			t.Error(name)
		}
	}
	if warnings, _ := small().Check(); len(warnings) == 0 {
		t.Error("no warning for a tiny journal")
	}
}
