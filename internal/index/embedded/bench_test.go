package embedded

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"airfield/internal/index"
	"airfield/internal/index/indextest"
)

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
	l := indextest.NewLibrary()
	if s, _ := x.Stats(b.Context(), "bench"); s.Chunks != chunks {
		start = time.Now()
		l.Fill(b, x, "bench", chunks)
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
					q := l.Query("bench", percent)
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
func recall(b *testing.B, s *space, l *indextest.Library) {
	all := make([]byte, s.vectorsEnd())
	if _, err := s.vectors.ReadAt(all, 0); err != nil {
		b.Fatal(err)
	}
	found, wanted := 0, 0
	for range 50 {
		q := l.Query(s.name, 100)
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
	x, l := open(b, b.TempDir()), indextest.NewLibrary()
	l.Fill(b, x, "bench", 2000)
	for i := 0; b.Loop(); i++ {
		if err := x.Replace(b.Context(), "bench", []index.Document{l.Document(i % 200)}, int64(1000+i)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens 2,000 chunks.
func BenchmarkOpen(b *testing.B) {
	dir, l := b.TempDir(), indextest.NewLibrary()
	x := open(b, dir)
	l.Fill(b, x, "bench", 2000)
	x.Close()
	for b.Loop() {
		if err := open(b, dir).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
