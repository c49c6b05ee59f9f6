package retrieve

import (
	"cmp"
	"slices"

	"airfield/internal/index"
)

// list is what one collection's index answered, and how it is weighed.
type list struct {
	model  string
	weight float64 // of the vectors; the keywords have the rest
	hits   index.Hits
}

// hit is a chunk with its fused score.
type hit struct {
	chunkID string
	score   float64
}

// fuse joins the lists of all collections into one, best first. A score is (1-w)·keyword/best keyword + w·cosine/best
// cosine: a convex combination, which keeps how far apart the hits of a list are, unlike one of ranks (Bruch, Gai and
// Ingber, An Analysis of Fusion Functions for Hybrid Retrieval, 2023). The best keyword score is that of all collections,
// the best cosine that of all with the same embedding model: other models' cosines cannot be compared.
func fuse(lists []list) []hit {
	keyword, vector := 0.0, map[string]float64{}
	for _, l := range lists {
		for _, h := range l.hits.Keyword {
			keyword = max(keyword, h.Score)
		}
		for _, h := range l.hits.Vector {
			vector[l.model] = max(vector[l.model], h.Score)
		}
	}
	scores := map[string]float64{}
	for _, l := range lists {
		for _, h := range l.hits.Keyword {
			if keyword > 0 {
				scores[h.ChunkID] += (1 - l.weight) * h.Score / keyword
			}
		}
		for _, h := range l.hits.Vector {
			if best := vector[l.model]; best > 0 && h.Score > 0 {
				scores[h.ChunkID] += l.weight * h.Score / best
			}
		}
	}
	out := make([]hit, 0, len(scores))
	for id, score := range scores {
		out = append(out, hit{id, min(score, 1)})
	}
	slices.SortFunc(out, func(a, b hit) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.chunkID, b.chunkID)) })
	return out
}
