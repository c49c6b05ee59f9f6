package indextest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
)

func unknownSpace(t *testing.T, h *harness) {
	h.found("search", both(10))
	if h.sequence(space) != 0 || h.count("a") != 0 || len(h.documents()) != 0 || h.stats() != (index.Stats{}) {
		t.Error("not empty")
	}
	if err := h.x.Drop(t.Context(), space); err != nil {
		t.Errorf("drop: %v", err)
	}
	if err := h.x.Compact(t.Context(), space); err != nil {
		t.Errorf("compact: %v", err)
	}
}

func finds(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, nil, 3), doc("b", caller.Public, nil, 2))
	h.found("all", both(10), "a.0", "a.1", "a.2", "b.0", "b.1")
	h.found("a word", index.Query{Text: "wordb1", Clearance: caller.Public}, "b.1")
	h.found("another case", index.Query{Text: "WORDB1", Clearance: caller.Public}, "b.1")
	h.found("title", index.Query{Text: "title", Clearance: caller.Public}, "a.0", "a.1", "a.2", "b.0", "b.1")
	h.found("heading", index.Query{Text: "heading", Clearance: caller.Public}, "a.0", "a.1", "a.2", "b.0", "b.1")
	h.found("an unknown word", index.Query{Text: "nowhere", Clearance: caller.Public})
	h.found("neither", index.Query{Clearance: caller.Public})
	if got := h.stats(); got.Documents != 2 || got.Chunks != 5 || got.Vectors != 5 || got.Dimensions != 8 || got.Bytes <= 0 {
		t.Errorf("stats %+v", got)
	}
	if got := h.documents(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("documents %v", got)
	}
}

func ranks(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, nil, 9), index.Document{ID: "b", Tier: caller.Public, Chunks: []index.Chunk{
		{ID: "twice", Text: "rocket rocket engines and more", Vector: direction(3)},
		{ID: "once", Text: "rocket engines and more common", Vector: direction(2)},
	}})
	hits := h.search(index.Query{Text: "rocket", Vector: direction(0.31), Clearance: caller.Public, Limit: 3})
	if got := ids(hits.Keyword, false); !slices.Equal(got, []string{"twice", "once"}) {
		t.Errorf("keyword %v", got)
	}
	if got := ids(hits.Vector, false); !slices.Equal(got, []string{"a.3", "a.4", "a.2"}) {
		t.Errorf("vector %v", got)
	}
	if s := hits.Vector[0].Score; s < 0.9998 || s > 1.0001 {
		t.Errorf("the cosine of nearly the same direction is %v", s)
	}
	for _, list := range [][]index.Hit{hits.Keyword, hits.Vector} {
		if !slices.IsSortedFunc(list, func(a, b index.Hit) int { return int((b.Score - a.Score) * 1e6) }) {
			t.Errorf("not best first: %v", list)
		}
		for _, hit := range list {
			if want := map[bool]string{true: "b", false: "a"}[hit.ChunkID == "once" || hit.ChunkID == "twice"]; hit.DocumentID != want {
				t.Errorf("%s is said to be of %s", hit.ChunkID, hit.DocumentID)
			}
		}
	}
	if n := len(h.search(both(4)).Keyword); n != 4 {
		t.Errorf("%d hits for a limit of 4", n)
	}
	if n := len(h.search(both(0)).Vector); n != index.DefaultLimit {
		t.Errorf("%d hits for no limit", n)
	}
	if n := len(h.search(both(1 << 30)).Vector); n != 11 {
		t.Errorf("%d hits of 11 for a huge limit", n)
	}
}

func replaces(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, nil, 4), doc("b", caller.Public, nil, 1))
	changed := doc("a", caller.Public, nil, 3)
	changed.Chunks[1].Text = "common but edited"
	changed.Chunks[2].Vector = direction(1.5)
	changed.Chunks = append(changed.Chunks, index.Chunk{ID: "a.new", Text: "common and new", Vector: direction(1)})
	h.put(changed)
	h.found("all", both(10), "a.0", "a.1", "a.2", "a.new", "b.0")
	h.found("old text", index.Query{Text: "worda1", Clearance: caller.Public})
	h.found("new text", index.Query{Text: "edited", Clearance: caller.Public}, "a.1")
	if got := ids(h.search(index.Query{Vector: direction(1.5), Clearance: caller.Public, Limit: 1}).Vector, false); !slices.Equal(got, []string{"a.2"}) {
		t.Errorf("the new vector is not found: %v", got)
	}
	if h.count("a") != 4 || h.count("b") != 1 || h.stats().Chunks != 5 {
		t.Error("wrong counts")
	}
	h.put(doc("a", caller.Public, nil, 1), doc("c", caller.Public, nil, 1), doc("c", caller.Public, nil, 2))
	h.found("the last of two counts", both(10), "a.0", "b.0", "c.0", "c.1")
}

