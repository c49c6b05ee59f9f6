// Command index measures the two indexes side by side, in one run and on one set of passages: how long searches take behind
// filters that leave everything, a tenth and a hundredth, and how many of the ten nearest vectors they find. PostgreSQL is
// the one that AIRFIELD_TEST_POSTGRES names; make bench-index starts one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"airfield/internal/index"
	"airfield/internal/index/embedded"
	"airfield/internal/index/indextest"
	"airfield/internal/index/pgvector"
)

const space = "bench"

func main() {
	chunks := flag.Int("chunks", 100_000, "passages")
	queries := flag.Int("queries", 200, "searches of each kind")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *chunks, *queries); err != nil {
		fmt.Fprintln(os.Stderr, "index:", err)
		os.Exit(1)
	}
}

// passage is what the exact answer is computed from.
type passage struct {
	id       string
	document int
	vector   []float32 // of length one
}

func run(ctx context.Context, chunks, queries int) error {
	url := os.Getenv("AIRFIELD_TEST_POSTGRES")
	if url == "" {
		return errors.New("set AIRFIELD_TEST_POSTGRES, or run make bench-index")
	}
	dir, err := os.MkdirTemp("", "airfield-bench-index-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log := slog.New(slog.DiscardHandler)
	c := index.DefaultConfig()
	c.URL, c.Schema, c.Timeout = url, fmt.Sprintf("bench_index_%d", time.Now().Unix()), time.Minute
	shared, err := pgvector.Open(ctx, c, log)
	if err != nil {
		return err
	}
	defer shared.Close()
	own, err := embedded.Open(dir, embedded.Default(), log)
	if err != nil {
		return err
	}
	defer own.Close()
	both := []struct {
		name string
		x    index.Index
	}{{"embedded", own}, {"pgvector", shared}}

	passages, took, err := fill(ctx, chunks, own, shared)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := awaitGraph(ctx, url, c.Schema); err != nil {
		return err
	}
	fmt.Printf("%d passages of %d dimensions\n\n", chunks, indextest.Dimensions)
	for i, b := range both {
		s, err := b.x.Stats(ctx, space)
		if err != nil {
			return err
		}
		fmt.Printf("%s: filled in %s, %d MB\n", b.name, took[i].Round(time.Second), s.Bytes>>20)
	}
	fmt.Printf("pgvector: the graph came %s after the last passage\n\n", time.Since(start).Round(time.Second))
	fmt.Printf("| index | filter leaves | recall@10 | vector p50 / p99 | keyword p50 / p99 | hybrid p50 / p99 |\n|---|---|---|---|---|---|\n")
	for _, b := range both {
		for _, percent := range []int{100, 10, 1} {
			found, err := recall(ctx, b.x, passages, percent)
			if err != nil {
				return err
			}
			fmt.Printf("| %s | %d %% | %.3f |", b.name, percent, found)
			for _, kind := range []string{"vector", "keyword", "hybrid"} {
				p50, p99, err := measure(ctx, b.x, kind, percent, queries)
				if err != nil {
					return err
				}
				fmt.Printf(" %.1f / %.1f ms |", p50.Seconds()*1e3, p99.Seconds()*1e3)
			}
			fmt.Println()
		}
	}
	return shared.Drop(ctx, space)
}

// fill puts the same passages into every index.
func fill(ctx context.Context, chunks int, all ...index.Index) ([]passage, []time.Duration, error) {
	l, took := indextest.NewLibrary(), make([]time.Duration, len(all))
	var passages []passage
	for from := 0; from < chunks/10; from += 100 {
		var documents []index.Document
		for i := from; i < min(from+100, chunks/10); i++ {
			d := l.Document(i)
			for _, c := range d.Chunks {
				passages = append(passages, passage{c.ID, i, unit(c.Vector)})
			}
			documents = append(documents, d)
		}
		for i, x := range all {
			start := time.Now()
			if err := x.Replace(ctx, space, documents, int64(from+1)); err != nil {
				return nil, nil, err
			}
			took[i] += time.Since(start)
		}
	}
	return passages, took, nil
}

// awaitGraph waits until PostgreSQL has what a large space is searched by.
func awaitGraph(ctx context.Context, url, schema string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		var ready bool
		if err := conn.QueryRow(ctx, "SELECT graph OR vectors < 10000 FROM "+schema+".spaces").Scan(&ready); err != nil || ready {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// fresh is a library of queries, which no index has seen: the same ones for each.
func fresh() *indextest.Library {
	l := indextest.NewLibrary()
	for range 1000 {
		l.Vector()
	}
	return l
}

// recall is the share of the ten nearest that is found.
func recall(ctx context.Context, x index.Index, passages []passage, percent int) (float64, error) {
	l, found, wanted := fresh(), 0, 0
	for range 50 {
		q := l.Query(space, percent)
		q.Text, q.Limit = "", 10
		hits, err := x.Search(ctx, q)
		if err != nil {
			return 0, err
		}
		for _, id := range nearest(unit(q.Vector), passages, percent) {
			wanted++
			if slices.ContainsFunc(hits.Vector, func(h index.Hit) bool { return h.ChunkID == id }) {
				found++
			}
		}
	}
	return float64(found) / float64(wanted), nil
}

// nearest compares all passages that the filter leaves.
func nearest(query []float32, passages []passage, percent int) []string {
	type near struct {
		id  string
		dot float64
	}
	var all []near
	for _, p := range passages {
		if percent == 10 && p.document%10 != 0 || percent == 1 && p.document%100 != 7 {
			continue
		}
		dot := 0.0
		for i := range query {
			dot += float64(query[i] * p.vector[i])
		}
		all = append(all, near{p.id, dot})
	}
	slices.SortFunc(all, func(a, b near) int {
		if a.dot > b.dot {
			return -1
		}
		return 1
	})
	ids := make([]string, 10)
	for i := range ids {
		ids[i] = all[i].id
	}
	return ids
}

// measure searches one after the other, for fifty hits a list, after a few that warm up.
func measure(ctx context.Context, x index.Index, kind string, percent, queries int) (p50, p99 time.Duration, err error) {
	l := fresh()
	var took []time.Duration
	for i := range queries + 10 {
		q := l.Query(space, percent)
		switch kind {
		case "vector":
			q.Text = ""
		case "keyword":
			q.Vector = nil
		}
		start := time.Now()
		if _, err := x.Search(ctx, q); err != nil {
			return 0, 0, err
		}
		if i >= 10 {
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], took[int(math.Ceil(float64(len(took))*0.99))-1], nil
}

func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return out
}
