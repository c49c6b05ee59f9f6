package embedded

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// maxQueryTerms bounds the work of a query; the rarest terms of a longer one count.
const maxQueryTerms = 64

// term is one word of a query with its postings in every segment.
type term struct {
	word      string
	times     int // in the query
	postings  []segment.PostingsList
	frequency uint64 // passages that hold it
	weight    float64
}

// corpus is what BM25 must know of the whole space.
type corpus struct {
	passages int
	length   int64 // terms of all passages together
	lengths  []uint32
}

// search scores every allowed passage that holds a term of the text and returns the best rows.
//
// BM25 as in Lucene: sum over terms of ln(1+(N-n+½)/(n+½)) · tf/(tf + k1(1-b+b·length/mean)). Term after term is added
// into one score per row: postings are read in order, once, and the filter is a bit test. N, n and the mean are those of
// the whole space, so that a score does not depend on who asks.
func (w *words) search(ctx context.Context, snapshot *scorch.IndexSnapshot, text string, c corpus, allowed []uint64, limit int, k1, b float64) ([]scored, error) {
	terms, err := w.terms(snapshot, text, c.passages)
	if err != nil || len(terms) == 0 || c.passages == 0 {
		return nil, err
	}
	w.forget(snapshot)
	mean := max(float64(c.length)/float64(c.passages), 1)
	base, slope := float32(k1*(1-b)), float32(k1*b/mean)
	scores := make([]float32, len(allowed)*64)
	seen := 0
	for i, s := range snapshot.Segments() {
		rows, err := w.rowsOf(s)
		if err != nil {
			return nil, err
		}
		for _, t := range terms {
			weight := float32(t.weight)
			it := t.postings[i].Iterator(true, false, false, nil)
			for {
				if seen++; seen&0x3fff == 0 && ctx.Err() != nil {
					return nil, ctx.Err()
				}
				p, err := it.Next()
				if err != nil {
					return nil, damaged("keywords: %w", err)
				}
				if p == nil {
					break
				}
				row := rows[p.Number()]
				if at := int(row >> 6); at >= len(allowed) || allowed[at]&(1<<(row&63)) == 0 {
					continue
				}
				tf := float32(p.Frequency())
				scores[row] += weight * tf / (tf + base + slope*float32(c.lengths[row]))
			}
		}
	}
	best := newTop(limit)
	for row, score := range scores {
		if score > best.floor {
			best.add(uint32(row), score)
		}
	}
	return best.sorted(), ctx.Err()
}

// terms analyses a query like a passage and looks its words up.
func (w *words) terms(snapshot *scorch.IndexSnapshot, text string, passages int) ([]*term, error) {
	byWord := map[string]*term{}
	var terms []*term
	for _, token := range w.analyzer.Analyze([]byte(passage("", "", text))) {
		t := byWord[string(token.Term)]
		if t == nil {
			t = &term{word: string(token.Term)}
			byWord[t.word] = t
			terms = append(terms, t)
		}
		t.times++
	}
	for _, s := range snapshot.Segments() {
		dictionary, err := s.Segment().Dictionary(textField)
		if err != nil {
			return nil, damaged("keywords: %w", err)
		}
		for _, t := range terms {
			postings, err := dictionary.PostingsList([]byte(t.word), s.Deleted(), nil)
			if err != nil {
				return nil, damaged("keywords: %w", err)
			}
			t.postings = append(t.postings, postings)
			t.frequency += postings.Count()
		}
	}
	terms = slices.DeleteFunc(terms, func(t *term) bool { return t.frequency == 0 })
	for _, t := range terms {
		n, all := float64(t.frequency), math.Max(float64(passages), float64(t.frequency))
		t.weight = float64(t.times) * math.Log(1+(all-n+0.5)/(n+0.5))
	}
	slices.SortStableFunc(terms, func(a, b *term) int { return cmp.Compare(a.frequency, b.frequency) })
	return terms[:min(len(terms), maxQueryTerms)], nil
}
