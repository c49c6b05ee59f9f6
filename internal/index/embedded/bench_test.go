package embedded

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/index"
)

const benchDimensions = 384

// library makes documents of ten passages each: 120 words of a Zipf vocabulary, vectors around a few hundred centres
// as embeddings have them, and an attribute that is there in 100, 10 and 1 % of the documents.
type library struct {
	random  *rand.Rand
	zipf    *rand.Zipf
	centres [][]float32
}

func newLibrary() *library {
	l := &library{random: rand.New(rand.NewPCG(7, 7))}
	l.zipf = rand.NewZipf(l.random, 1.1, 8, 60_000)
	for range 300 {
		l.centres = append(l.centres, l.gauss(1))
	}
	return l
}

func (l *library) gauss(width float64) []float32 {
	v := make([]float32, benchDimensions)
	for i := range v {
		v[i] = float32(l.random.NormFloat64() * width)
	}
	return v
}

func (l *library) vector() []float32 {
	centre, v := l.centres[l.random.IntN(len(l.centres))], l.gauss(0.7)
	for i := range v {
		v[i] += centre[i]
	}
	return v
}

func (l *library) text(words int) string {
	var b strings.Builder
	for range words {
		fmt.Fprintf(&b, "term%d ", l.zipf.Uint64())
	}
	return b.String()
}

func (l *library) document(i int) index.Document {
	d := index.Document{
		ID: fmt.Sprintf("doc_%08d", i), Tier: caller.Public + caller.Tier(i%4),
		Attributes: map[string]any{"every": "yes", "tenth": float64(i % 10), "hundredth": fmt.Sprint(i % 100), "source": fmt.Sprintf("folder/%d.pdf", i)},
	}
	for c := range 10 {
		d.Chunks = append(d.Chunks, index.Chunk{
			ID: fmt.Sprintf("chk_%022d%02d", i, c), Title: "a title", Heading: "a heading", Text: l.text(120), Vector: l.vector(),
		})
	}
	return d
}

func (l *library) fill(t testing.TB, x *Index, space string, chunks int) {
	t.Helper()
	for from := 0; from < chunks/10; from += 200 {
		var documents []index.Document
		for i := from; i < min(from+200, chunks/10); i++ {
			documents = append(documents, l.document(i))
		}
		if err := x.Replace(t.Context(), space, documents, int64(from+1)); err != nil {
			t.Fatal(err)
		}
	}
}

// query is hybrid: eight words and a vector.
func (l *library) query(space string, percent int) index.Query {
	q := index.Query{Space: space, Text: l.text(8), Vector: l.vector(), Clearance: caller.Restricted, Limit: 50}
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

// BenchmarkSearch is the figure of guarantees.md: hybrid search over 100,000 passages. INDEX_BENCH_DIR keeps the index
// between runs.
func BenchmarkSearch(b *testing.B) {
	const chunks = 100_000
	dir := os.Getenv("INDEX_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	start := time.Now()
	x := open(b, dir)
	opened := time.Since(start)
	l := newLibrary()
	if s, _ := x.Stats(b.Context(), "bench"); s.Chunks != chunks {
		start = time.Now()
		l.fill(b, x, "bench", chunks)
		b.Logf("filled in %s", time.Since(start))
	} else {
		b.Logf("opened %d chunks, %d MB in %s", s.Chunks, s.Bytes>>20, opened)
	}
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	b.Logf("heap %d MB", memory.HeapAlloc>>20)
	b.Run("recall", func(b *testing.B) { recall(b, x.spaces["bench"], l) })
	for _, kind := range []string{"hybrid", "keyword", "vector"} {
		for _, percent := range []int{100, 10, 1} {
			b.Run(fmt.Sprintf("%s/%d%%", kind, percent), func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					q := l.query("bench", percent)
					if kind == "keyword" {
						q.Vector = nil
					} else if kind == "vector" {
						q.Text = ""
					}
					start := time.Now()
					if _, err := x.Search(b.Context(), q); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
				b.ReportMetric(took[int(math.Ceil(float64(len(took))*0.99))-1].Seconds()*1e3, "p99-ms")
			})
		}
	}
}

// recall compares vector lists of ten with an exact scan of the full vectors.
func recall(b *testing.B, s *space, l *library) {
	all := make([]byte, s.vectorsEnd())
	if _, err := s.vectors.ReadAt(all, 0); err != nil {
		b.Fatal(err)
	}
	found, wanted := 0, 0
	for range 50 {
		q := l.query(s.name, 100)
		q.Limit = 10
		query := unit(q.Vector)
		best := newTop(q.Limit)
		best.floor = -1
		for row := range s.table.docs {
			at := s.vectorAt(uint32(row))
			if score := float32(cosine(query, all[at:at+int64(s.dimensions)*4])); score > best.floor {
				best.add(uint32(row), score)
			}
		}
		hits, err := s.search(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		for _, want := range best.sorted() {
			wanted++
			if slices.ContainsFunc(hits.Vector, func(h index.Hit) bool { return h.ChunkID == s.table.chunks[want.row] }) {
				found++
			}
		}
	}
	b.ReportMetric(float64(found)/float64(wanted), "recall@10")
}

// BenchmarkReplaceOne is what one changed document of ten passages costs, durably.
func BenchmarkReplaceOne(b *testing.B) {
	x, l := open(b, b.TempDir()), newLibrary()
	l.fill(b, x, "bench", 2000)
	for i := 0; b.Loop(); i++ {
		if err := x.Replace(b.Context(), "bench", []index.Document{l.document(i % 200)}, int64(1000+i)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens 2,000 chunks.
func BenchmarkOpen(b *testing.B) {
	dir, l := b.TempDir(), newLibrary()
	x := open(b, dir)
	l.fill(b, x, "bench", 2000)
	x.Close()
	for b.Loop() {
		if err := open(b, dir).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
