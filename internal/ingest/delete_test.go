package ingest_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestADeletionHidesAtOnceAndProvesItsPurge(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		r := h.upload("docs", "a.md", prose("a", 2), ingest.Metadata{Title: "A secret title"})
		h.settled(r.VersionID, ingest.Live)
		second := h.upload("docs", "a.md", prose("changed", 2), ingest.Metadata{Title: "A secret title"})
		h.settled(second.VersionID, ingest.Live)
		chunks := h.count("SELECT COUNT(*) FROM chunks")
		h.index.lag.Store(true)
		before := h.one("docs")
		must(t, h.Delete(system(), r.DocumentID))
		if after := h.one("docs"); after.Epoch != before.Epoch+1 || after.Sequence != before.Sequence+1 {
			t.Errorf("%+v", after)
		}
		if _, err := h.GetDocument(system(), r.DocumentID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if err := h.Delete(system(), r.DocumentID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		// As long as the index lags there is no proof, and nobody claims one.
		h.until("the purge was tried", func() bool {
			return h.count("SELECT COUNT(*) FROM runs WHERE kind = 'purge' AND error_code = 'index_behind' AND attempts > 1") == 1
		})
		if _, err := h.Proof(system(), r.DocumentID); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		why, err := h.Why(system(), r.DocumentID)
		if err != nil || !strings.Contains(strings.Join(why.Lines, " "), "purge is at the step index") {
			t.Error(why.Lines, err)
		}
		h.index.lag.Store(false)
		var proof ingest.Proof
		h.until("the purge is proven", func() bool { proof, err = h.Proof(system(), r.DocumentID); return err == nil })
		if proof.Removed["chunks"] != int64(chunks) || proof.Removed["vectors"] != int64(chunks) || proof.Removed["objects"] < 2 || proof.Removed["bytes"] == 0 || proof.Scope == "" {
			t.Errorf("%+v", proof)
		}
		for store, n := range proof.Left {
			if n != 0 {
				t.Errorf("%d %s left", n, store)
			}
		}
		if objects, err := h.bucket.List(system(), "", "", 10); err != nil || len(objects) != 0 {
			t.Errorf("%d objects are left: %v", len(objects), err)
		}
		for _, table := range []string{"documents", "versions", "runs", "run_steps", "chunks"} {
			column := map[string]string{"documents": "title", "versions": "metadata", "runs": "error", "run_steps": "detail", "chunks": "text"}[table]
			if n := h.count("SELECT COUNT(*) FROM " + table + " WHERE " + column + " LIKE '%secret%'"); n != 0 {
				t.Errorf("%s still tells the title", table)
			}
		}
		entries, err := h.audit.List(system(), access.Filter{Target: r.DocumentID})
		must(t, err)
		actions := ""
		for _, e := range entries {
			actions += e.Action + " "
		}
		for _, want := range []string{"document.created", "document.version", "document.live", "document.delete", "deletion.proof"} {
			if !strings.Contains(actions, want) {
				t.Errorf("no %s in the audit log: %s", want, actions)
			}
		}
		h.sound()
		// The name is free again.
		again := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		if again.DocumentID == r.DocumentID || again.Number != 1 {
			t.Errorf("%+v", again)
		}
		h.settled(again.VersionID, ingest.Live)
	})
}

func TestADocumentDeletedWhileItIsWorkedOnDoesNotComeBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		h.embedder.fail = func([]string) error {
			must(t, h.Delete(system(), r.DocumentID))
			return nil
		}
		for _, run := range h.texts("SELECT id FROM runs") {
			must(t, h.Work(context.Background(), run))
		}
		h.start()
		h.until("the purge is proven", func() bool { _, err := h.Proof(system(), r.DocumentID); return err == nil })
		if n := h.count("SELECT COUNT(*) FROM vectors") + h.count("SELECT COUNT(*) FROM chunks"); n != 0 {
			t.Errorf("%d rows came back", n)
		}
		must(t, h.Sweep(system()))
		if objects, err := h.bucket.List(system(), "", "", 10); err != nil || len(objects) != 0 {
			t.Errorf("%v %v", objects, err)
		}
		h.sound()
	})
}

