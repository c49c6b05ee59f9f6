package pgvector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db/dbtest"
	"airfield/internal/index"
	"airfield/internal/index/analyze"
)

// TestFiltersAgreeWithMatch compares random filters with what they mean.
func TestFiltersAgreeWithMatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	scalars := []any{"a", "b", "", "7", "true", 7.0, -0.5, 0.0, math.Copysign(0, -1), 1e300, 5e-324, 0.1, true, false}
	keys := []string{"k", "l", "missing", "K"}
	value := func() any { return scalars[random.IntN(len(scalars))] }
	var documents []index.Document
	for i := range 60 {
		attributes := map[string]any{}
		for _, key := range keys {
			switch random.IntN(4) {
			case 0:
				attributes[key] = value()
			case 1:
				attributes[key] = []string{[]string{"a", "b", "", "7"}[random.IntN(4)], "true"}[:random.IntN(3)]
			}
		}
		delete(attributes, "missing")
		d := passage(fmt.Sprintf("d%02d", i), "common")
		d.Attributes = attributes
		documents = append(documents, d)
	}
	var make func(depth int) index.Filter
	make = func(depth int) index.Filter {
		if depth > 0 && random.IntN(3) == 0 {
			f := index.Filter{Type: []index.Op{index.And, index.Or}[random.IntN(2)]}
			for range 1 + random.IntN(3) {
				f.Filters = append(f.Filters, make(depth-1))
			}
			return f
		}
		f := index.Filter{Type: []index.Op{index.Eq, index.Ne, index.Gt, index.Gte, index.Lt, index.Lte, index.In, index.Nin}[random.IntN(8)], Key: keys[random.IntN(len(keys))], Value: value()}
		switch f.Type {
		case index.In, index.Nin:
			list := []any{}
			for range random.IntN(4) {
				list = append(list, value())
			}
			f.Value = list
		case index.Gt, index.Gte, index.Lt, index.Lte:
			f.Value = []any{7.0, -0.5, 0.0, 1e300, 0.1, 5e-324}[random.IntN(6)]
		}
		return f
	}
	x := open(t, dbtest.Postgres(t))
	put(t, x, 1, documents...)
	documents, _, err := index.Normal(documents, 0)
	if err != nil {
		t.Fatal(err)
	}
	matched := 0
	for range 300 {
		f, err := make(2).Normal()
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, d := range documents {
			if f.Match(d.Attributes) {
				want = append(want, d.ID+".0")
			}
		}
		matched += len(want)
		if got := chunks(find(t, x, index.Query{Text: "common", Filter: f, Limit: 100}).Keyword); !slices.Equal(got, want) {
			t.Fatalf("%+v\ngot  %q\nwant %q", f, got, want)
		}
	}
	if matched < 1000 {
		t.Errorf("the filters match %d documents in all: they try nothing", matched)
	}
}

// library is a space of documents of ten chunks, with a filter for each tenth and each hundredth, and common words.
func library(random *rand.Rand, documents int) (all []index.Document, word func() string) {
	zipf := rand.NewZipf(random, 1.2, 4, 3000)
	word = func() string { return fmt.Sprintf("term%d", zipf.Uint64()) }
	for i := range documents {
		d := index.Document{ID: fmt.Sprintf("d%04d", i), Tier: caller.Public + caller.Tier(i%4), Attributes: map[string]any{"tenth": float64(i % 10), "hundredth": fmt.Sprint(i % 100)}}
		for c := range 10 {
			chunk := index.Chunk{ID: fmt.Sprintf("%s.%d", d.ID, c), Vector: gauss(random)}
			for range 10 + random.IntN(60) {
				chunk.Text += word() + " "
			}
			d.Chunks = append(d.Chunks, chunk)
		}
		all = append(all, d)
	}
	return all, word
}

func gauss(random *rand.Rand) []float32 {
	v := make([]float32, 32)
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	return v
}

var portions = map[string]index.Filter{
	"everything":  {},
	"a tenth":     {Type: index.Eq, Key: "tenth", Value: 3.0},
	"a hundredth": {Type: index.Eq, Key: "hundredth", Value: "33"},
}

// scored is what a reference says of a chunk.
type scored struct {
	id    string
	score float64
}

