package retrieve

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/gateway/provider/builtin"
	"airfield/internal/index"
	"airfield/internal/index/embedded"
	"airfield/internal/index/pgvector"
	"airfield/internal/telemetry"
)

// bench is a retriever over a fresh database and a real index.
type bench struct {
	*Retriever
	t     *testing.T
	idx   *watched
	model *model
	spans *spans
}

// watched is the real index, which a test can make fail or count.
type watched struct {
	index.Index
	mu      sync.Mutex
	fail    error
	refuse  string // a document
	replace int
}

func (w *watched) Claim(ctx context.Context, space string) (index.Claim, error) {
	c, err := w.Index.Claim(ctx, space)
	return watchedClaim{c, w}, err
}

type watchedClaim struct {
	index.Claim
	w *watched
}

func (c watchedClaim) Replace(ctx context.Context, documents []index.Document, sequence int64) error {
	w := c.w
	w.mu.Lock()
	w.replace++
	fail, refuse := w.fail, w.refuse
	w.mu.Unlock()
	for _, d := range documents {
		if d.ID == refuse && len(d.Chunks) > 0 {
			d.Chunks[0].Vector = []float32{float32(math.NaN())}
		}
	}
	if fail != nil {
		return fail
	}
	return c.Claim.Replace(ctx, documents, sequence)
}

// model stands for the gateway: the builtin embedder, and an answer that the test sets.
type model struct {
	embedder *builtin.Embedder
	fail     error
	answer   string
	asked    []Completion
}

func (m *model) Embed(_ context.Context, _ string, texts []string) ([][]float32, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	return m.embedder.Embed(texts), nil
}

func (m *model) Complete(_ context.Context, c Completion) (Completed, error) {
	m.asked = append(m.asked, c)
	return Completed{Text: m.answer, Model: c.Model, CallID: "call_1", Fingerprint: "airfield-extractive-1", Priced: true}, nil
}

type spans struct {
	mu   sync.Mutex
	list []*telemetry.Span
}

func (s *spans) Span(span *telemetry.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, span)
}

func newBench(t *testing.T, d *db.DB, idx index.Index) *bench {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	t.Cleanup(func() { idx.Close() })
	b := &bench{t: t, idx: &watched{Index: idx}, model: &model{embedder: builtin.NewEmbedder()}, spans: &spans{}}
	config := Default()
	config.CatchUp = 20 * time.Second
	feed := NewFeed(config, d, b.idx, log)
	t.Cleanup(feed.Close)
	b.Retriever = New(config, Parts{DB: d, Index: b.idx, Feed: feed, Embedder: b.model, Completer: b.model, Tracer: telemetry.NewTracer(b.spans), Log: log})
	b.collection("col_1", "papers")
	return b
}

