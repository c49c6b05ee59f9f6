package embedded

import (
	"context"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/zeebo/xxh3"

	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/index/embedded/dot"
)

// search answers a normal query from one state of the space.
func (s *space) search(ctx context.Context, q index.Query) (index.Hits, error) {
	if err := ctx.Err(); err != nil {
		return index.Hits{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return index.Hits{}, errClosed
	}
	if q.Vector != nil && s.table.vectors > 0 && len(q.Vector) != s.dimensions {
		return index.Hits{}, fault.New(fault.Invalid, "invalid_vector", "the vector has %d dimensions, those of the space have %d", len(q.Vector), s.dimensions)
	}
	allowed := s.rows(s.attributes.seen(q.Clearance, q.Filter))
	if allowed == nil {
		return index.Hits{}, nil
	}
	var hits index.Hits
	var keywordErr, vectorErr error
	var both sync.WaitGroup
	if q.Text != "" {
		both.Go(func() { hits.Keyword, keywordErr = s.keyword(ctx, q, allowed) })
	}
	if q.Vector != nil && s.table.vectors > 0 {
		hits.Vector, vectorErr = s.nearest(ctx, q, allowed)
	}
	both.Wait()
	for _, err := range []error{keywordErr, vectorErr} {
		if err != nil {
			return index.Hits{}, err
		}
	}
	return hits, nil
}

// rows returns the rows of documents as bits; nil if there are none.
func (s *space) rows(documents *roaring.Bitmap) []uint64 {
	if documents.IsEmpty() {
		return nil
	}
	allowed := make([]uint64, (len(s.table.docs)+63)/64)
	for it := documents.Iterator(); it.HasNext(); {
		for _, row := range s.documents[it.Next()].rows {
			allowed[row>>6] |= 1 << (row & 63)
		}
	}
	return allowed
}

func (s *space) keyword(ctx context.Context, q index.Query, allowed []uint64) ([]index.Hit, error) {
	snapshot, err := s.words.reader()
	if err != nil {
		return nil, err
	}
	defer snapshot.Close()
	ranking := bm25{
		words: s.words, snapshot: snapshot, k1: s.config.K1, b: s.config.B, allowed: allowed, limit: q.Limit,
		passages: s.table.live, mean: max(float64(s.table.length)/float64(s.table.live), 1),
	}
	best, err := ranking.search(ctx, q.Text)
	if err != nil {
		return nil, err
	}
	hits := make([]index.Hit, len(best))
	for i, b := range best {
		hits[i] = s.hit(b.row, float64(b.score))
	}
	slices.SortFunc(hits, byScore)
	return hits, nil
}

func (s *space) hit(row uint32, score float64) index.Hit {
	return index.Hit{ChunkID: s.table.chunks[row], DocumentID: s.documents[s.table.docs[row]].id, Score: score}
}

// nearest finds the allowed rows of the highest cosine: candidates by their codes, then exactly by their full vectors.
func (s *space) nearest(ctx context.Context, q index.Query, allowed []uint64) ([]index.Hit, error) {
	query := unit(q.Vector)
	codes := make([]int16, s.table.stride)
	quantise(query, codes[:len(query)], dot.Limit(s.table.stride))
	candidates, err := s.scan(ctx, codes, allowed, q.Limit*s.config.Rescore+16)
	if err != nil {
		return nil, err
	}
	hits := make([]index.Hit, 0, len(candidates))
	b := make([]byte, s.dimensions*4)
	for i, c := range candidates {
		if i&63 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		score := float64(c.score)
		if _, err := s.vectors.ReadAt(b, s.vectorAt(c.row)); err != nil || xxh3.Hash(b) != s.table.sums[c.row].vector {
			s.warning.Do(func() {
				s.log.Warn("a stored vector does not have its checksum; its 8-bit codes stand in", "chunk", s.table.chunks[c.row], "err", err)
			})
		} else {
			score = cosine(query, b)
		}
		hits = append(hits, s.hit(c.row, score))
	}
	slices.SortFunc(hits, byScore)
	return hits[:min(len(hits), q.Limit)], nil
}

// cosine multiplies a unit vector with the bytes of another.
func cosine(query []float32, b []byte) float64 {
	sum := 0.0
	for i, x := range floats(b) {
		sum += float64(x) * float64(query[i])
	}
	return sum
}

// parallelRows is what a worker should have to do at least.
const parallelRows = 16 * blockRows

// scan compares the query's codes with those of all allowed rows and returns the best.
func (s *space) scan(ctx context.Context, query []int16, allowed []uint64, limit int) ([]scored, error) {
	blocks := len(s.table.codes)
	workers := max(1, min(s.config.workers(), blocks*blockRows/parallelRows))
	best := make([]*top, workers)
	var all sync.WaitGroup
	for w := range workers {
		best[w] = newTop(limit)
		best[w].floor = float32(math.Inf(-1))
		work := func() {
			for block := blocks * w / workers; block < blocks*(w+1)/workers && ctx.Err() == nil; block++ {
				s.scanBlock(block, query, allowed, best[w])
			}
		}
		if w == workers-1 {
			work()
		} else {
			all.Go(work)
		}
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, other := range best[1:] {
		for _, c := range other.heap {
			if c.score > best[0].floor {
				best[0].add(c.row, c.score)
			}
		}
	}
	return best[0].sorted(), nil
}

// dense is how many of 64 rows must be allowed for all of them to be multiplied in one go.
const dense = 24

// scanBlock looks at one block, 64 rows at a time.
func (s *space) scanBlock(block int, query []int16, allowed []uint64, best *top) {
	codes, stride := s.table.codes[block], s.table.stride
	if codes == nil {
		return
	}
	var products [64]int32
	first := block * blockRows
	for at := 0; at < blockRows; at += 64 {
		word := (first + at) / 64
		if word >= len(allowed) {
			return
		}
		set := allowed[word]
		if set == 0 {
			continue
		}
		all := bits.OnesCount64(set) >= dense
		if all {
			dot.Rows(query, codes[at*stride:], products[:])
		}
		for ; set != 0; set &= set - 1 {
			i := bits.TrailingZeros64(set)
			row := uint32(first + at + i)
			scale := s.table.scales[row]
			if scale == 0 {
				continue
			}
			if !all {
				dot.Rows(query, codes[(at+i)*stride:], products[i:i+1])
			}
			if score := float32(products[i]) * scale; score > best.floor {
				best.add(row, score)
			}
		}
	}
}
