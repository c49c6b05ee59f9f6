package ingest_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestADocumentBecomesLiveAndARepeatedUploadIsNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		c := h.collection("docs")
		h.start()
		r := h.upload("docs", "freight.md", prose("freight", 3), ingest.Metadata{Tier: caller.Public, Tags: []string{"a"}})
		if r.Change != ingest.Created || r.Number != 1 {
			t.Fatalf("%+v", r)
		}
		v := h.settled(r.VersionID, ingest.Live)
		if v.MediaType != "text/markdown" || v.Run.State != "done" || v.Run.TraceID == "" {
			t.Errorf("%+v %+v", v, v.Run)
		}
		doc, err := h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if doc.Title != "The book of freight" || doc.Tier != caller.Public || doc.LiveVersion != r.VersionID || doc.Newest.Chunks < 3 || doc.Tags[0] != "a" {
			t.Errorf("%+v", doc)
		}
		chunks, err := h.ListChunks(system(), r.DocumentID, 0)
		must(t, err)
		if len(chunks) != doc.Newest.Chunks || chunks[0].Text == "" || chunks[len(chunks)-1].Ordinal != len(chunks)-1 {
			t.Errorf("%d chunks", len(chunks))
		}
		embedded := h.embedder.texts.Load()
		again := h.upload("docs", "freight.md", prose("freight", 3), ingest.Metadata{Tier: caller.Public, Tags: []string{"a"}})
		if again.Change != ingest.Unchanged || again.VersionID != r.VersionID || again.DocumentID != r.DocumentID {
			t.Errorf("%+v", again)
		}
		if n := h.embedder.texts.Load(); n != embedded {
			t.Errorf("%d texts embedded again", n-embedded)
		}
		if objects, err := h.bucket.List(system(), "versions/", "", 100); err != nil || len(objects) > 2 {
			t.Errorf("the bucket holds %d objects: %v", len(objects), err)
		}
		body, _, err := h.Content(system(), r.DocumentID, 0)
		must(t, err)
		defer body.Close()
		if b, err := io.ReadAll(body); err != nil || string(b) != prose("freight", 3) {
			t.Error("other bytes", err)
		}
		after, err := h.GetCollection(system(), "docs")
		must(t, err)
		if after.Epoch != c.Epoch+1 || after.Sequence != 1 || after.Dimensions != 16 {
			t.Errorf("%+v", after)
		}
		h.sound()
	})
}

func TestOneChangedSentenceEmbedsOneOrTwoChunks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		text := prose("tariff", 20)
		first := h.upload("docs", "tariff.md", text, ingest.Metadata{})
		h.settled(first.VersionID, ingest.Live)
		before := h.embedder.texts.Load()
		second := h.upload("docs", "tariff.md", strings.Replace(text, "Sentence 5 of paragraph 3 tells", "A new sentence stands here. Sentence 5 of paragraph 3 tells", 1), ingest.Metadata{})
		if second.Change != ingest.Changed || second.Number != 2 || second.DocumentID != first.DocumentID {
			t.Fatalf("%+v", second)
		}
		h.settled(second.VersionID, ingest.Live)
		h.settled(first.VersionID, ingest.Superseded)
		n, all := h.embedder.texts.Load()-before, h.count("SELECT COUNT(*) FROM manifests WHERE version_id = ?", second.VersionID)
		t.Logf("%d of %d chunks embedded again", n, all)
		if n < 1 || n > max(2, int64(all*3/100)) {
			t.Errorf("%d of %d chunks embedded again", n, all)
		}
		h.sound()
		if n := h.count("SELECT COUNT(*) FROM chunks"); n != all {
			t.Errorf("%d chunks kept, %d needed", n, all)
		}
	})
}

func TestAnUploadThatSaysNothingKeepsWhatWasSaid(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		said := ingest.Metadata{Tier: caller.Restricted, Type: "contract"}
		r := h.upload("docs", "a.md", prose("a", 1), said)
		h.settled(r.VersionID, ingest.Live)
		if again := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{}); again.Change != ingest.Unchanged {
			t.Errorf("the same bytes: %+v", again)
		}
		r = h.upload("docs", "a.md", prose("b", 1), ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live)
		doc, err := h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if r.Number != 2 || doc.Tier != caller.Restricted || doc.Type != "contract" {
			t.Errorf("the next version: %+v", doc)
		}
	})
}