func best(all []scored, limit int) []scored {
	slices.SortFunc(all, func(a, b scored) int {
		if a.score != b.score {
			return int(math.Copysign(1, b.score-a.score))
		}
		return int(math.Copysign(1, float64(len(b.id)-len(a.id))))
	})
	return all[:min(limit, len(all))]
}

// TestTheGraphFindsTheNearest builds a graph as a large space has one, and compares with all vectors in 64 bits.
func TestTheGraphFindsTheNearest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	documents, _ := library(random, 400)
	x := open(t, dbtest.Postgres(t))
	x.graphAt, x.settleTime = 3000, 50*time.Millisecond
	for i := range 4 {
		put(t, x, int64(i+1), documents[i*100:i*100+100]...)
	}
	graph := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			var got bool
			if err := x.read.QueryRow(t.Context(), "SELECT graph FROM spaces").Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("graph: %t", got)
			}
		}
	}
	graph(true)
	check := func(documents []index.Document) {
		t.Helper()
		for name, f := range portions {
			for _, clearance := range []caller.Tier{caller.Restricted, caller.Internal} {
				found, wanted := 0, 0
				for range 20 {
					q := index.Query{Vector: gauss(random), Filter: f, Clearance: clearance, Limit: 10}
					var all []scored
					for _, d := range documents {
						if f.Match(d.Attributes) && clearance.Sees(d.Tier) {
							for _, c := range d.Chunks {
								all = append(all, scored{c.ID, cosine(q.Vector, c.Vector)})
							}
						}
					}
					exact, hits := best(all, q.Limit), find(t, x, q).Vector
					if len(hits) != len(exact) {
						t.Fatalf("%s: %d hits of %d", name, len(hits), len(exact))
					}
					for _, want := range exact {
						wanted++
						if i := slices.IndexFunc(hits, func(h index.Hit) bool { return h.ChunkID == want.id }); i >= 0 {
							found++
							if math.Abs(hits[i].Score-want.score) > 1e-5 {
								t.Fatalf("the cosine is %v, want %v", hits[i].Score, want.score)
							}
						}
					}
				}
				if recall := float64(found) / float64(max(wanted, 1)); recall < 0.97 {
					t.Errorf("%s for %s: recall %.3f", name, clearance, recall)
				}
			}
		}
	}
	check(documents)
	var scans int64
	for deadline := time.Now().Add(10 * time.Second); scans == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // counts are told with a delay
		if err := x.write.QueryRow(t.Context(), "SELECT COALESCE(SUM(idx_scan), 0) FROM pg_stat_user_indexes WHERE indexrelname LIKE '%\\_graph'").Scan(&scans); err != nil {
			t.Fatal(err)
		}
	}
	if scans == 0 {
		t.Error("no search went through the graph")
	}
	// It follows changes: half of the documents go, the others get other vectors.
	var gone []index.Document
	for i := range documents[:200] {
		gone = append(gone, index.Document{ID: documents[i].ID})
	}
	for i := range documents[200:] {
		for c := range documents[200+i].Chunks {
			documents[200+i].Chunks[c].Vector = gauss(random)
		}
	}
	put(t, x, 5, gone...)
	put(t, x, 6, documents[200:]...)
	check(documents[200:])
	// Emptied, the space takes vectors of another length.
	for i := range documents[200:] {
		gone[i].ID = documents[200+i].ID
	}
	put(t, x, 7, gone...)
	graph(false)
	put(t, x, 8, passage("short", "text", 1, 0, 0))
	if got := find(t, x, index.Query{Vector: []float32{1, 0, 0}}); len(got.Vector) != 1 {
		t.Errorf("%+v", got)
	}
}

func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return dot / math.Sqrt(aa*bb)
}

