package ingest_test

import (
	"strings"
	"testing"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func actions(t *testing.T, h *house, target string) string {
	t.Helper()
	entries, err := h.audit.List(system(), access.Filter{Target: target})
	must(t, err)
	all := ""
	for _, e := range entries {
		all += e.Action + " "
	}
	return all
}

func TestNothingDeletesWhatIsUnderALegalHold(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs", func(c *ingest.CollectionConfig) { c.KeepVersions, c.ExpireVersionsAfter = 1, time.Nanosecond })
		h.start()
		r := h.upload("docs", "a.md", prose("a", 2), ingest.Metadata{Fields: map[string]any{"customer": "Hansa"}})
		h.settled(r.VersionID, ingest.Live)
		for name, err := range map[string]error{
			"without a reason": h.PlaceHold(system(), r.DocumentID, "  "),
			"not there":        h.PlaceHold(system(), "doc_x", "case 1"),
			"by a workflow":    h.PlaceHold(workflow("w", caller.Restricted), r.DocumentID, "case 1"),
			"release of none":  h.ReleaseHold(system(), r.DocumentID, "case 1"),
		} {
			if err == nil {
				t.Errorf("%s: it was taken", name)
			}
		}
		must(t, h.PlaceHold(system(), r.DocumentID, "case 12/26"))
		held := func(what string, err error) {
			t.Helper()
			if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "case 12/26") {
				t.Errorf("%s: %v", what, err)
			}
		}
		held("a second hold", h.PlaceHold(system(), r.DocumentID, "case 13"))
		held("delete", h.Delete(system(), r.DocumentID))
		_, err := h.Sync(system(), nil) // the collection goes from the file, so that it may be deleted
		must(t, err)
		held("delete of the collection", h.DeleteCollection(system(), "docs"))
		h.collection("docs", func(c *ingest.CollectionConfig) { c.KeepVersions, c.ExpireVersionsAfter = 1, time.Nanosecond })
		record, err := h.Erase(system(), "docs", map[string]string{"customer": "Hansa"}, "")
		must(t, err)
		if record.Matched != 1 || record.Held != 1 || record.Documents[0].State != "held" {
			t.Errorf("%+v", record)
		}
		// Old versions keep their bytes, however many there are.
		for _, text := range []string{"b", "c", "d"} {
			h.settled(h.upload("docs", "a.md", prose(text, 1), ingest.Metadata{}).VersionID, ingest.Live)
		}
		must(t, h.Sweep(system()))
		if n := h.count("SELECT COUNT(*) FROM versions WHERE bucket_key <> ''"); n != 4 {
			t.Errorf("%d of 4 versions have their bytes", n)
		}
		if _, err := h.GetDocument(system(), r.DocumentID); err != nil {
			t.Error(err)
		}
		why, err := h.Why(system(), r.DocumentID)
		if err != nil || !strings.Contains(strings.Join(why.Lines, " "), "legal hold") {
			t.Error(why.Lines, err)
		}
		must(t, h.ReleaseHold(system(), r.DocumentID, "case closed"))
		must(t, h.Sweep(system()))
		if n := h.count("SELECT COUNT(*) FROM versions WHERE bucket_key <> ''"); n >= 4 {
			t.Errorf("%d versions have their bytes after the release", n)
		}
		must(t, h.Delete(system(), r.DocumentID))
		h.until("the purge is proven", func() bool { _, err := h.Proof(system(), r.DocumentID); return err == nil })
		if got := actions(t, h, r.DocumentID); !strings.Contains(got, "hold.place") || !strings.Contains(got, "hold.release") {
			t.Error(got)
		}
		h.sound()
	})
}

func TestWhatGoesFromItsSourceUnderAHoldIsHiddenAndPurgedWhenReleased(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		c := h.collection("docs", func(c *ingest.CollectionConfig) {
			c.Sources = map[string]ingest.SourceConfig{"folder": {Folder: t.TempDir()}}
		})
		h.start()
		r, err := h.Upload(system(), "docs", ingest.Upload{Name: "a.md", Source: "folder", SourceKey: "a.md", Reader: strings.NewReader(prose("a", 2)),
			Metadata: ingest.Metadata{Fields: map[string]any{"customer": "Hansa"}}})
		must(t, err)
		h.settled(r.VersionID, ingest.Live)
		n, err := h.HoldMatches(system(), "docs", map[string]string{"customer": "Hansa"}, true, "case 12/26")
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
		s, err := h.GetSource(system(), "docs", "folder")
		must(t, err)
		must(t, h.RemoveItems(system(), s, []ingest.Item{{SourceID: s.ID, Key: "a.md", DocumentID: r.DocumentID}}))
		if _, err := h.GetDocument(system(), r.DocumentID); !fault.Is(err, fault.NotFound) {
			t.Error("it is still found", err)
		}
		must(t, h.Sweep(system()))
		if objects, err := h.bucket.List(system(), "versions/", "", 10); err != nil || len(objects) == 0 {
			t.Error("the bytes are gone", err)
		}
		if _, err := h.Proof(system(), r.DocumentID); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "case 12/26") {
			t.Error(err)
		}
		list, err := h.ListHolds(system(), "docs", "", 0)
		if err != nil || len(list) != 1 || list[0].HiddenSince.IsZero() || list[0].SourceKey != "a.md" {
			t.Errorf("%+v %v", list, err)
		}
		if _, err := h.Sync(system(), nil); err != nil {
			t.Error(err)
		}
		if err := h.DeleteCollection(system(), c.ID); !fault.Is(err, fault.Conflict) {
			t.Error("the collection went over the hold", err)
		}
		if n, err = h.HoldMatches(system(), "docs", map[string]string{"customer": "Hansa"}, false, "case closed"); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		h.until("the purge is proven", func() bool { _, err := h.Proof(system(), r.DocumentID); return err == nil })
		if objects, err := h.bucket.List(system(), "", "", 10); err != nil || len(objects) != 0 {
			t.Errorf("%v %v", objects, err)
		}
		h.sound()
	})
}