func removes(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, map[string]any{"type": "x"}, 4), doc("b", caller.Public, map[string]any{"type": "x"}, 2))
	h.put(index.Document{ID: "a"}, index.Document{ID: "never was"})
	h.found("what is left", both(10), "b.0", "b.1")
	q := both(10)
	q.Filter = index.Filter{Type: index.Eq, Key: "type", Value: "x"}
	h.found("by filter", q, "b.0", "b.1")
	if h.count("a") != 0 || h.stats().Documents != 1 || !slices.Equal(h.documents(), []string{"b"}) {
		t.Error("something is left")
	}
	h.put(index.Document{ID: "b"})
	if got := h.stats(); got.Documents+got.Chunks+got.Vectors+got.Dimensions != 0 {
		t.Errorf("something is left: %+v", got)
	}
	again := doc("a", caller.Public, nil, 1)
	again.Chunks[0].Vector = []float32{1, 2, 3} // an empty space takes vectors of any length
	h.put(again)
	h.found("it can come back", index.Query{Text: "common", Vector: []float32{1, 2, 2}, Clearance: caller.Public}, "a.0")
}

func idempotent(t *testing.T, h *harness) {
	for range 3 {
		if err := h.x.Replace(t.Context(), space, []index.Document{doc("a", caller.Public, nil, 3), {ID: "gone"}}, 7); err != nil {
			t.Fatal(err)
		}
	}
	h.found("all", both(10), "a.0", "a.1", "a.2")
	if h.count("a") != 3 || h.stats().Chunks != 3 || h.sequence(space) != 7 {
		t.Error("a repeated change is not the same")
	}
}

func sequences(t *testing.T, h *harness) {
	for _, step := range []struct{ put, want int64 }{{5, 5}, {9, 9}, {3, 9}, {1 << 40, 1 << 40}} {
		if err := h.x.Replace(t.Context(), space, nil, step.put); err != nil {
			t.Fatal(err)
		}
		if got := h.sequence(space); got != step.want {
			t.Errorf("after %d the sequence is %d", step.put, got)
		}
	}
}

