package quality

import (
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"airfield/internal/index"
	"airfield/internal/index/embedded"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	corpus  = `{"id":"a","title":"wings","text":"lift of wings"}` + "\n\n" + `{"id":"b","title":"heat","text":"heat in slabs"}` + "\n"
	queries = "1\twhat lifts a wing .\n2\theat\n3\tunanswered\n"
	qrels   = "1\ta\t2\n1\tb\t0\n2\tb\t1\n"
)

func TestReadsACollection(t *testing.T) {
	c, err := Read(write(t, map[string]string{"corpus.jsonl": corpus, "queries.tsv": queries, "qrels.tsv": qrels}))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Documents) != 2 || c.Documents[1] != (Document{"b", "heat", "heat in slabs"}) || len(c.Queries) != 3 {
		t.Errorf("got %+v", c)
	}
	if q := c.Queries[0]; q.Text != "what lifts a wing ." || q.Relevance["a"] != 2 || len(q.Relevance) != 2 {
		t.Errorf("got %+v", q)
	}
}

func TestRefusesABrokenCollection(t *testing.T) {
	for name, text := range map[string]string{
		"corpus.jsonl": `{"id":"a"}` + "\n" + `{"id":"a"}`, "queries.tsv": "no tab", "qrels.tsv": "9\ta\t1",
	} {
		files := map[string]string{"corpus.jsonl": corpus, "queries.tsv": queries, "qrels.tsv": qrels}
		files[name] = text
		if _, err := Read(write(t, files)); err == nil {
			t.Errorf("%s: a broken one was read", name)
		}
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("an empty folder was read")
	}
}

func TestNDCG(t *testing.T) {
	relevance := map[string]int{"a": 3, "b": 2, "c": 0, "d": -1}
	ideal := 3 + 2/math.Log2(3)
	for _, c := range []struct {
		name  string
		found []string
		k     int
		want  float64
	}{
		{"the best order", []string{"a", "b"}, 10, 1},
		{"the wrong way round", []string{"b", "a"}, 10, (2 + 3/math.Log2(3)) / ideal},
		{"behind others", []string{"x", "c", "d", "a"}, 10, 3 / math.Log2(5) / ideal},
		{"cut off", []string{"x", "a", "b"}, 2, 3 / math.Log2(3) / ideal},
		{"one twice", []string{"a", "a"}, 10, 3 / ideal},
		{"nothing", nil, 10, 0},
	} {
		if got := NDCG(c.found, relevance, c.k); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if NDCG([]string{"a"}, map[string]int{"a": 0}, 10) != 0 {
		t.Error("gain without relevance")
	}
}

func TestMeasureAsksWhatHasAnAnswer(t *testing.T) {
	c, err := Read(write(t, map[string]string{"corpus.jsonl": corpus, "queries.tsv": queries, "qrels.tsv": qrels}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Measure(t.Context(), c, func(_ context.Context, question string, _ int) ([]string, error) {
		if question == "heat" {
			return []string{"b"}, nil
		}
		return []string{"x"}, nil
	})
	if err != nil || r.Queries != 2 || r.NDCG10 != 0.5 || r.P99 < r.P50 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := Measure(t.Context(), c, func(context.Context, string, int) ([]string, error) { return nil, os.ErrClosed }); err == nil {
		t.Error("an error was lost")
	}
}

func TestPercentile(t *testing.T) {
	sorted := []time.Duration{1, 2, 3, 4}
	if Percentile(sorted, 50) != 2 || Percentile(sorted, 99) != 4 || Percentile(sorted, 0) != 1 || Percentile(nil, 50) != 0 {
		t.Error("wrong rank")
	}
}

// letters is an embedder good enough to tell wings from heat: how often each letter occurs.
func letters(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = make([]float32, 26)
		for _, c := range text {
			if c >= 'a' && c <= 'z' {
				out[i][c-'a']++
			}
		}
	}
	return out, nil
}

func openIndex(t *testing.T) index.Index {
	t.Helper()
	x, err := embedded.Open(t.TempDir(), embedded.Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func TestAnIndexCanBeMeasured(t *testing.T) {
	c, err := Read(write(t, map[string]string{"corpus.jsonl": corpus, "queries.tsv": queries, "qrels.tsv": qrels}))
	if err != nil {
		t.Fatal(err)
	}
	x := openIndex(t)
	if rate, err := Load(t.Context(), x, c, letters); err != nil || rate <= 0 {
		t.Fatal(rate, err)
	}
	for name, search := range map[string]Searcher{"keyword": Keyword(x), "vector": Vector(x, letters)} {
		found, err := search(t.Context(), "heat in slabs", 1)
		if err != nil || len(found) != 1 || found[0] != "b" {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// TestKeywordRanking measures the keyword list of the embedded index on the collection that QUALITY_DATA names. The
// figure to reach is that of plain BM25 on Cranfield.
func TestKeywordRanking(t *testing.T) {
	dir := os.Getenv("QUALITY_DATA")
	if dir == "" {
		t.Log("QUALITY_DATA names no collection: nothing to measure")
		return
	}
	c, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	x := openIndex(t)
	rate, err := Load(t.Context(), x, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Measure(t.Context(), c, Keyword(x))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("keyword: nDCG@10 %.4f over %d queries, p50 %s, p99 %s; %.0f documents/s", r.NDCG10, r.Queries, r.P50, r.P99, rate)
	if r.NDCG10 < 0.366 {
		t.Errorf("nDCG@10 is %.4f, plain BM25 reaches 0.366", r.NDCG10)
	}
}