// TestKeywordsAreRankedByBM25 compares with the formula, computed over all chunks.
func TestKeywordsAreRankedByBM25(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	documents, word := library(random, 300)
	x := open(t, dbtest.Postgres(t))
	put(t, x, 1, documents[:200]...)
	put(t, x, 2, documents[150:]...)
	for i := range documents[:50] {
		documents[i] = index.Document{ID: documents[i].ID}
	}
	put(t, x, 3, documents[:50]...)
	analyzer, err := analyze.New()
	if err != nil {
		t.Fatal(err)
	}
	counts := func(text string) map[string]int {
		out := map[string]int{}
		for _, token := range analyzer.Analyze([]byte(text)) {
			out[string(token.Term)]++
		}
		return out
	}
	type row struct {
		id     string
		d      index.Document
		terms  map[string]int
		length float64
	}
	var rows []row
	frequency, total := map[string]float64{}, 0.0
	for _, d := range documents {
		for _, c := range d.Chunks {
			r := row{id: c.ID, d: d, terms: counts(c.Text)}
			for term, n := range r.terms {
				frequency[term]++
				r.length += float64(n)
			}
			total += r.length
			rows = append(rows, r)
		}
	}
	mean := total / float64(len(rows))
	for name, f := range portions {
		for try := range 40 {
			text := word()
			for range try % 8 {
				text += " " + word()
			}
			var all []scored
			for _, r := range rows {
				if !f.Match(r.d.Attributes) {
					continue
				}
				score := 0.0
				for term, times := range counts(text) {
					level := 0
					for _, l := range levels {
						if r.terms[term] >= l {
							level = l
						}
					}
					n, tf := frequency[term], float64(level)
					score += float64(times) * math.Log(1+(float64(len(rows))-n+0.5)/(n+0.5)) * tf / (tf + k1*(1-b+b*r.length/mean))
				}
				if score > 0 {
					all = append(all, scored{r.id, score})
				}
			}
			want, got := best(all, 10), find(t, x, index.Query{Text: text, Filter: f, Limit: 10}).Keyword
			if len(got) != len(want) {
				t.Fatalf("%s, %q: %d hits of %d", name, text, len(got), len(want))
			}
			for i := range want { // equal ones may stand in another order
				if math.Abs(got[i].Score-want[i].score) > 1e-9 {
					t.Fatalf("%s, %q, hit %d: %v, want %v", name, text, i, got[i], want[i])
				}
			}
		}
	}
	var wrong int
	if err := x.write.QueryRow(t.Context(), "SELECT COUNT(*) FROM (SELECT * FROM t1 ORDER BY term LIMIT 300) t WHERE chunks <> (SELECT COUNT(*) FROM c1 WHERE words @@ quote_literal(term)::tsquery)").Scan(&wrong); err != nil || wrong != 0 {
		t.Errorf("%d terms are counted wrong, %v", wrong, err)
	}
}

// TestWhatTermsAreWorthTogether asks PostgreSQL about every set of a few terms.
func TestWhatTermsAreWorthTogether(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	x := open(t, dbtest.Postgres(t))
	for range 20 {
		terms := make([]term, 1+random.IntN(6))
		total := 0.0
		for i := range terms {
			terms[i] = term{word: fmt.Sprintf("it's\\%d", i), weight: 5 * random.Float64()}
			total += terms[i].weight
		}
		slices.SortFunc(terms, func(a, b term) int { return int(math.Copysign(1, b.weight-a.weight)) })
		floor := total * random.Float64()
		query := worth(terms, floor)
		for set := range 1 << len(terms) {
			sum, words := 0.0, []string{}
			for i, term := range terms {
				if set&(1<<i) != 0 {
					sum += term.weight
					words = append(words, term.word)
				}
			}
			var got bool
			if err := x.read.QueryRow(t.Context(), "SELECT array_to_tsvector($1::text[]) @@ $2::text::tsquery", words, query).Scan(&got); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			if want := sum >= floor; got != want {
				t.Fatalf("%v of %+v are worth %v, %v is asked for: %s says %t", words, terms, sum, floor, query, got)
			}
		}
	}
	// Of many terms of the same worth there are too many sets: a few of the terms stand for them.
	many := make([]term, maxQueryTerms)
	for i := range many {
		many[i] = term{word: fmt.Sprintf("word%d", i), weight: 1}
	}
	query := worth(many, 32)
	if got := strings.Count(query, "|") + 1; got != 33 || strings.Contains(query, "&") || len(query) > maxAsked {
		t.Errorf("%d terms are asked for: %s", got, query)
	}
}
