package crash

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/test/binary"
)

// journal is the file that was appended to last.
func (s *installation) journal() string {
	s.T.Helper()
	files, err := filepath.Glob(s.Path("data", "journal", "*.journal"))
	if err != nil || len(files) == 0 {
		s.T.Fatalf("no journal: %v", err)
	}
	return slices.Max(files)
}

// resize changes a file's end.
func resize(t *testing.T, path string, change func(text []byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestADamagedEndOfTheJournalCostsNothingBeforeIt(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]struct {
		change func([]byte) []byte
		costs  bool // the last record, which is the end of a call
	}{
		"bytes of no record after it": {func(b []byte) []byte { return append(b, "what a failing disk writes"...) }, false},
		"half a record after it":      {func(b []byte) []byte { return append(b, b[len(b)-40:len(b)-20]...) }, false},
		"zeros after it":              {func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, false},
		"the last record cut short":   {func(b []byte) []byte { return b[:len(b)-7] }, true},
		"the last record changed":     {func(b []byte) []byte { b[len(b)-9] ^= 0x55; return b }, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, 1, 0)
			// The drain waits so long that every record is still only in the journal when the server is killed.
			s := install(t, "observe: {linger: 10s}\n"+u.Models())
			s.Start()
			var ids []string
			for n := range 20 {
				e, err := s.Chat(context.Background(), question(n, n%2 == 0))
				if err != nil || !e.Whole {
					t.Fatalf("%+v %v", e, err)
				}
				ids = append(ids, e.ID)
			}
			s.Kill()
			resize(t, s.journal(), damage.change)
			s.Start()
			rows := s.calls("chat")
			for i, id := range ids {
				want := "ok"
				if damage.costs && i == len(ids)-1 {
					want = "cut" // its beginning is still there
				}
				if got := rows[id].Outcome; got != want {
					t.Errorf("call %d of %d is logged as %q, not %q", i+1, len(ids), got, want)
				}
			}
			if len(rows) != len(ids) {
				t.Errorf("%d rows for %d calls", len(rows), len(ids))
			}
			if !strings.Contains(s.Log(), "half-written record, which was cut off") {
				t.Error("the log does not say so")
			}
			if e, err := s.Chat(context.Background(), question(99, false)); err != nil || !e.Whole {
				t.Errorf("the next call: %+v %v", e, err)
			}
			s.Stop()
			s.isWhole()
		})
	}
}

func TestADamagedIndexIsBuiltAgain(t *testing.T) {
	t.Parallel()
	s := install(t, watchedFolder)
	pages := make([]page, 30)
	for i := range pages {
		pages[i] = generate(i*10+i%9, 0) // no PDF: its engine takes seconds to be made
		s.settled(pages[i].name, pages[i].text)
	}
	s.Start()
	s.Await("30 documents to be live", func() bool { return s.atRest(len(pages)) })
	s.holds(pages)
	s.Stop()
	var files []string
	err := filepath.WalkDir(s.Path("data", "index"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != "lock" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 3 {
		t.Fatalf("the index is made of %q: %v", files, err)
	}
	damages := map[string]func([]byte) []byte{
		"a changed middle": func(b []byte) []byte {
			for i := len(b) / 3; i < len(b)*2/3; i++ {
				b[i] ^= 0xa5
			}
			return b
		},
		"a half":  func(b []byte) []byte { return b[:len(b)/2] },
		"nothing": func([]byte) []byte { return nil },
	}
	for name, damage := range damages {
		for _, path := range files {
			if _, err := os.Stat(path); err != nil {
				continue // of an earlier state: what is built again has other names
			}
			resize(t, path, damage)
			what := filepath.Base(path) + " with " + name
			s.Start()
			ctx, cancel := context.WithTimeout(context.Background(), binary.Patience)
			for _, p := range []page{pages[0], pages[15], pages[29]} {
				for got := s.found(p.word); !slices.Equal(got, []string{p.name}); got = s.found(p.word) {
					if ctx.Err() != nil {
						t.Fatalf("%s: %q is found in %q", what, p.word, got)
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
			cancel()
			s.Stop()
			s.isWhole()
			if t.Failed() {
				t.Fatalf("after %s", what)
			}
		}
	}
	t.Logf("%d files of the index, each damaged in %d ways", len(files), len(damages))
	if err := os.RemoveAll(s.Path("data", "index")); err != nil {
		t.Fatal(err)
	}
	s.Start()
	s.holds(pages)
	s.Stop()
	s.isWhole()
}