func TestACollectionIsDeletedWithAllItHolds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		w := workflow("w", caller.Internal)
		c, err := h.CreateCollection(w, ingest.NewCollection{Metadata: map[string]string{"k": "v"}})
		must(t, err)
		if c.Owner != ingest.OwnerAPI || c.Workflow != "w" || c.Config.Defaults.Tier != caller.Internal || c.Metadata["k"] != "v" {
			t.Errorf("%+v", c)
		}
		var ids []string
		for _, name := range []string{"a.txt", "b.txt", "c.txt"} {
			r, err := h.Upload(w, c.ID, ingest.Upload{Name: name, Reader: strings.NewReader("the text of " + name)})
			must(t, err)
			h.settled(r.VersionID, ingest.Live)
			ids = append(ids, r.DocumentID)
		}
		status, err := h.Status(w, c.ID)
		must(t, err)
		if status.Documents != 3 || status.Live != 3 || status.Chunks != 3 || status.Versions[ingest.Live] != 3 {
			t.Errorf("%+v", status)
		}
		must(t, h.DeleteCollection(w, c.ID))
		if _, err := h.GetCollection(w, c.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, err := h.GetDocument(w, ids[0]); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		h.until("the purge is proven", func() bool { _, err := h.Proof(system(), ids[1]); return err == nil })
		if objects, err := h.bucket.List(system(), "", "", 10); err != nil || len(objects) != 0 || h.count("SELECT COUNT(*) FROM chunks") != 0 {
			t.Errorf("%d objects are left: %v", len(objects), err)
		}
		h.sound()
	})
}

func TestFilesBecomeDocumentsAndGoWithThem(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		w, other := workflow("w", caller.Internal), workflow("other", caller.Restricted, "*")
		f, err := h.CreateFile(w, ingest.NewFile{Name: "../dir/report.txt", Purpose: "assistants", Reader: strings.NewReader("what the report says")})
		must(t, err)
		if f.Name != "report.txt" || f.Bytes != 20 {
			t.Errorf("%+v", f)
		}
		if _, err := h.GetFile(other, f.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		c, err := h.CreateCollection(w, ingest.NewCollection{Title: "store"})
		must(t, err)
		if _, err := h.AttachFile(w, c.ID, f.ID, map[string]any{"tier": "restricted"}); !fault.Is(err, fault.Denied) {
			t.Errorf("a tier above the clearance: %v", err)
		}
		if _, err := h.AttachFile(w, c.ID, f.ID, map[string]any{"tier": "top secret"}); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if _, err := h.AttachFile(other, c.ID, f.ID, nil); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		r, err := h.AttachFile(w, c.ID, f.ID, map[string]any{"tier": "public", "tags": "a, b", "year": 2026.0})
		must(t, err)
		h.settled(r.VersionID, ingest.Live)
		doc, err := h.AttachedFile(w, "store", f.ID)
		must(t, err)
		if doc.Tier != caller.Public || len(doc.Tags) != 2 || doc.Metadata["year"] != 2026.0 || doc.Source != ingest.SourceFiles || doc.Title != "report" {
			t.Errorf("%+v", doc)
		}
		must(t, h.DetachFile(w, c.ID, f.ID))
		if _, err := h.AttachedFile(w, c.ID, f.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		body, _, err := h.FileContent(w, f.ID)
		must(t, err)
		if b, _ := io.ReadAll(body); string(b) != "what the report says" {
			t.Errorf("%q", b)
		}
		body.Close()
		again, err := h.AttachFile(w, c.ID, f.ID, nil)
		must(t, err)
		h.settled(again.VersionID, ingest.Live)
		must(t, h.DeleteFile(w, f.ID))
		h.until("its document is purged", func() bool { _, err := h.Proof(system(), again.DocumentID); return err == nil })
		if list, err := h.ListFiles(w, ingest.FileFilter{}); err != nil || len(list) != 0 {
			t.Error(list, err)
		}
		h.until("no bytes are left", func() bool {
			objects, err := h.bucket.List(system(), "", "", 10)
			return err == nil && len(objects) == 0
		})
		h.sound()
	})
}

