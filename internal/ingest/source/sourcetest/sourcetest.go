// Package sourcetest feeds a collection from a source, for the tests of sources: with the real pipeline and database, and an
// extractor and an embedder that only count.
package sourcetest

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/bucket"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
	"airfield/internal/ingest/source"
	"airfield/internal/telemetry"
)

// System is the caller that reads sources.
var System = caller.With(context.Background(), &caller.Caller{Role: caller.System, KeyName: "test", Clearance: caller.Restricted})

// Collection is named docs, and fed from one source named outside. Runs are worked on when the test says so.
type Collection struct {
	*ingest.Pipeline
	Backend  source.Backend
	Embedded int          // texts
	Read     atomic.Int64 // files that were extracted
	t        testing.TB
	runs     []string
}

type queue struct{ c *Collection }

func (q queue) Wake(_ context.Context, _ *db.Tx, w ingest.Wake) error {
	q.c.runs = append(q.c.runs, w.RunID)
	return nil
}

func (q queue) Refresh(context.Context, *db.Tx, string, time.Time) error { return nil }

type plainText struct{ c *Collection }

func (p plainText) ExtractRecords(_ context.Context, path, _, mediaType string, _ *extract.Records, each func(extract.Page) error) (extract.Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return extract.Result{}, err
	}
	p.c.Read.Add(1)
	return extract.Result{MediaType: mediaType}, each(extract.Page{Blocks: []extract.Block{{Kind: extract.KindText, Text: string(b)}}})
}

type embedder struct{ c *Collection }

func (e embedder) Embed(_ context.Context, _ string, texts []string) ([][]float32, error) {
	e.c.Embedded += len(texts)
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = []float32{1, float32(i)}
	}
	return out, nil
}

func (embedder) CatchUp(context.Context, string) error              { return nil }
func (embedder) Count(context.Context, string, string) (int, error) { return 0, nil }
func (embedder) Compacted(string, time.Time) bool                   { return true }

// Open makes the collection. The backend is the test's to set.
func Open(t testing.TB, d *db.DB, b bucket.Bucket, s ingest.SourceConfig, change ...func(*ingest.CollectionConfig)) *Collection {
	t.Helper()
	c := &Collection{t: t}
	c.Pipeline = ingest.New(ingest.Default(), ingest.Parts{DB: d, Bucket: b, Queue: queue{c}, Extractor: plainText{c}, Embedder: embedder{c}, Index: embedder{c},
		Audit: access.NewAudit(d), Tracer: telemetry.NewTracer(nil), Log: slog.New(slog.DiscardHandler)})
	config := ingest.DefaultCollection()
	config.Sources = map[string]ingest.SourceConfig{"outside": s}
	for _, fn := range change {
		fn(&config)
	}
	if _, err := c.Sync(System, map[string]ingest.CollectionConfig{"docs": config}); err != nil {
		t.Fatal(err)
	}
	return c
}

// Scan scans, and does every run that waits.
func (c *Collection) Scan() source.Report {
	c.t.Helper()
	r, err := source.Scan(System, c.Pipeline, c.Backend, "docs", "outside")
	if err != nil {
		c.t.Fatal(err)
	}
	for len(c.runs) > 0 {
		id := c.runs[0]
		c.runs = c.runs[1:]
		if err := c.Work(System, id); err != nil {
			c.t.Fatal(err)
		}
	}
	return r
}

// Expect scans, and compares what it found; what is said about it is returned.
func (c *Collection) Expect(want source.Report) (message string) {
	c.t.Helper()
	got := c.Scan()
	if want.State == "" {
		want.State = ingest.SourceOK
	}
	message, got.Message = got.Message, ""
	if got != want {
		c.t.Fatalf("the scan found %+v, not %+v (%s)", got, want, message)
	}
	return message
}

// Documents are those that there are, by key.
func (c *Collection) Documents() map[string]ingest.Document {
	c.t.Helper()
	out := map[string]ingest.Document{}
	filter := ingest.DocumentFilter{Limit: 1000}
	for {
		list, err := c.ListDocuments(System, "docs", filter)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, d := range list {
			out[d.SourceKey] = d
			filter.After = d.ID
		}
		if len(list) < filter.Limit {
			return out
		}
	}
}
