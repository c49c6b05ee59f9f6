package examples

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/gateway"
	"airfield/internal/gateway/provider/builtin"
	"airfield/internal/index/embedded"
	"airfield/internal/ingest/chunk"
	"airfield/internal/ingest/extract"
	"airfield/internal/llm"
	"airfield/internal/retrieve"
	"airfield/internal/telemetry"
)

// A test binary is its own extracting process, as the product's binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "extract-child" {
		if err := extract.Child(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	var err error
	if cacheDir, err = os.MkdirTemp("", "airfield-examples-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(cacheDir)
	os.Exit(code)
}

// cacheDir keeps the compiled PDF engine for all tests.
var cacheDir string

// library is a collection with documents in it: extracted and cut as in production, its rows written by hand, with the
// builtin models and the embedded index.
type library struct {
	t        *testing.T
	db       *db.DB
	embedder *builtin.Embedder
	extract  *extract.Extractor
	sequence int
	*retrieve.Retriever
}

func openLibrary(t *testing.T) *library {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	l := &library{t: t, db: dbtest.Open(t, dbtest.SQLite(t)), embedder: builtin.NewEmbedder()}
	config := extract.Default()
	config.CacheDir = cacheDir
	l.extract = extract.New(config, log)
	t.Cleanup(func() { l.extract.Close() })
	idx, err := embedded.Open(t.TempDir(), embedded.Default(), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idx.Close() })
	provider, err := builtin.New("builtin", gateway.ProviderConfig{}, log)
	if err != nil {
		t.Fatal(err)
	}
	feed := retrieve.NewFeed(retrieve.Default(), l.db, idx, log)
	t.Cleanup(feed.Close)
	rc := retrieve.Default()
	rc.CatchUp = time.Minute
	l.Retriever = retrieve.New(rc, retrieve.Parts{
		DB: l.db, Index: idx, Feed: feed, Embedder: embedder{l.embedder}, Completer: completer{provider}, Tracer: telemetry.NewTracer(nil), Log: log,
	})
	l.exec("INSERT INTO collections (id, name, owner, config, generation_id, created_at, updated_at) VALUES ('col_1', 'documents', 'file', '{}', 'gen_1', 1, 1)")
	l.exec("INSERT INTO generations (id, collection_id, model, dimensions, state, created_at) VALUES ('gen_1', 'col_1', 'builtin-embed', 384, 'live', 1)")
	return l
}

func (l *library) exec(query string, args ...any) {
	l.t.Helper()
	if _, err := l.db.Exec(context.Background(), query, args...); err != nil {
		l.t.Fatal(err)
	}
}

// sidecar is what NAME.meta.yaml says.
type sidecar struct {
	Title string   `yaml:"title"`
	Tier  string   `yaml:"tier"`
	Type  string   `yaml:"type"`
	Date  string   `yaml:"date"`
	Unit  string   `yaml:"business_unit"`
	Tags  []string `yaml:"tags"`
}