func (b *bench) exec(query string, args ...any) {
	b.t.Helper()
	if _, err := b.DB.Exec(context.Background(), query, args...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) collection(id, name string) {
	b.exec(`INSERT INTO collections (id, name, owner, workflow, config, generation_id, created_at, updated_at) VALUES (?, ?, 'api', 'maker', '{"answer_model":"chosen"}', ?, 1, 1)`, id, name, "gen_"+id)
	b.exec("INSERT INTO generations (id, collection_id, model, dimensions, state, created_at) VALUES (?, ?, 'builtin-embed', 384, 'live', 1)", "gen_"+id, id)
}

// put makes a version live, with a chunk for each text, in one transaction with its change, as ingestion does.
func (b *bench) put(collection, document string, number int, tier caller.Tier, texts ...string) {
	b.t.Helper()
	version := fmt.Sprintf("ver_%s_%d", document, number)
	vectors := b.model.embedder.Embed(texts)
	err := b.DB.Tx(context.Background(), func(tx *db.Tx) error {
		var err error
		exec := func(query string, args ...any) {
			if err == nil {
				_, err = tx.Exec(context.Background(), query, args...)
			}
		}
		if number == 1 {
			exec(`INSERT INTO documents (id, collection_id, source, source_key, title, tier, type, date, tags, metadata, created_at, updated_at)
				VALUES (?, ?, 'upload', ?, ?, ?, 'policy', '2026-01-02', '["a","b"]', '{"region":"north","floor":3,"type":"hidden","nested":{"x":1}}', 1, 1)`, document, collection, document+".md", "Title of "+document, int(tier))
		}
		exec("UPDATE versions SET state = 'superseded' WHERE document_id = ? AND state = 'live'", document)
		exec(`INSERT INTO versions (id, document_id, collection_id, number, state, name, sha256, bytes, bucket_key, bucket_version, created_at)
			VALUES (?, ?, ?, ?, 'live', ?, '', 0, '', '', 1)`, version, document, collection, number, document+".md")
		for i, text := range texts {
			id := fmt.Sprintf("chk_%s_%d_%d", document, number, i)
			heading, _ := json.Marshal([]string{"Title of " + document, fmt.Sprintf("Part %d", i+1)})
			exec("INSERT INTO chunks (id, document_id, collection_id, heading, text, kind, tokens) VALUES (?, ?, ?, ?, ?, 'text', ?)", id, document, collection, string(heading), text, len(text)/4)
			exec("INSERT INTO manifests (version_id, cut, ordinal, chunk_id, page_from, page_to) VALUES (?, 0, ?, ?, ?, ?)", version, i, id, i+1, i+1)
			var raw []byte
			for _, x := range vectors[i] {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			exec("INSERT INTO vectors (generation_id, chunk_id, document_id, vector) VALUES (?, ?, ?, ?)", "gen_"+collection, id, document, raw)
		}
		exec("UPDATE documents SET live_version_id = ? WHERE id = ?", version, document)
		if err == nil {
			err = change(tx, collection, document, "live")
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func change(tx *db.Tx, collection, document, kind string) error {
	ctx := context.Background()
	if _, err := tx.Exec(ctx, "UPDATE collections SET sequence = sequence + 1 WHERE id = ?", collection); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO changes (collection_id, sequence, document_id, kind, at) SELECT id, sequence, ?, ?, 1 FROM collections WHERE id = ?", document, kind, collection)
	return err
}

// remove deletes a document as ingestion does, with its change, or as a crash of the index would leave it, without.
func (b *bench) remove(collection, document string, told bool) {
	b.t.Helper()
	err := b.DB.Tx(context.Background(), func(tx *db.Tx) error {
		_, err := tx.Exec(context.Background(), "UPDATE documents SET deleted_at = 5, live_version_id = NULL WHERE id = ?", document)
		_, err2 := tx.Exec(context.Background(), "UPDATE versions SET state = 'deleted' WHERE document_id = ?", document)
		if told {
			return errors.Join(err, err2, change(tx, collection, document, "delete"))
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func who(clearance caller.Tier, collections ...string) context.Context {
	return caller.With(context.Background(), &caller.Caller{Role: caller.Workflow, Workflow: "reader", Clearance: clearance, Collections: collections})
}

func (b *bench) search(ctx context.Context, q Request) []string {
	b.t.Helper()
	if q.Collections == nil {
		q.Collections = []string{"papers"}
	}
	out, err := b.Search(ctx, q)
	if err != nil {
		b.t.Fatal(err)
	}
	ids := []string{}
	for _, p := range out.Passages {
		ids = append(ids, p.ChunkID)
	}
	return ids
}

// each runs fn on both databases with the embedded index, and with the index in PostgreSQL.
func each(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		idx, err := embedded.Open(t.TempDir(), embedded.Default(), log)
		if err != nil {
			t.Fatal(err)
		}
		fn(t, newBench(t, d, idx))
	})
	t.Run("pgvector", func(t *testing.T) {
		c := index.DefaultConfig()
		c.URL = dbtest.Postgres(t)
		idx, err := pgvector.Open(t.Context(), c, log)
		if err != nil {
			t.Fatal(err)
		}
		fn(t, newBench(t, dbtest.Open(t, c.URL), idx))
	})
}
