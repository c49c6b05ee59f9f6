// Package indextest is the conformance suite of index.Index. Every backend's tests call Run.
package indextest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
)

// Open returns an empty index. The suite closes it.
type Open func(t *testing.T) index.Index

// Run checks that an index keeps the promises of the interface.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *harness)
	}{
		{"an unknown space is empty", unknownSpace},
		{"what was put in is found by words and by direction", finds},
		{"the best passage comes first, lists are as long as asked", ranks},
		{"replacing makes a document exactly what was given", replaces},
		{"a document without chunks is gone", removes},
		{"the same change twice is the same as once", idempotent},
		{"the sequence goes up only", sequences},
		{"spaces do not see each other, a dropped one is empty", spaces},
		{"a clearance sees its tiers and no others", tiers},
		{"a changed tier holds for every passage at once", tierChange},
		{"filters mean what Match says", filters},
		{"filters come before ranking", filterFirst},
		{"a refused document stores nothing", refuses},
		{"a bad query is refused", badQueries},
		{"passages without a vector are found by words", keywordOnly},
		{"words of other languages are found", languages},
		{"searches see a change whole or not at all", atomic},
		{"compacting changes nothing that can be seen", compacts},
		{"one feeder at a time", claims},
		{"feeders that compete leave the newest", feeders},
		{"a cancelled context stops the work", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &harness{t: t, x: open(t)}
			defer func() {
				if err := h.x.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.test(t, h)
		})
	}
}

const space = "gen_a"

// harness is one index with the verbs of the suite; every one fails the test on an error.
type harness struct {
	t *testing.T
	x index.Index
	n int64
}

func (h *harness) put(documents ...index.Document) {
	h.t.Helper()
	h.n++
	if err := h.x.Replace(h.t.Context(), space, documents, h.n); err != nil {
		h.t.Fatalf("replace: %v", err)
	}
}

func (h *harness) search(q index.Query) index.Hits {
	h.t.Helper()
	if q.Space == "" {
		q.Space = space
	}
	hits, err := h.x.Search(h.t.Context(), q)
	if err != nil {
		h.t.Fatalf("search: %v", err)
	}
	return hits
}

// found checks the chunks of both lists, in any order.
func (h *harness) found(what string, q index.Query, want ...string) {
	h.t.Helper()
	hits := h.search(q)
	slices.Sort(want)
	for list, got := range map[string][]index.Hit{"keyword": hits.Keyword, "vector": hits.Vector} {
		if list == "keyword" && q.Text == "" || list == "vector" && q.Vector == nil {
			if len(got) > 0 {
				h.t.Errorf("%s: %s list was not asked for: %v", what, list, got)
			}
			continue
		}
		if diff := cmp.Diff(want, ids(got, true), equateEmpty); diff != "" {
			h.t.Errorf("%s: %s list (-want +got):\n%s", what, list, diff)
		}
	}
}

var equateEmpty = cmp.Transformer("empty", func(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
})

func (h *harness) stats() index.Stats {
	h.t.Helper()
	s, err := h.x.Stats(h.t.Context(), space)
	if err != nil {
		h.t.Fatalf("stats: %v", err)
	}
	return s
}

func (h *harness) count(document string) int {
	h.t.Helper()
	n, err := h.x.Count(h.t.Context(), space, document)
	if err != nil {
		h.t.Fatalf("count: %v", err)
	}
	return n
}

func (h *harness) sequence(space string) int64 {
	h.t.Helper()
	n, err := h.x.Sequence(h.t.Context(), space)
	if err != nil {
		h.t.Fatalf("sequence: %v", err)
	}
	return n
}

func (h *harness) documents() []string {
	h.t.Helper()
	var out []string
	for id, err := range h.x.Documents(h.t.Context(), space) {
		if err != nil {
			h.t.Fatalf("documents: %v", err)
		}
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func ids(hits []index.Hit, sorted bool) []string {
	var out []string
	for _, h := range hits {
		out = append(out, h.ChunkID)
	}
	if sorted {
		slices.Sort(out)
	}
	return out
}

// doc makes a document whose chunks all hold the word "common", and each a word of its own: its id.
func doc(id string, tier caller.Tier, attributes map[string]any, chunks int) index.Document {
	d := index.Document{ID: id, Tier: tier, Attributes: attributes}
	for i := range chunks {
		chunk := fmt.Sprintf("%s.%d", id, i)
		d.Chunks = append(d.Chunks, index.Chunk{
			ID: chunk, Title: "title of " + id, Heading: "heading", Text: fmt.Sprintf("common passage word%s%d", id, i), Vector: direction(float64(i) / 10),
		})
	}
	return d
}

// direction is a vector at an angle to the first axis.
func direction(angle float64) []float32 {
	v := make([]float32, 8)
	v[0], v[1] = float32(math.Cos(angle)), float32(math.Sin(angle))
	return v
}

func both(limit int) index.Query {
	return index.Query{Text: "common", Vector: direction(0), Clearance: caller.Restricted, Limit: limit}
}

func kind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("%s: want %s, got %v", what, want, err)
	}
}

func cancelled(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, nil, 3))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := both(10)
	q.Space = space
	if _, err := h.x.Search(ctx, q); !errors.Is(err, context.Canceled) {
		t.Errorf("search: %v", err)
	}
	if err := h.x.Replace(ctx, space, []index.Document{{ID: "a"}}, 9); !errors.Is(err, context.Canceled) {
		t.Errorf("replace: %v", err)
	}
	var listed error
	for _, err := range h.x.Documents(ctx, space) {
		if listed = err; err != nil {
			break // nothing may follow
		}
	}
	if !errors.Is(listed, context.Canceled) {
		t.Errorf("documents: %v", listed)
	}
	if h.count("a") != 3 || h.sequence(space) != 1 {
		t.Error("a cancelled change was made")
	}
}