func spaces(t *testing.T, h *harness) {
	for i, name := range []string{"gen_a", "gen_b"} {
		if err := h.x.Replace(t.Context(), name, []index.Document{doc(name, caller.Public, nil, 1)}, int64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	q := both(10)
	h.found("a", q, "gen_a.0")
	q.Space = "gen_b"
	h.found("b", q, "gen_b.0")
	if got, err := h.x.Spaces(t.Context()); err != nil || !slices.Equal(got, []string{"gen_a", "gen_b"}) {
		t.Errorf("spaces %v, %v", got, err)
	}
	if err := h.x.Drop(t.Context(), "gen_a"); err != nil {
		t.Fatal(err)
	}
	h.found("dropped", both(10))
	h.found("the other", q, "gen_b.0")
	if got, _ := h.x.Spaces(t.Context()); h.sequence("gen_a") != 0 || !slices.Equal(got, []string{"gen_b"}) {
		t.Errorf("still there: %v", got)
	}
	h.put(doc("new", caller.Public, nil, 1))
	h.found("a new one of the same name", both(10), "new.0")
}

func refuses(t *testing.T, h *harness) {
	h.put(doc("a", caller.Public, nil, 1))
	inf, nan := doc("x", caller.Public, nil, 1), doc("x", caller.Public, nil, 1)
	one := float32(1)
	inf.Chunks[0].Vector[3] = one / (one - one)
	nan.Chunks[0].Vector[3] = inf.Chunks[0].Vector[3] - inf.Chunks[0].Vector[3]
	short, twice, noChunkID := doc("x", caller.Public, nil, 1), doc("x", caller.Public, nil, 2), doc("x", caller.Public, nil, 1)
	short.Chunks[0].Vector = []float32{1, 2, 3}
	twice.Chunks[1].ID = twice.Chunks[0].ID
	noChunkID.Chunks[0].ID = ""
	for what, bad := range map[string]index.Document{
		"NaN": nan, "infinity": inf, "another length": short, "a chunk twice": twice, "a chunk without id": noChunkID,
		"no tier": doc("x", caller.None, nil, 1), "an unknown tier": doc("x", 9, nil, 1), "no id": doc("", caller.Public, nil, 1),
		"a nested attribute": doc("x", caller.Public, map[string]any{"a": map[string]any{}}, 1),
		"a list of numbers":  doc("x", caller.Public, map[string]any{"a": []float64{1}}, 1),
	} {
		err := h.x.Replace(t.Context(), space, []index.Document{doc("good", caller.Public, nil, 1), bad}, 99)
		kind(t, what, err, fault.Invalid)
	}
	h.found("only what was there", both(10), "a.0")
	if h.sequence(space) != 1 || h.stats().Documents != 1 {
		t.Error("a refused change left something")
	}
}

func keywordOnly(t *testing.T, h *harness) {
	d := doc("a", caller.Public, nil, 3)
	d.Chunks[0].Vector, d.Chunks[1].Vector = nil, make([]float32, 8)
	h.put(d)
	h.found("words", index.Query{Text: "common", Clearance: caller.Public}, "a.0", "a.1", "a.2")
	h.found("vectors", index.Query{Vector: direction(0), Clearance: caller.Public}, "a.2")
	h.found("a query without direction", index.Query{Vector: make([]float32, 8), Clearance: caller.Public})
	if got := h.stats(); got.Chunks != 3 || got.Vectors != 1 {
		t.Errorf("stats %+v", got)
	}
}

func languages(t *testing.T, h *harness) {
	d := index.Document{ID: "d", Tier: caller.Public}
	for id, text := range map[string]string{
		"de": "Die Kündigungsfrist beträgt drei Monate.", "fr": "Le délai de préavis est de trois mois.",
		"ru": "Срок уведомления составляет три месяца.", "ja": "解約の通知期間は三か月です。", "zh": "合同的通知期限为三个月。",
		"ar": "مدة الإشعار ثلاثة أشهر", "en": "The notice period is three months.", "bad": "broken \xff\xfe bytes",
	} {
		d.Chunks = append(d.Chunks, index.Chunk{ID: id, Text: text})
	}
	h.put(d)
	for id, text := range map[string]string{
		"de": "kündigungsfrist", "fr": "PRÉAVIS", "ru": "срок", "ja": "解約", "zh": "合同", "ar": "الإشعار", "en": "Notice", "bad": "broken",
	} {
		h.found(id, index.Query{Text: text, Clearance: caller.Public}, id)
	}
}

func atomic(t *testing.T, h *harness) {
	const chunks = 5
	// Two states of one document, of different passages: a search must never see some of each.
	version := func(v string) index.Document {
		d := index.Document{ID: "d", Tier: caller.Public}
		for i := range chunks {
			d.Chunks = append(d.Chunks, index.Chunk{ID: fmt.Sprintf("%s.%d", v, i), Text: "common " + v, Vector: direction(float64(i) / 10)})
		}
		return d
	}
	h.put(version("v0"))
	var searching sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		searching.Go(func() {
			for {
				q := both(50)
				q.Space = space
				hits, err := h.x.Search(t.Context(), q)
				if err != nil {
					t.Errorf("search: %v", err)
					return
				}
				for _, list := range [][]index.Hit{hits.Keyword, hits.Vector} {
					if len(list) != chunks || slices.ContainsFunc(list, func(x index.Hit) bool { return x.ChunkID[:2] != hits.Vector[0].ChunkID[:2] }) {
						t.Errorf("a search saw half a change: %v", hits)
						return
					}
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 40 {
		h.put(version(fmt.Sprintf("v%d", i%2)))
	}
	close(done)
	searching.Wait()
}

func compacts(t *testing.T, h *harness) {
	for i := range 5 {
		h.put(doc("a", caller.Public, nil, 5-i), doc(fmt.Sprintf("b%d", i), caller.Internal, nil, 2))
	}
	h.put(index.Document{ID: "b0"})
	before := h.search(both(50))
	if err := h.x.Compact(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	after := h.search(both(50))
	if !slices.Equal(ids(before.Vector, true), ids(after.Vector, true)) || !slices.Equal(ids(before.Keyword, true), ids(after.Keyword, true)) || len(after.Vector) != 9 {
		t.Errorf("before %v, after %v", before, after)
	}
	if h.sequence(space) != 6 {
		t.Error("the sequence changed")
	}
}