// addFolder adds every document below root under its relative path.
func (l *library) addFolder(root string) {
	l.t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".meta.yaml") {
			return err
		}
		meta := sidecar{Tier: "internal"}
		if text, err := os.ReadFile(path + ".meta.yaml"); err == nil {
			if err := yaml.UnmarshalWithOptions(text, &meta, yaml.Strict()); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		key, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return l.add(path, key, meta)
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *library) add(path, key string, meta sidecar) error {
	var blocks []chunk.Block
	result, err := l.extract.Extract(context.Background(), path, filepath.Base(path), "", func(p extract.Page) error {
		for _, b := range p.Blocks {
			blocks = append(blocks, chunk.Block(b))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if result.Partial || len(result.Warnings) > 0 {
		return fmt.Errorf("%s: %v", path, result.Warnings)
	}
	tier, err := caller.ParseTier(meta.Tier)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if meta.Title == "" {
		meta.Title = result.Title
	}
	l.sequence++
	document, version := fmt.Sprintf("doc_%d", l.sequence), fmt.Sprintf("ver_%d", l.sequence)
	chunks := chunk.Split(chunk.Default(), document, meta.Title, blocks)
	texts := make([]string, len(chunks))
	for i, c := range chunks {
		texts[i] = c.Text
	}
	vectors := l.embedder.Embed(texts)
	tags, _ := json.Marshal(meta.Tags)
	ctx := context.Background()
	return l.db.Tx(ctx, func(tx *db.Tx) error {
		exec := func(query string, args ...any) {
			if err == nil {
				_, err = tx.Exec(ctx, query, args...)
			}
		}
		exec(`INSERT INTO documents (id, collection_id, source, source_key, title, tier, business_unit, type, date, tags, live_version_id, created_at, updated_at)
			VALUES (?, 'col_1', 'folder', ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)`, document, key, meta.Title, int(tier), meta.Unit, meta.Type, meta.Date, string(tags), version)
		exec(`INSERT INTO versions (id, document_id, collection_id, number, state, name, sha256, bytes, bucket_key, bucket_version, created_at)
			VALUES (?, ?, 'col_1', 1, 'live', ?, '', 0, '', '', 1)`, version, document, filepath.Base(path))
		for i, c := range chunks {
			heading, _ := json.Marshal(c.Heading)
			exec("INSERT INTO chunks (id, document_id, collection_id, heading, text, kind, tokens) VALUES (?, ?, 'col_1', ?, ?, ?, ?)", c.ID, document, string(heading), c.Text, c.Kind, c.Tokens)
			exec("INSERT INTO manifests (version_id, cut, ordinal, chunk_id, page_from, page_to) VALUES (?, 0, ?, ?, ?, ?)", version, i, c.ID, c.PageFrom, c.PageTo)
			exec("INSERT INTO vectors (generation_id, chunk_id, document_id, vector) VALUES ('gen_1', ?, ?, ?)", c.ID, document, floatBytes(vectors[i]))
		}
		exec("INSERT INTO changes (collection_id, sequence, document_id, kind, at) VALUES ('col_1', ?, ?, 'live', 1)", l.sequence, document)
		exec("UPDATE collections SET sequence = ? WHERE id = 'col_1'", l.sequence)
		return err
	})
}

func floatBytes(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

func as(clearance caller.Tier) context.Context {
	return caller.With(context.Background(), &caller.Caller{Role: caller.Workflow, Workflow: "demo", Clearance: clearance, Collections: []string{"documents"}})
}

type embedder struct{ *builtin.Embedder }

func (e embedder) Embed(_ context.Context, _ string, texts []string) ([][]float32, error) {
	return e.Embedder.Embed(texts), nil
}

// completer speaks to the builtin provider as the gateway does.
type completer struct{ gateway.Provider }

func (c completer) Complete(ctx context.Context, q retrieve.Completion) (retrieve.Completed, error) {
	body, err := json.Marshal(map[string]any{"model": q.Model, "messages": q.Messages, "max_tokens": q.MaxTokens})
	if err != nil {
		return retrieve.Completed{}, err
	}
	r, err := c.Send(ctx, &gateway.Attempt{Surface: llm.ChatCompletions, Model: q.Model, Body: body, CallID: "call_1"})
	if err != nil {
		return retrieve.Completed{}, err
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.Status != 200 {
		return retrieve.Completed{}, fmt.Errorf("status %d: %s %w", r.Status, bytes.TrimSpace(raw), err)
	}
	var read struct {
		Fingerprint string `json:"system_fingerprint"`
		Choices     []struct {
			Message retrieve.Message `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		return retrieve.Completed{}, err
	}
	return retrieve.Completed{Text: read.Choices[0].Message.Content, Model: q.Model, Fingerprint: read.Fingerprint, CallID: "call_1", Usage: r.Meter.Reading().Usage, Priced: true}, nil
}
