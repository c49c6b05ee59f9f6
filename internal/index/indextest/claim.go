package indextest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/index"
)

func claims(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, nil, 1))
	first, err := h.x.Claim(t.Context(), space)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for what, try := range map[string]func() error{
		"claim": func() error {
			c, err := h.x.Claim(brief, space)
			if err == nil {
				c.Release()
			}
			return err
		},
		"replace": func() error { return h.x.Replace(brief, space, []index.Document{{ID: "a"}}, 9) },
		"drop":    func() error { return h.x.Drop(brief, space) },
	} {
		if err := try(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a claimed space: %v", what, err)
		}
	}
	if err := h.x.Replace(t.Context(), "gen_b", nil, 1); err != nil {
		t.Errorf("another space: %v", err)
	}
	if h.count("a") != 1 || h.sequence(space) != 1 {
		t.Error("a claimed space was changed by somebody else")
	}
	if err := first.Replace(t.Context(), []index.Document{doc("b", caller.Public, nil, 1)}, 2); err != nil {
		t.Error(err)
	}
	first.Release()
	first.Release() // does no harm
	if err := first.Replace(t.Context(), []index.Document{{ID: "b"}}, 3); err == nil {
		t.Error("a claim that was given back still changes the space")
	}
	if err := first.Drop(t.Context()); err == nil {
		t.Error("a claim that was given back still drops the space")
	}
	h.n = 3
	h.put(doc("c", caller.Public, nil, 1))
	h.found("all", both(10), "a.0", "b.0", "c.0")
	second, err := h.x.Claim(t.Context(), space)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if err := second.Drop(t.Context()); err != nil {
		t.Error(err)
	}
	h.found("dropped", both(10))
	if err := second.Replace(t.Context(), []index.Document{doc("d", caller.Public, nil, 1)}, 1); err != nil {
		t.Error(err)
	}
	h.found("built anew", both(10), "d.0")
}

func feeders(t *testing.T, h *harness) { Compete(t, h.x, h.x) }

// Compete has feeders of several handles on one index follow a database whose only document changes all the time, and
// checks that none ever leaves the space with less than its position says.
func Compete(t *testing.T, handles ...index.Index) {
	const changes, each = 60, 2
	var mu sync.Mutex
	version := int64(0) // of the document, which is also the sequence: the database
	read := func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return version
	}
	feed := func(x index.Index) error {
		claim, err := x.Claim(t.Context(), space)
		if err != nil {
			return err
		}
		defer claim.Release()
		at, err := x.Sequence(t.Context(), space)
		if err != nil {
			return err
		}
		goal := read()
		if goal < at {
			return fmt.Errorf("the index is at %d, the database at %d", at, goal)
		}
		if goal == at {
			return nil
		}
		d := doc("d", caller.Public, nil, 2)
		for i := range d.Chunks {
			d.Chunks[i].ID = fmt.Sprintf("v%d.%d", read(), i)
		}
		return claim.Replace(t.Context(), []index.Document{d}, goal)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, x := range handles {
		for range each {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if err := feed(x); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	for range changes {
		mu.Lock()
		version++
		mu.Unlock()
		time.Sleep(time.Millisecond) // changes come one after the other
	}
	close(done)
	wg.Wait()
	if err := feed(handles[0]); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("v%d.", changes)
	for _, x := range handles {
		hits, err := x.Search(t.Context(), index.Query{Space: space, Text: "common", Clearance: caller.Public})
		if err != nil || len(hits.Keyword) != 2 || hits.Keyword[0].ChunkID[:len(want)] != want {
			t.Errorf("%+v, %v", hits, err)
		}
		if at, err := x.Sequence(t.Context(), space); at != changes || err != nil {
			t.Error(at, err)
		}
	}
}
