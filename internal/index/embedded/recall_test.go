package embedded

import (
	"math"
	"slices"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/index"
	"airfield/internal/index/indextest"
)

// TestRecall compares the vector list with an exact search in 64 bits, with and without a filter.
func TestRecall(t *testing.T) {
	const limit = 10
	x, l := open(t, t.TempDir()), indextest.NewLibrary()
	var documents []index.Document
	for i := range 300 {
		documents = append(documents, l.Document(i))
	}
	if err := x.Replace(t.Context(), "s", documents, 1); err != nil {
		t.Fatal(err)
	}
	for _, percent := range []int{100, 10, 1} {
		found, wanted := 0, 0
		for range 50 {
			q := l.Query("s", percent)
			q.Text, q.Limit = "", limit
			type neighbour struct {
				id    string
				score float64
			}
			var exact []neighbour
			for _, d := range documents {
				if q.Filter.Match(d.Attributes) {
					for _, c := range d.Chunks {
						exact = append(exact, neighbour{c.ID, cosine64(q.Vector, c.Vector)})
					}
				}
			}
			slices.SortFunc(exact, func(a, b neighbour) int { return int(math.Copysign(1, b.score-a.score)) })
			hits, err := x.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range exact[:limit] {
				wanted++
				if i := slices.IndexFunc(hits.Vector, func(h index.Hit) bool { return h.ChunkID == want.id }); i >= 0 {
					found++
					if got := hits.Vector[i].Score; math.Abs(got-want.score) > 1e-5 {
						t.Fatalf("the cosine is %v, want %v", got, want.score)
					}
				}
			}
			if q.Clearance != caller.Restricted || len(hits.Vector) != limit {
				t.Fatalf("%d hits", len(hits.Vector))
			}
		}
		recall := float64(found) / float64(wanted)
		t.Logf("recall@%d at %d%%: %.4f", limit, percent, recall)
		if recall < 0.99 {
			t.Errorf("recall@%d at %d%% is %.4f", limit, percent, recall)
		}
	}
}

func cosine64(a, b []float32) float64 {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	return dot / math.Sqrt(aa*bb)
}
