package indextest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/index"
)

// Dimensions of a library's vectors.
const Dimensions = 384

// Library makes documents of ten passages each: 120 words of a Zipf vocabulary, vectors around a few hundred centres
// as embeddings have them, and an attribute that is there in 100, 10 and 1 % of the documents.
type Library struct {
	random  *rand.Rand
	zipf    *rand.Zipf
	centres [][]float32
}

// NewLibrary is the same every time.
func NewLibrary() *Library {
	l := &Library{random: rand.New(rand.NewPCG(7, 7))}
	l.zipf = rand.NewZipf(l.random, 1.1, 8, 60_000)
	for range 300 {
		l.centres = append(l.centres, l.gauss(1))
	}
	return l
}

func (l *Library) gauss(width float64) []float32 {
	v := make([]float32, Dimensions)
	for i := range v {
		v[i] = float32(l.random.NormFloat64() * width)
	}
	return v
}

// Vector is another one.
func (l *Library) Vector() []float32 {
	centre, v := l.centres[l.random.IntN(len(l.centres))], l.gauss(0.7)
	for i := range v {
		v[i] += centre[i]
	}
	return v
}

// Text has so many words.
func (l *Library) Text(words int) string {
	var b strings.Builder
	for range words {
		fmt.Fprintf(&b, "term%d ", l.zipf.Uint64())
	}
	return b.String()
}

// Document is the one with this number.
func (l *Library) Document(i int) index.Document {
	d := index.Document{
		ID: fmt.Sprintf("doc_%08d", i), Tier: caller.Public + caller.Tier(i%4),
		Attributes: map[string]any{"every": "yes", "tenth": float64(i % 10), "hundredth": fmt.Sprint(i % 100), "source": fmt.Sprintf("folder/%d.pdf", i)},
	}
	for c := range 10 {
		d.Chunks = append(d.Chunks, index.Chunk{
			ID: fmt.Sprintf("chk_%022d%02d", i, c), Title: "a title", Heading: "a heading", Text: l.Text(120), Vector: l.Vector(),
		})
	}
	return d
}

// Fill puts so many passages in.
func (l *Library) Fill(t testing.TB, x index.Index, space string, chunks int) {
	t.Helper()
	for from := 0; from < chunks/10; from += 200 {
		var documents []index.Document
		for i := from; i < min(from+200, chunks/10); i++ {
			documents = append(documents, l.Document(i))
		}
		if err := x.Replace(t.Context(), space, documents, int64(from+1)); err != nil {
			t.Fatal(err)
		}
	}
}

// Query is hybrid: eight words and a vector.
func (l *Library) Query(space string, percent int) index.Query {
	q := index.Query{Space: space, Text: l.Text(8), Vector: l.Vector(), Clearance: caller.Restricted, Limit: 50}
	switch percent {
	case 100:
		q.Filter = index.Filter{Type: index.Eq, Key: "every", Value: "yes"}
	case 10:
		q.Filter = index.Filter{Type: index.Lt, Key: "tenth", Value: 1.0}
	case 1:
		q.Filter = index.Filter{Type: index.Eq, Key: "hundredth", Value: "7"}
	}
	return q
}