func TestMetadataAloneAppliesWithoutEmbedding(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{Tier: caller.Public})
		h.settled(r.VersionID, ingest.Live)
		before, embedded := h.one("docs"), h.embedder.calls.Load()
		again := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{Tier: caller.Confidential, Fields: map[string]any{"region": "north"}})
		if again.Change != ingest.Described || again.VersionID != r.VersionID {
			t.Fatalf("%+v", again)
		}
		doc, err := h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if doc.Tier != caller.Confidential || doc.Metadata["region"] != "north" || doc.Newest.State != ingest.Live {
			t.Errorf("%+v", doc)
		}
		if after := h.one("docs"); after.Epoch != before.Epoch+1 || h.embedder.calls.Load() != embedded {
			t.Errorf("epoch %d → %d", before.Epoch, after.Epoch)
		}
		if _, err := h.GetDocument(workflow("w", caller.Internal, "docs"), r.DocumentID); !fault.Is(err, fault.NotFound) {
			t.Errorf("an uncleared caller got %v", err)
		}
		if _, _, err := h.Content(workflow("w", caller.Internal, "docs"), r.DocumentID, 0); !fault.Is(err, fault.NotFound) {
			t.Errorf("an uncleared caller got %v", err)
		}
		if _, err := h.UpdateMetadata(system(), r.DocumentID, ingest.Metadata{Title: "Other", Tier: caller.Internal}); err != nil {
			t.Fatal(err)
		}
		if doc, err = h.GetDocument(workflow("w", caller.Internal, "docs"), r.DocumentID); err != nil || doc.Title != "Other" {
			t.Errorf("%+v %v", doc, err)
		}
		h.sound()
	})
}

func (h *house) one(name string) ingest.Collection {
	h.t.Helper()
	c, err := h.GetCollection(system(), name)
	must(h.t, err)
	return c
}

func TestMetadataThatIsWrongFailsClosed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs", func(c *ingest.CollectionConfig) {
			c.Defaults.Tier = caller.Public
			c.MetadataSchema = map[string]any{"type": "object", "required": []any{"region"}, "properties": map[string]any{"region": map[string]any{"enum": []any{"north", "south"}}}}
		})
		h.start()
		good := ingest.Metadata{Fields: map[string]any{"region": "north"}}
		dead := func(name, text string, u ingest.Upload) (ingest.Version, ingest.Document) {
			t.Helper()
			u.Name, u.Reader = name, strings.NewReader(text)
			r, err := h.Upload(system(), "docs", u)
			must(t, err)
			v := h.settled(r.VersionID, ingest.Dead)
			if v.Run.ErrorCode != ingest.CodeMetadata {
				t.Errorf("%s: %s %s", name, v.Run.ErrorCode, v.Run.Error)
			}
			doc, err := h.GetDocument(system(), r.DocumentID)
			must(t, err)
			return v, doc
		}
		v, doc := dead("missing.md", prose("x", 1), ingest.Upload{})
		if !strings.Contains(v.Run.Error, "/region") || doc.Tier != caller.Restricted {
			t.Errorf("%s, tier %s", v.Run.Error, doc.Tier)
		}
		v, _ = dead("wrong.md", prose("x", 1), ingest.Upload{Metadata: ingest.Metadata{Fields: map[string]any{"region": "west"}}})
		if !strings.Contains(v.Run.Error, "/region") {
			t.Error(v.Run.Error)
		}
		_, doc = dead("tier.md", "---\ntier: secret\nregion: north\n---\n# A\n\ntext of it\n", ingest.Upload{})
		if doc.Tier != caller.Restricted {
			t.Errorf("an unknown tier in the front matter left the document %s", doc.Tier)
		}
		// A live document whose sidecar cannot be read any more stays live, but only for the highest clearance.
		r := h.upload("docs", "live.md", prose("live", 1), good)
		h.settled(r.VersionID, ingest.Live)
		v, doc = dead("live.md", prose("live", 1), ingest.Upload{Problem: "the sidecar has a syntax error in line 3"})
		if doc.Tier != caller.Restricted || doc.LiveVersion != r.VersionID || !strings.Contains(v.Run.Error, "line 3") {
			t.Errorf("tier %s, live %s, %s", doc.Tier, doc.LiveVersion, v.Run.Error)
		}
		// Mended: open again, with nothing embedded, and the dead letter is closed.
		embedded := h.embedder.texts.Load()
		mended := h.upload("docs", "live.md", prose("live", 1), good)
		h.settled(mended.VersionID, ingest.Live)
		h.settled(v.ID, ingest.Superseded)
		doc, err := h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if doc.Tier != caller.Public || h.embedder.texts.Load() != embedded {
			t.Errorf("tier %s, %d embedded", doc.Tier, h.embedder.texts.Load()-embedded)
		}
		h.sound()
	})
}

