package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/bucket"
	"airfield/internal/bucket/file"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
	"airfield/internal/jobs"
	"airfield/internal/telemetry"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "extract-child":
			if err := extract.Child(os.Stdin, os.Stdout); err != nil {
				os.Exit(1)
			}
			os.Exit(0)
		case "crash-worker":
			crashWorker(os.Args[2])
		}
	}
	os.Exit(m.Run())
}

// house is a pipeline on real stores; only the model and the index are the test's own.
type house struct {
	*ingest.Pipeline
	t        testing.TB
	db       *db.DB
	bucket   bucket.Bucket
	queue    *jobs.Queue
	embedder *embedder
	index    *index
	audit    *access.Audit
	stop     func()
}

func quick() ingest.Config {
	c := ingest.Default()
	c.Backoff, c.MaxBackoff, c.MaxAttempts, c.EmbedBatch = 10*time.Millisecond, 20*time.Millisecond, 3, 8
	return c
}

// open builds a house over a database; nothing works in it before start.
func open(t testing.TB, d *db.DB, dir string, c ingest.Config) *house {
	t.Helper()
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("AIRFIELD_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b, err := file.Open(dir, bucket.Default(), log)
	must(t, err)
	q, err := jobs.New(ctx, d, jobs.Default(), log)
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	ec := extract.Default()
	ec.Command = []string{exe, "extract-child"}
	ex := extract.New(ec, log)
	h := &house{t: t, db: d, bucket: b, queue: q, embedder: &embedder{}, index: &index{db: d}, audit: access.NewAudit(d)}
	h.Pipeline = ingest.New(c, ingest.Parts{DB: d, Bucket: b, Queue: ingest.Jobs(q), Extractor: ex, Embedder: h.embedder, Refresher: h.embedder, Searcher: searcher{d}, Prices: prices{}, Index: h.index,
		Audit: h.audit, Tracer: telemetry.NewTracer(nil), TempDir: os.TempDir(), Log: log})
	h.Register(q)
	h.stop = func() {}
	t.Cleanup(func() {
		h.stop()
		must(t, ex.Close())
	})
	return h
}

// start makes the house a worker, until stop.
func (h *house) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.queue.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("the queue ended with %v", err)
		}
	})
}

// system, operator and workflow are who asks.
func system() context.Context {
	return caller.With(context.Background(), &caller.Caller{Role: caller.System, KeyName: "test", Clearance: caller.Restricted})
}

func workflow(name string, clearance caller.Tier, collections ...string) context.Context {
	return caller.With(context.Background(), &caller.Caller{Role: caller.Workflow, KeyID: "key_" + name, Workflow: name, Clearance: clearance, Collections: collections})
}

// collection makes one that airfield.yaml owns.
func (h *house) collection(name string, change ...func(*ingest.CollectionConfig)) ingest.Collection {
	h.t.Helper()
	c := ingest.DefaultCollection()
	for _, fn := range change {
		fn(&c)
	}
	_, err := h.Sync(system(), map[string]ingest.CollectionConfig{name: c})
	must(h.t, err)
	got, err := h.GetCollection(system(), name)
	must(h.t, err)
	return got
}

func (h *house) upload(collection, name, text string, m ingest.Metadata) ingest.Receipt {
	h.t.Helper()
	r, err := h.Upload(system(), collection, ingest.Upload{Name: name, Reader: strings.NewReader(text), Metadata: m})
	must(h.t, err)
	return r
}

// settled waits for a version to end in the state.
func (h *house) settled(versionID, state string) ingest.Version {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(system(), 2*time.Minute)
	defer cancel()
	list, err := h.Wait(ctx, []string{versionID}, nil)
	must(h.t, err)
	if list[0].State != state {
		h.t.Fatalf("version %d is %s, not %s: %s: %s", list[0].Number, list[0].State, state, list[0].Run.ErrorCode, list[0].Run.Error)
	}
	return list[0]
}

// until polls with a bound.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (h *house) count(query string, args ...any) (n int) {
	h.t.Helper()
	must(h.t, h.db.QueryRow(context.Background(), query, args...).Scan(&n))
	return n
}

