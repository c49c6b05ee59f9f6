package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
)

// nth is the change that belongs to a sequence: one of eight documents gets other passages, or goes.
func nth(sequence int64) index.Document {
	d := index.Document{ID: fmt.Sprintf("doc%d", sequence%8), Tier: caller.Tier(sequence%4) + caller.Public, Attributes: map[string]any{"n": float64(sequence / 8 % 3)}}
	if sequence%11 == 5 {
		return index.Document{ID: d.ID}
	}
	for i := range 1 + sequence%5 {
		d.Chunks = append(d.Chunks, index.Chunk{
			ID: fmt.Sprintf("%s.%d", d.ID, i), Text: fmt.Sprintf("common word%d", (sequence+i)/9), Vector: []float32{1, float32(sequence / 16), float32(i), 0.5},
		})
	}
	return d
}

// verify compares everything the space holds with what the changes up to its sequence make of it.
func verify(t *testing.T, x *Index, sequence int64) {
	t.Helper()
	library := map[string]index.Document{}
	for i := int64(1); i <= sequence; i++ {
		library[nth(i).ID] = nth(i)
	}
	for n := range 3 {
		for clearance := caller.Public; clearance <= caller.Restricted; clearance++ {
			q := index.Query{
				Space: "s", Text: "common", Vector: []float32{1, 2, 3, 4}, Clearance: clearance, Limit: 100,
				Filter: index.Filter{Type: index.Eq, Key: "n", Value: float64(n)},
			}
			var want []string
			for _, d := range library {
				for _, c := range d.Chunks {
					if clearance.Sees(d.Tier) && q.Filter.Match(d.Attributes) {
						want = append(want, c.ID)
					}
				}
			}
			hits, err := x.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(want)
			for _, list := range [][]index.Hit{hits.Keyword, hits.Vector} {
				var got []string
				for _, h := range list {
					got = append(got, h.ChunkID)
				}
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("at %d, clearance %s, n %d (-want +got):\n%s", sequence, clearance, n, diff)
				}
			}
		}
	}
	for _, d := range library {
		if n, _ := x.Count(t.Context(), "s", d.ID); n != len(d.Chunks) {
			t.Fatalf("%d entries of %s, want %d", n, d.ID, len(d.Chunks))
		}
		for _, c := range d.Chunks {
			hits, err := x.Search(t.Context(), index.Query{Space: "s", Text: strings.Fields(c.Text)[1], Vector: c.Vector, Clearance: caller.Restricted, Limit: 100})
			has := func(h index.Hit) bool { return h.ChunkID == c.ID }
			if err != nil || !slices.ContainsFunc(hits.Keyword, has) || !slices.ContainsFunc(hits.Vector, has) {
				t.Fatalf("at %d %s is not found by its word and its vector: %v", sequence, c.ID, err)
			}
		}
	}
	// What the keyword index still holds must be what the space holds, also where nobody can see it.
	s := x.spaces["s"]
	if s == nil {
		return
	}
	if present, err := s.words.present(); err != nil || int(present.GetCardinality()) != s.table.live {
		t.Fatalf("the keyword index holds %v, the space %d (%v)", present, s.table.live, err)
	}
}

const childDir = "INDEX_CRASH_DIR"

// TestMain makes the test binary the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := writeForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForEver applies one change after the other and prints each when it is acknowledged.
func writeForEver(dir string) error {
	x, err := Open(dir, Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	background := context.Background()
	sequence, err := x.Sequence(background, "s")
	if err != nil {
		return err
	}
	for {
		sequence++
		if err := x.Replace(background, "s", []index.Document{nth(sequence)}, sequence); err != nil {
			return err
		}
		if sequence%50 == 0 {
			if err := x.Compact(background, "s"); err != nil {
				return err
			}
		}
		fmt.Println(sequence)
	}
}

func TestAKilledProcessLeavesExactlyWhatItsSequenceSays(t *testing.T) {
	dir := t.TempDir()
	total := int64(0)
	for round := range 20 {
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
		lines := bufio.NewScanner(out)
		acknowledged := int64(0)
		kill := time.AfterFunc(time.Hour, func() { child.Process.Kill() })
		for lines.Scan() {
			if acknowledged == 0 {
				kill.Reset(time.Duration(rand.IntN(150_000)) * time.Microsecond)
			}
			if acknowledged, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				break // a line cut in two
			}
		}
		child.Wait()
		x := open(t, dir)
		sequence, err := x.Sequence(t.Context(), "s")
		if err != nil || sequence < acknowledged || sequence < total {
			t.Fatalf("round %d: sequence %d after %d was acknowledged (%v)", round, sequence, acknowledged, err)
		}
		total = sequence
		verify(t, x, sequence)
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d changes, 20 kills", total)
}

func TestASecondProcessIsToldThatTheFolderIsTaken(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := Open(dir, Default(), slog.New(slog.DiscardHandler))
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

// build makes a folder with 40 changes and returns it, closed.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	x := open(t, dir)
	for i := int64(1); i <= 40; i++ {
		if err := x.Replace(t.Context(), "s", []index.Document{nth(i)}, i); err != nil {
			t.Fatal(err)
		}
	}
	verify(t, x, 40)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDamagedFilesNeverLie(t *testing.T) {
	whole := build(t)
	var files []string
	filepath.WalkDir(filepath.Join(whole, "s"), func(path string, d os.DirEntry, _ error) error {
		if !d.IsDir() {
			relative, _ := filepath.Rel(whole, path)
			files = append(files, relative)
		}
		return nil
	})
	random := rand.New(rand.NewPCG(3, 4))
	damage := map[string]func([]byte) []byte{
		"cut short":   func(b []byte) []byte { return b[:random.IntN(len(b))] },
		"emptied":     func([]byte) []byte { return nil },
		"a bit":       func(b []byte) []byte { b[random.IntN(len(b))] ^= 1 << random.IntN(8); return b },
		"zeros":       func(b []byte) []byte { clear(b[random.IntN(len(b)):]); return b },
		"more":        func(b []byte) []byte { return append(b, "something that does not belong"...) },
		"a wild page": func(b []byte) []byte { copy(b[random.IntN(len(b)):], make([]byte, 64)); return b },
		"gone":        nil,
	}
	for _, file := range files {
		for what, change := range damage {
			dir := filepath.Join(t.TempDir(), "x")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if change == nil {
				err = os.Remove(path)
			} else if len(b) > 0 {
				err = os.WriteFile(path, change(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			sequence, err := feed(t, dir)
			if errors.Is(err, errStuck) { // found out while writing: the next start begins anew
				if sequence, err = feed(t, dir); sequence != 0 {
					t.Errorf("%s, %s: sequence %d after a write that did not end", file, what, sequence)
				}
			}
			if err != nil {
				t.Fatalf("%s, %s: %v", file, what, err)
			}
			t.Logf("%s, %s: sequence %d", file, what, sequence)
		}
	}
}

// feed opens a folder, replays what is missing and closes it again. It returns the sequence that was found.
func feed(t *testing.T, dir string) (int64, error) {
	config := Default()
	config.WriteTimeout = 2 * time.Second
	x, err := Open(dir, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	sequence, err := x.Sequence(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	verify(t, x, sequence)
	for i := sequence + 1; i <= 43; i++ {
		if err := x.Replace(t.Context(), "s", []index.Document{nth(i)}, i); err != nil {
			return sequence, err
		}
	}
	verify(t, x, 43)
	return sequence, nil
}
