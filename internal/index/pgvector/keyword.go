package pgvector

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"airfield/internal/index"
	"airfield/internal/index/analyze"
)

// BM25 as in the embedded index, whose package explains the choice.
const (
	k1            = 0.9
	b             = 0.4
	maxQueryTerms = 64
	// enough is how many chunks for each wanted hit hold one of the rarest terms, which are looked up first.
	enough = 2
	// fewSeen chunks are all given a score.
	fewSeen = 1500
)

// term is one word of a query.
type term struct {
	word   string
	times  int // in the query
	chunks int64
	weight float64
}

// keyword ranks chunks by BM25: the sum over the terms of ln(1+(N-n+½)/(n+½)) · tf/(tf + k1(1-b+b·length/mean)), with N, n
// and the mean of the whole space.
//
// PostgreSQL first looks up chunks that hold one of the rarest terms, and gives each what all terms add to it. No term adds
// more than its weight: what is better than the last of the best so far holds terms that are worth more together. That
// can be asked of an inverted index too, and leaves few that need a score.
func (a *asking) keyword(ctx context.Context) ([]index.Hit, error) {
	terms, err := a.terms(ctx)
	if err != nil || len(terms) == 0 {
		return nil, err
	}
	want := enough * float64(a.q.Limit)
	if float64(a.s.chunks)*a.share < fewSeen {
		want = math.Inf(1)
	}
	for leading := 0; ; want *= 4 {
		held := 0.0
		for leading = 0; leading < len(terms) && held*a.share < want; leading++ {
			held += float64(terms[leading].chunks)
		}
		words := make([]string, leading)
		for i := range words {
			words[i] = terms[i].word
		}
		hits, err := a.rank(ctx, terms, quoted(words...))
		if err != nil || leading == len(terms) {
			return hits, err
		}
		if len(hits) == a.q.Limit {
			floor, left := hits[len(hits)-1].Score*(1-1e-9), 0.0
			for _, t := range terms[leading:] {
				left += t.weight
			}
			if left < floor {
				return hits, nil
			}
			return a.rank(ctx, terms, worth(terms, floor))
		}
	}
}

// maxAsked bounds the text of a query that worth writes.
const maxAsked = 8 << 10

// worth asks for chunks whose terms may add up to a score: the rarer term with enough of the others, or enough of the
// others without it. Where that gets long it asks for one of the terms without which there is not enough.
func worth(terms []term, score float64) string {
	left := make([]float64, len(terms)+1) // what the terms from one on can add
	for i := len(terms) - 1; i >= 0; i-- {
		left[i] = left[i+1] + terms[i].weight
	}
	written := 0
	var ask func(i int, need float64) (query string, always bool)
	ask = func(i int, need float64) (string, bool) {
		if need <= 0 {
			return "", true
		}
		if left[i] < need || written > maxAsked {
			return "", false
		}
		word := quoted(terms[i].word)
		written += len(word)
		with, always := ask(i+1, need-terms[i].weight)
		without, _ := ask(i+1, need)
		switch {
		case with != "":
			with = word + " & ( " + with + " )"
		case always:
			with = word
		}
		if with != "" && without != "" {
			return with + " | " + without, false
		}
		return with + without, false
	}
	query, _ := ask(0, score)
	if written <= maxAsked {
		return query
	}
	var words []string
	for i := range terms {
		if words = append(words, terms[i].word); left[i+1] < score {
			break
		}
	}
	return quoted(words...)
}

// rank scores the chunks that a text search query matches.
func (a *asking) rank(ctx context.Context, terms []term, query string) ([]index.Hit, error) {
	var args arguments
	condition := "c.words @@ " + args.add(query) + "::text::tsquery"
	from := "{c} c"
	if where := seen(a.q.Clearance, a.q.Filter, &args); where != "" && a.share < pickShare {
		condition += " AND c.doc = ANY(ARRAY(SELECT d.n FROM {d} d WHERE " + where + "))"
	} else if where != "" {
		from += " JOIN {d} d ON d.n = c.doc"
		condition += " AND " + where
	}
	score := make([]string, len(terms))
	for i, t := range terms {
		score[i] = fmt.Sprintf("%g * %s", t.weight, often(t.word, 0, &args))
	}
	mean := max(float64(a.s.terms)/float64(a.s.chunks), 1)
	return a.hits(ctx, fmt.Sprintf("SELECT w.n, w.doc, %s AS score FROM (SELECT c.n, c.doc, c.id, c.words, (%g + %g * c.length) AS norm FROM %s WHERE %s OFFSET 0) w ORDER BY score DESC, w.id LIMIT %s",
		strings.Join(score, " + "), k1*(1-b), k1*b/mean, from, condition, args.add(a.q.Limit)), args)
}

// often is what a term that a chunk holds tf times adds to it, before its weight.
func often(word string, level int, args *arguments) string {
	less := "0"
	if level > 0 {
		less = fmt.Sprintf("%d / (%d + w.norm)", levels[level-1], levels[level-1])
	}
	if level == len(levels) {
		return less
	}
	return "CASE WHEN w.words @@ " + args.add(quoted(lexeme(word, level))) + "::text::tsquery THEN " + often(word, level+1, args) + " ELSE " + less + " END"
}

// terms analyses a query like a passage and looks up in how many chunks its words are. The rarest comes first.
func (a *asking) terms(ctx context.Context) ([]term, error) {
	times := map[string]int{}
	var words []string
	for _, token := range a.x.analyzer.Analyze([]byte(analyze.Passage("", "", a.q.Text))) {
		if word, ok := termOf(token.Term); ok {
			if times[word]++; times[word] == 1 {
				words = append(words, word)
			}
		}
	}
	rows, err := a.tx.Query(ctx, a.s.sql("SELECT term, chunks FROM {t} WHERE term = ANY($1)"), words)
	if err != nil {
		return nil, err
	}
	var terms []term
	t := term{}
	if _, err := pgx.ForEachRow(rows, []any{&t.word, &t.chunks}, func() error {
		n, all := float64(t.chunks), max(float64(a.s.chunks), float64(t.chunks))
		t.times = times[t.word]
		t.weight = float64(t.times) * math.Log(1+(all-n+0.5)/(n+0.5))
		terms = append(terms, t)
		return nil
	}); err != nil {
		return nil, err
	}
	slices.SortFunc(terms, func(a, b term) int { return cmp.Or(cmp.Compare(a.chunks, b.chunks), cmp.Compare(a.word, b.word)) })
	return terms[:min(len(terms), maxQueryTerms)], nil
}
