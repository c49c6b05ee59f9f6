package quality

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Searcher returns the ids of the best documents for a question, best first.
type Searcher func(ctx context.Context, question string, limit int) ([]string, error)

// Embedder turns texts into vectors of one length.
type Embedder func(ctx context.Context, texts []string) ([][]float32, error)

// Report is how well and how fast a searcher finds.
type Report struct {
	Queries int           `json:"queries"` // those with a relevant document
	NDCG10  float64       `json:"ndcg_10"`
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
}

// Measure asks every question that has an answer.
func Measure(ctx context.Context, c *Collection, search Searcher) (Report, error) {
	var r Report
	var took []time.Duration
	for _, q := range c.Queries {
		if !slices.ContainsFunc(values(q.Relevance), func(n int) bool { return n > 0 }) {
			continue
		}
		start := time.Now()
		found, err := search(ctx, q.Text, 10)
		if err != nil {
			return r, fmt.Errorf("query %s: %w", q.ID, err)
		}
		took = append(took, time.Since(start))
		r.NDCG10 += NDCG(found, q.Relevance, 10)
		r.Queries++
	}
	if r.Queries == 0 {
		return r, fmt.Errorf("no query has a relevant document")
	}
	r.NDCG10 /= float64(r.Queries)
	slices.Sort(took)
	r.P50, r.P99 = Percentile(took, 50), Percentile(took, 99)
	return r, nil
}

// NDCG is the normalised discounted cumulative gain of the first k documents (Järvelin and Kekäläinen 2002, as trec_eval
// computes it): a document at rank i gains relevance/log2(i+1), the sum divided by that of the best possible order. A
// document that is returned again gains nothing.
func NDCG(found []string, relevance map[string]int, k int) float64 {
	gain, seen := 0.0, map[string]bool{}
	for i, id := range found[:min(k, len(found))] {
		if !seen[id] {
			gain += float64(max(relevance[id], 0)) / math.Log2(float64(i+2))
		}
		seen[id] = true
	}
	ideal := 0.0
	best := values(relevance)
	slices.SortFunc(best, func(a, b int) int { return b - a })
	for i, r := range best[:min(k, len(best))] {
		ideal += float64(max(r, 0)) / math.Log2(float64(i+2))
	}
	if ideal == 0 {
		return 0
	}
	return gain / ideal
}

// Percentile of sorted durations, by nearest rank.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func values(m map[string]int) []int {
	out := make([]int, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}