// sound holds the whole database against what must be true whenever no transaction is under way.
func (h *house) sound() {
	h.t.Helper()
	for what, query := range map[string]string{
		"versions in an unknown state":                "SELECT COUNT(*) FROM versions WHERE state NOT IN ('pending','running','live','superseded','dead','deleted')",
		"documents with two live versions":            "SELECT COUNT(*) FROM (SELECT document_id FROM versions WHERE state = 'live' GROUP BY document_id HAVING COUNT(*) > 1) AS t",
		"live versions their document does not name":  "SELECT COUNT(*) FROM versions v JOIN documents d ON d.id = v.document_id WHERE v.state = 'live' AND (d.live_version_id IS NULL OR d.live_version_id <> v.id)",
		"documents naming a version that is not live": "SELECT COUNT(*) FROM documents d LEFT JOIN versions v ON v.id = d.live_version_id WHERE d.live_version_id IS NOT NULL AND (v.id IS NULL OR v.state <> 'live')",
		"versions under way without an open run":      "SELECT COUNT(*) FROM versions v WHERE v.state IN ('pending','running') AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.version_id = v.id AND r.state IN ('waiting','running'))",
		"open runs of versions that have ended":       "SELECT COUNT(*) FROM runs r JOIN versions v ON v.id = r.version_id WHERE r.state IN ('waiting','running') AND v.state NOT IN ('pending','running')",
		"dead versions without a dead run":            "SELECT COUNT(*) FROM versions v WHERE v.state = 'dead' AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.version_id = v.id AND r.state = 'dead')",
		"dead runs of versions that are not dead":     "SELECT COUNT(*) FROM runs r JOIN versions v ON v.id = r.version_id WHERE r.state = 'dead' AND v.state <> 'dead'",
		"manifest rows without a chunk":               "SELECT COUNT(*) FROM manifests vc WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = vc.chunk_id)",
		"chunks in no manifest":                       "SELECT COUNT(*) FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM manifests vc WHERE vc.chunk_id = c.id)",
		"vectors without a chunk":                     "SELECT COUNT(*) FROM vectors v WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = v.chunk_id)",
		"live passages without a vector":              "SELECT COUNT(*) FROM manifests vc JOIN versions v ON v.id = vc.version_id JOIN collections c ON c.id = v.collection_id JOIN generations g ON g.id = c.generation_id AND g.cut = vc.cut WHERE v.state = 'live' AND NOT EXISTS (SELECT 1 FROM vectors x WHERE x.generation_id = c.generation_id AND x.chunk_id = vc.chunk_id)",
		"live versions without a manifest":            "SELECT COUNT(*) FROM versions v JOIN collections c ON c.id = v.collection_id JOIN generations g ON g.id = c.generation_id WHERE v.state = 'live' AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.version_id = v.id AND m.cut = g.cut)",
		"collections whose generation is not live":    "SELECT COUNT(*) FROM collections c LEFT JOIN generations g ON g.id = c.generation_id WHERE c.deleted_at IS NULL AND (g.state IS NULL OR g.state <> 'live')",
		"vectors of generations that are gone":        "SELECT COUNT(*) FROM vectors v JOIN generations g ON g.id = v.generation_id WHERE g.reclaimed_at > 0",
		"deleted documents with versions not deleted": "SELECT COUNT(*) FROM documents d JOIN versions v ON v.document_id = d.id WHERE d.deleted_at IS NOT NULL AND v.state <> 'deleted'",
		"changes beyond their collection's sequence":  "SELECT COUNT(*) FROM changes x JOIN collections c ON c.id = x.collection_id WHERE x.sequence > c.sequence",
		"collections whose changes do not add up":     "SELECT COUNT(*) FROM collections c WHERE c.sequence <> (SELECT COUNT(*) FROM changes x WHERE x.collection_id = c.id)",
	} {
		if n := h.count(query); n != 0 {
			h.t.Errorf("%d %s", n, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// embedder is a model: 16 numbers that follow from the text. It can be told to misbehave.
type embedder struct {
	texts atomic.Int64
	calls atomic.Int64
	fail  func(texts []string) error
	only  func(model string, texts []string) error // like fail
	by    sync.Map                                 // texts by model: *atomic.Int64
	spoil func(text string, v []float32) []float32
}

func (e *embedder) Embed(ctx context.Context, model string, texts []string) ([][]float32, error) {
	e.calls.Add(1)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !caller.From(ctx).Is(caller.System) {
		return nil, fmt.Errorf("asked by %s", caller.From(ctx).Actor())
	}
	if e.fail != nil {
		if err := e.fail(texts); err != nil {
			return nil, err
		}
	}
	if e.only != nil {
		if err := e.only(model, texts); err != nil {
			return nil, err
		}
	}
	counted, _ := e.by.LoadOrStore(model, new(atomic.Int64))
	counted.(*atomic.Int64).Add(int64(len(texts)))
	out := make([][]float32, len(texts))
	for i, text := range texts {
		h := fnv.New64a()
		h.Write([]byte(text))
		v := make([]float32, 16)
		for j := range v {
			h.Write([]byte{byte(j)})
			v[j] = float32(math.Sin(float64(h.Sum64() % 10_000)))
		}
		if e.spoil != nil {
			v = e.spoil(text, v)
		}
		out[i] = v
	}
	e.texts.Add(int64(len(texts)))
	return out, nil
}

// index follows the changes in the database, as the real feed does, and can lag.
type index struct {
	db   *db.DB
	lag  atomic.Bool
	mu   sync.Mutex
	held map[string]int
}

func (x *index) CatchUp(ctx context.Context, collectionID string) error {
	if x.lag.Load() {
		return fmt.Errorf("the index is away")
	}
	rows, err := x.db.Query(ctx, "SELECT d.id, (SELECT COUNT(*) FROM manifests vc WHERE vc.version_id = d.live_version_id) FROM documents d WHERE d.collection_id = ? AND d.live_version_id IS NOT NULL", collectionID)
	if err != nil {
		return err
	}
	defer rows.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.held = map[string]int{}
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		x.held[id] = n
	}
	return rows.Err()
}

func (x *index) Compacted(string, time.Time) bool { return true }

func (x *index) Count(ctx context.Context, _, documentID string) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.held[documentID], nil
}

// prose is a Markdown document of n sections, several chunks each.
func prose(seed string, sections int) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# The book of %s\n\n", seed)
	for s := range sections {
		fmt.Fprintf(&b, "## Section %d of %s\n\n", s, seed)
		for p := range 6 {
			for w := range 12 {
				fmt.Fprintf(&b, "Sentence %d of paragraph %d tells what the %s freight number %d weighs in section %d. ", w, p, seed, w*p+s, s)
			}
			b.WriteString("\n\n")
		}
	}
	return b.String()
}
