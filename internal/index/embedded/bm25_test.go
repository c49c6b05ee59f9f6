package embedded

import (
	"math"
	"slices"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/index"
	"airfield/internal/index/indextest"
)

// TestRankingIsExactBM25 compares every list with the formula computed the long way, so that leaving passages out early
// cannot lose one.
func TestRankingIsExactBM25(t *testing.T) {
	x, l := open(t, t.TempDir()), indextest.NewLibrary()
	passages := map[string][]string{}
	total, holders := 0, map[string]int{}
	for from := 0; from < 60; from += 20 { // several segments
		var documents []index.Document
		for i := from; i < from+20; i++ {
			d := l.Document(i)
			for j := range d.Chunks {
				d.Chunks[j].Text, d.Chunks[j].Vector = l.Text(10+(i*7+j*13)%90), nil
				words := strings.Fields("titl head " + d.Chunks[j].Text)
				passages[d.Chunks[j].ID] = words
				total += len(words)
				slices.Sort(words)
				for _, w := range slices.Compact(slices.Clone(words)) {
					holders[w]++
				}
			}
			documents = append(documents, d)
		}
		if err := x.Replace(t.Context(), "s", documents, int64(from+1)); err != nil {
			t.Fatal(err)
		}
	}
	mean, all := float64(total)/float64(len(passages)), float64(len(passages))
	for range 60 {
		text := l.Text(6)
		want := map[string]float64{}
		for id, words := range passages {
			for _, w := range strings.Fields(text) {
				tf := 0.0
				for _, v := range words {
					if v == w {
						tf++
					}
				}
				n := float64(holders[w])
				want[id] += math.Log(1+(all-n+0.5)/(n+0.5)) * tf / (tf + 0.9*(1-0.4+0.4*float64(len(words))/mean))
			}
		}
		var scores []float64
		for _, s := range want {
			if s > 0 {
				scores = append(scores, s)
			}
		}
		slices.Sort(scores)
		slices.Reverse(scores)
		hits, err := x.Search(t.Context(), index.Query{Space: "s", Text: text, Clearance: caller.Restricted, Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		if len(hits.Keyword) != min(7, len(scores)) {
			t.Fatalf("%q: %d hits of %d", text, len(hits.Keyword), len(scores))
		}
		for i, h := range hits.Keyword {
			if math.Abs(h.Score-want[h.ChunkID]) > 1e-4 || math.Abs(h.Score-scores[i]) > 1e-4 {
				t.Fatalf("%q: rank %d is %v with %v, want %v, the %dth best is %v", text, i, h.ChunkID, h.Score, want[h.ChunkID], i, scores[i])
			}
		}
	}
}
