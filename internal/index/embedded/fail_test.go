package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/index/indextest"
)

func TestAFailedWriteChangesNothing(t *testing.T) {
	for name, fail := range map[string]func(*space){
		"log": func(s *space) { s.frames.Close() }, "vectors": func(s *space) { s.vectors.Close() },
	} {
		dir := t.TempDir()
		x := open(t, dir)
		for i := int64(1); i <= 9; i++ {
			if err := x.Replace(t.Context(), "s", []index.Document{nth(i)}, i); err != nil {
				t.Fatal(err)
			}
		}
		fail(x.spaces["s"])
		if err := x.Replace(t.Context(), "s", []index.Document{nth(10)}, 10); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got, _ := x.Sequence(t.Context(), "s"); got != 9 {
			t.Errorf("%s: sequence %d", name, got)
		}
		if n, _ := x.Count(t.Context(), "s", nth(10).ID); n != len(nth(2).Chunks) {
			t.Errorf("%s: %d entries", name, n)
		}
		x.Close()
		x = open(t, dir)
		sequence, _ := x.Sequence(t.Context(), "s")
		verify(t, x, sequence)
		if sequence != 0 && sequence != 9 {
			t.Errorf("%s: sequence %d after opening again", name, sequence)
		}
	}
}

func TestASpaceThatBrokeIsBuiltAnewAtTheNextStart(t *testing.T) {
	dir := build(t)
	x := open(t, dir)
	s := x.spaces["s"]
	if err := s.broke(errStuck); !errors.Is(err, errStuck) {
		t.Fatal(err)
	}
	if err := x.Replace(t.Context(), "s", []index.Document{nth(41)}, 41); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a broken space took a change: %v", err)
	}
	verify(t, x, 40) // it still answers
	x.Close()
	x = open(t, dir)
	if got, _ := x.Sequence(t.Context(), "s"); got != 0 {
		t.Errorf("sequence %d", got)
	}
	verify(t, x, 0)
}

func TestNothingOfADroppedSpaceIsLeft(t *testing.T) {
	dir := build(t)
	if err := os.MkdirAll(filepath.Join(dir, dropped+"old"), 0o700); err != nil {
		t.Fatal(err)
	}
	x := open(t, dir)
	if err := x.Drop(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("left: %v, %v", entries, err)
	}
	if err := x.Replace(t.Context(), "../s", nil, 1); !fault.Is(err, fault.Invalid) {
		t.Errorf("a name that leaves the folder: %v", err)
	}
}

func TestCompactTakesRemovedTextAndVectorsOffTheDisk(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	secret := index.Document{ID: "topsecretdocument", Tier: caller.Public, Chunks: []index.Chunk{{ID: "c", Text: "xylophonequartz", Vector: []float32{1, 2, 3}}}}
	for i, d := range []index.Document{nth(1), secret, nth(2), {ID: secret.ID}} {
		for j := range d.Chunks {
			d.Chunks[j].Vector = []float32{1, 2, float32(i)}
		}
		if err := x.Replace(t.Context(), "s", []index.Document{d}, int64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	traces := func(needle string) (files []string) {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
			if b, err := os.ReadFile(path); !d.IsDir() && err == nil && strings.Contains(string(b), needle) {
				files = append(files, path)
			}
			return nil
		})
		return files
	}
	vector := string(vectorBytes(unit([]float32{1, 2, 1})))
	if got := traces(vector); got != nil {
		t.Errorf("the vector outlived the change: %v", got)
	}
	if err := x.Compact(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	for _, needle := range []string{secret.ID, "xylophonequartz", vector} {
		if got := traces(needle); got != nil {
			t.Errorf("%q is still in %v", needle, got)
		}
	}
}

func TestADeadlineEndsAScan(t *testing.T) {
	x := open(t, t.TempDir())
	indextest.NewLibrary().Fill(t, x, "s", 2000)
	s, l := x.spaces["s"], indextest.NewLibrary()
	q, err := l.Query("s", 100).Normal()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	allowed := s.rows(s.attributes.seen(q.Clearance, q.Filter))
	if _, err := s.nearest(ctx, q, allowed); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("vectors: %v", err)
	}
	if _, err := s.keyword(ctx, q, allowed); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("keywords: %v", err)
	}
}
