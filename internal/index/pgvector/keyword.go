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
	// enough chunks that hold one of the rarest terms are ranked first.
	enough = 1000
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
// What PostgreSQL looks up are the chunks that hold one of the rarest terms; each is given what all terms add to it. A
// chunk that holds none of those cannot be among the best where the common terms together, of which none adds more than
// its weight, are worth less than the last of them. Where they are worth more, further terms are looked up.
func (a *asking) keyword(ctx context.Context) ([]index.Hit, error) {
	terms, err := a.terms(ctx)
	if err != nil || len(terms) == 0 {
		return nil, err
	}
	leading, held := 0, 0.0
	for ; leading < len(terms) && held*a.share < max(enough, 10*float64(a.q.Limit)); leading++ {
		held += float64(terms[leading].chunks)
	}
	for {
		hits, err := a.rank(ctx, terms, leading)
		if err != nil || leading == len(terms) {
			return hits, err
		}
		floor := 0.0
		if len(hits) == a.q.Limit {
			floor = hits[len(hits)-1].Score
		}
		more := len(terms)
		for left := 0.0; more > leading && left+terms[more-1].weight < floor; more-- {
			left += terms[more-1].weight
		}
		if more == leading {
			return hits, nil
		}
		leading = more
	}
}

// rank scores the chunks that hold one of the leading terms.
func (a *asking) rank(ctx context.Context, terms []term, leading int) ([]index.Hit, error) {
	var args arguments
	words := make([]string, leading)
	for i := range words {
		words[i] = terms[i].word
	}
	condition := "c.words @@ " + args.add(quoted(words...)) + "::text::tsquery"
	from := "{c} c"
	if where := seen(a.q.Clearance, a.q.Filter, &args); where != "" && a.share < fewShare {
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
