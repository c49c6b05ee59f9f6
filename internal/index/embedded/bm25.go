package embedded

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"airfield/internal/index/analyze"
)

// maxQueryTerms bounds the work of a query; the rarest terms of a longer one count.
const maxQueryTerms = 64

// bm25 ranks the passages of one snapshot for one query, as Lucene does: the sum over the query's terms of
// ln(1+(N-n+½)/(n+½)) · tf/(tf + k1(1-b+b·length/mean)). N, n and the mean are those of the whole space, so that a score
// does not depend on who asks.
//
// Term after term, the rarest first, is added into one score per passage: postings are read in order, once, and the
// filter is a bit test. As soon as the terms that are left could not lift a new passage among the best (no term adds
// more than its weight), only passages that still can get there are looked up in them: exact, and what makes common
// words cheap.
type bm25 struct {
	words    *words
	snapshot *scorch.IndexSnapshot
	k1, b    float64
	passages int     // N
	mean     float64 // terms of a passage
	allowed  []uint64
	limit    int

	parts  []part
	scores []float32
}

// part is a segment with the rows of its documents, the first of which has the index from in scores.
type part struct {
	segment *scorch.SegmentSnapshot
	rows    []uint32
	from    int
}

// term is one word of a query with its postings in every part.
type term struct {
	word      string
	times     int // in the query
	postings  []segment.PostingsList
	frequency uint64 // passages that hold it
	weight    float64
}

// search returns the best rows.
func (r *bm25) search(ctx context.Context, text string) ([]scored, error) {
	size := 0
	for _, s := range r.snapshot.Segments() {
		rows, err := r.words.rowsOf(s)
		if err != nil {
			return nil, err
		}
		r.parts = append(r.parts, part{s, rows, size})
		size += len(rows)
	}
	r.words.forget(r.snapshot)
	terms, err := r.terms(text)
	if err != nil || len(terms) == 0 {
		return nil, err
	}
	r.scores = r.words.borrow(size)
	defer r.words.giveBack(r.scores)
	left := 0.0
	for _, t := range terms {
		left += t.weight
	}
	var candidates []int
	for _, t := range terms {
		if t.frequency > uint64(4*r.limit) {
			candidates = r.candidates(candidates, float32(left))
		}
		if candidates != nil {
			err = r.lookup(ctx, t, candidates)
		} else {
			err = r.walk(ctx, t)
		}
		if err != nil {
			return nil, err
		}
		left -= t.weight
	}
	return r.best(), nil
}

// add is what a term gives to a passage; the norm that bleve keeps is 1/√length.
func (r *bm25) add(t *term, p segment.Posting) float32 {
	tf, n := float64(p.Frequency()), p.Norm()
	return float32(t.weight * tf / (tf + r.k1*(1-r.b+r.b/(n*n*r.mean))))
}

// walk adds a term to every allowed passage that holds it.
func (r *bm25) walk(ctx context.Context, t *term) error {
	for i, part := range r.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		it := t.postings[i].Iterator(true, true, false, nil)
		for {
			p, err := it.Next()
			if err != nil {
				return damaged("keywords: %w", err)
			}
			if p == nil {
				break
			}
			number := p.Number()
			row := part.rows[number]
			if at := int(row >> 6); at < len(r.allowed) && r.allowed[at]&(1<<(row&63)) != 0 {
				r.scores[part.from+int(number)] += r.add(t, p)
			}
		}
	}
	return nil
}

// lookup adds a term to those of the candidates that hold it.
func (r *bm25) lookup(ctx context.Context, t *term, candidates []int) error {
	for i, part := range r.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		end, _ := slices.BinarySearch(candidates, part.from+len(part.rows))
		it := t.postings[i].Iterator(true, true, false, nil)
		var p segment.Posting
		var err error
		for _, c := range candidates[:end] {
			number := uint64(c - part.from)
			if p == nil || p.Number() < number {
				if p, err = it.Advance(number); err != nil {
					return damaged("keywords: %w", err)
				}
			}
			if p == nil {
				break
			}
			if p.Number() == number {
				r.scores[c] += r.add(t, p)
			}
		}
		candidates = candidates[end:]
	}
	return nil
}

// candidates returns the passages that can still be among the best when at most left is added to a score, out of the
// earlier ones; nil if passages without a score can too.
func (r *bm25) candidates(earlier []int, left float32) []int {
	best := newTop(r.limit)
	if earlier == nil {
		for i, score := range r.scores {
			if score > best.floor {
				best.add(uint32(i), score)
			}
		}
	} else {
		for _, i := range earlier {
			if score := r.scores[i]; score > best.floor {
				best.add(uint32(i), score)
			}
		}
	}
	floor := best.floor * 0.9999 // sums in 32 bits may be off in the last places
	if earlier != nil {
		return slices.DeleteFunc(earlier, func(i int) bool { return r.scores[i]+left < floor })
	}
	if len(best.heap) < r.limit || left >= floor {
		return nil
	}
	out := make([]int, 0, 4*r.limit)
	for i, score := range r.scores {
		if score > 0 && score+left >= floor {
			out = append(out, i)
		}
	}
	return out
}

// best returns the rows of the highest scores.
func (r *bm25) best() []scored {
	best := newTop(r.limit)
	for _, part := range r.parts {
		for i, score := range r.scores[part.from : part.from+len(part.rows)] {
			if score > best.floor {
				best.add(part.rows[i], score)
			}
		}
	}
	return best.sorted()
}

// terms analyses a query like a passage and looks its words up. The rarest comes first.
func (r *bm25) terms(text string) ([]*term, error) {
	byWord := map[string]*term{}
	var terms []*term
	for _, token := range r.words.analyzer.Analyze([]byte(analyze.Passage("", "", text))) {
		t := byWord[string(token.Term)]
		if t == nil {
			t = &term{word: string(token.Term)}
			byWord[t.word] = t
			terms = append(terms, t)
		}
		t.times++
	}
	for _, part := range r.parts {
		dictionary, err := part.segment.Segment().Dictionary(textField)
		if err != nil {
			return nil, damaged("keywords: %w", err)
		}
		for _, t := range terms {
			postings, err := dictionary.PostingsList([]byte(t.word), part.segment.Deleted(), nil)
			if err != nil {
				return nil, damaged("keywords: %w", err)
			}
			t.postings = append(t.postings, postings)
			t.frequency += postings.Count()
		}
	}
	terms = slices.DeleteFunc(terms, func(t *term) bool { return t.frequency == 0 })
	for _, t := range terms {
		n, all := float64(t.frequency), math.Max(float64(r.passages), float64(t.frequency))
		t.weight = float64(t.times) * math.Log(1+(all-n+0.5)/(n+0.5))
	}
	slices.SortStableFunc(terms, func(a, b *term) int { return cmp.Compare(a.frequency, b.frequency) })
	return terms[:min(len(terms), maxQueryTerms)], nil
}