func TestDefaultsFrontMatterAndUploadCountInThatOrder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		defaults := func(c *ingest.CollectionConfig) {
			c.Defaults = ingest.Defaults{Tier: caller.Internal, Type: "note", BusinessUnit: "sea", Metadata: map[string]any{"a": "default", "b": "default"}}
		}
		h.collection("docs", defaults)
		h.start()
		r := h.upload("docs", "f.md", "---\ntype: memo\na: found\ntags: [x, y]\n---\n# Title\n\nSome text.\n", ingest.Metadata{Date: "2026-01-02", Fields: map[string]any{"c": true}})
		h.settled(r.VersionID, ingest.Live)
		doc, err := h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if doc.Type != "memo" || doc.BusinessUnit != "sea" || doc.Tier != caller.Internal || doc.Date != "2026-01-02" || doc.Metadata["a"] != "found" || doc.Metadata["b"] != "default" || doc.Metadata["c"] != true {
			t.Errorf("%+v", doc)
		}
		// Changed defaults reach documents that are live already.
		h.collection("docs", defaults, func(c *ingest.CollectionConfig) { c.Defaults.Tier, c.Defaults.Type = caller.Confidential, "report" })
		doc, err = h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if doc.Tier != caller.Confidential || doc.Type != "memo" {
			t.Errorf("%+v", doc)
		}
		h.sound()
	})
}

func TestANewerVersionIsNeverOverwrittenByAnOlderOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		first := h.upload("docs", "a.md", prose("one", 1), ingest.Metadata{})
		second := h.upload("docs", "a.md", prose("two", 1), ingest.Metadata{})
		run := func(versionID string) {
			list, err := h.Versions(system(), []string{versionID})
			must(t, err)
			must(t, h.Work(context.Background(), list[0].Run.ID))
		}
		run(second.VersionID) // the newer one is faster
		run(first.VersionID)
		h.settled(second.VersionID, ingest.Live)
		h.settled(first.VersionID, ingest.Superseded)
		h.sound()
	})
}

func TestManyUploadsOfOneNameAtOnceAreOneDocument(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				if _, err := h.Upload(system(), "docs", ingest.Upload{Name: "a.txt", Reader: strings.NewReader(fmt.Sprint("text ", i%4))}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		h.until("all are done", func() bool { return h.count("SELECT COUNT(*) FROM runs WHERE state IN ('waiting','running')") == 0 })
		if n, live := h.count("SELECT COUNT(*) FROM documents"), h.count("SELECT COUNT(*) FROM versions v JOIN documents d ON d.live_version_id = v.id AND d.last_number = v.number"); n != 1 || live != 1 {
			t.Errorf("%d documents, %d with their newest version live", n, live)
		}
		h.sound()
	})
}

// BenchmarkDocuments takes small Markdown documents the whole way, from the upload to live: 4 at once, SQLite, a model
// that costs nothing.
func BenchmarkDocuments(b *testing.B) {
	h := open(b, dbtest.Open(b, dbtest.SQLite(b)), b.TempDir(), ingest.Default())
	h.collection("docs")
	h.start()
	b.ResetTimer()
	for i := range b.N {
		h.upload("docs", fmt.Sprintf("%d.md", i), prose(fmt.Sprint(i), 1), ingest.Metadata{})
	}
	for h.count("SELECT COUNT(*) FROM runs WHERE state IN ('waiting','running')") > 0 {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "documents/s")
}

func TestTwoDocumentsOfEqualContentAreTwo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		a, b := h.upload("docs", "a.md", prose("same", 1), ingest.Metadata{}), h.upload("docs", "b.md", prose("same", 1), ingest.Metadata{})
		h.settled(a.VersionID, ingest.Live)
		h.settled(b.VersionID, ingest.Live)
		must(t, h.Delete(system(), a.DocumentID))
		h.until("the purge is proven", func() bool { _, err := h.Proof(system(), a.DocumentID); return err == nil })
		chunks, err := h.ListChunks(system(), b.DocumentID, 0)
		must(t, err)
		if a.DocumentID == b.DocumentID || len(chunks) == 0 {
			t.Errorf("%d chunks left of the other", len(chunks))
		}
		h.sound()
	})
}