func TestWhoMayDoWhat(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		h.collection("shared")
		r := h.upload("shared", "a.md", prose("a", 1), ingest.Metadata{Tier: caller.Internal})
		h.settled(r.VersionID, ingest.Live)
		reader, stranger, low := workflow("reader", caller.Confidential, "shared"), workflow("stranger", caller.Restricted), workflow("low", caller.Public, "shared")
		for name, c := range map[string]struct {
			ctx  context.Context
			try  func(ctx context.Context) error
			want fault.Kind
		}{
			"a reader sees a document":    {reader, func(ctx context.Context) error { _, err := h.GetDocument(ctx, r.DocumentID); return err }, ""},
			"a reader does not delete it": {reader, func(ctx context.Context) error { return h.Delete(ctx, r.DocumentID) }, fault.Denied},
			"a reader does not upload": {reader, func(ctx context.Context) error {
				_, err := h.Upload(ctx, "shared", ingest.Upload{Name: "x", Reader: strings.NewReader("x")})
				return err
			}, fault.Denied},
			"a reader does not delete the collection": {reader, func(ctx context.Context) error { return h.DeleteCollection(ctx, "shared") }, fault.Denied},
			"a stranger finds no collection":          {stranger, func(ctx context.Context) error { _, err := h.GetCollection(ctx, "shared"); return err }, fault.NotFound},
			"a stranger finds no document":            {stranger, func(ctx context.Context) error { _, err := h.GetDocument(ctx, r.DocumentID); return err }, fault.NotFound},
			"a stranger finds no version":             {stranger, func(ctx context.Context) error { _, err := h.Versions(ctx, []string{r.VersionID}); return err }, fault.NotFound},
			"a stranger is told nothing by path":      {stranger, func(ctx context.Context) error { _, err := h.Why(ctx, "a.md"); return err }, fault.NotFound},
			"an uncleared reader finds no document":   {low, func(ctx context.Context) error { _, err := h.GetDocument(ctx, r.DocumentID); return err }, fault.NotFound},
			"an uncleared reader finds no chunks":     {low, func(ctx context.Context) error { _, err := h.ListChunks(ctx, r.DocumentID, 0); return err }, fault.NotFound},
			"an uncleared reader finds no version":    {low, func(ctx context.Context) error { _, err := h.Versions(ctx, []string{r.VersionID}); return err }, fault.NotFound},
			"nobody is told anything":                 {context.Background(), func(ctx context.Context) error { _, err := h.GetDocument(ctx, r.DocumentID); return err }, fault.NotFound},
			"nobody uploads": {context.Background(), func(ctx context.Context) error {
				_, err := h.Upload(ctx, "shared", ingest.Upload{Name: "x", Reader: strings.NewReader("x")})
				return err
			}, fault.NotFound},
			"nobody creates": {context.Background(), func(ctx context.Context) error { _, err := h.CreateCollection(ctx, ingest.NewCollection{}); return err }, fault.Denied},
			"a collection in the file is not deleted": {system(), func(ctx context.Context) error { return h.DeleteCollection(ctx, "shared") }, fault.Conflict},
		} {
			t.Run(name, func(t *testing.T) {
				if got := fault.KindOf(c.try(c.ctx)); got != c.want {
					t.Errorf("%q, not %q", got, c.want)
				}
			})
		}
		for _, ctx := range []context.Context{low, context.Background(), stranger} {
			if list, err := h.ListDocuments(ctx, "shared", ingest.DocumentFilter{}); len(list) != 0 {
				t.Error(list, err)
			}
			if list, err := h.ListDeadLetters(ctx, ingest.DeadLetterFilter{}); len(list) != 0 {
				t.Error(list, err)
			}
		}
		if list, err := h.ListCollections(stranger); err != nil || len(list) != 0 {
			t.Error(list, err)
		}
	})
}
