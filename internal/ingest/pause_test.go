package ingest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestAPauseHoldsRunsUpUntilItIsResumed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		_, err := h.Sync(system(), map[string]ingest.CollectionConfig{"docs": ingest.DefaultCollection(), "free": ingest.DefaultCollection()})
		must(t, err)
		if err := h.PauseRuns(workflow("w", caller.Restricted), "docs", ""); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
		for target, kind := range map[string]fault.Kind{"nothing": fault.NotFound, "docs/nothing": fault.NotFound, "run_00000000000000000000000000": fault.NotFound} {
			if err := h.PauseRuns(system(), target, ""); !fault.Is(err, kind) {
				t.Errorf("%s: %v", target, err)
			}
		}
		must(t, h.PauseRuns(system(), "docs", "the model is being changed"))
		must(t, h.PauseRuns(system(), "docs/upload", ""))
		if err := h.PauseRuns(system(), "docs", ""); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		h.start()
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		// What is not paused overtakes it.
		h.settled(h.upload("free", "b.md", prose("b", 1), ingest.Metadata{}).VersionID, ingest.Live)
		run := h.texts("SELECT id FROM runs WHERE version_id = ?", r.VersionID)[0]
		must(t, h.Work(context.Background(), run)) // a wake-up that comes all the same
		_, err = d.Exec(context.Background(), "UPDATE runs SET due_at = ? WHERE id = ?", db.Micros(time.Now().Add(-time.Hour)), run)
		must(t, err)
		must(t, h.Sweep(system()))
		if n := h.count("SELECT COUNT(*) FROM runs WHERE id = ? AND state = 'waiting' AND attempts = 0", run); n != 1 {
			t.Error("the paused run was begun")
		}
		why, err := h.Why(system(), r.DocumentID)
		if err != nil || !strings.Contains(strings.Join(why.Lines, " "), "docs is paused since") || !strings.Contains(strings.Join(why.Lines, " "), "the model is being changed") {
			t.Error(why.Lines, err)
		}
		list, err := h.ListPauses(system())
		if err != nil || len(list) != 2 || list[0].Target != "docs" || list[0].Waiting != 1 || list[1].Waiting != 1 {
			t.Errorf("%+v %v", list, err)
		}
		must(t, h.Resume(system(), "docs"))
		if err := h.Resume(system(), "docs"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		must(t, h.Work(context.Background(), run))
		if n := h.count("SELECT COUNT(*) FROM runs WHERE id = ? AND state = 'waiting'", run); n != 1 {
			t.Error("the other pause did not hold it up")
		}
		// A deletion is never held up.
		gone := h.upload("docs", "c.md", prose("c", 1), ingest.Metadata{})
		must(t, h.Delete(system(), gone.DocumentID))
		h.until("the purge is proven", func() bool { _, err := h.Proof(system(), gone.DocumentID); return err == nil })
		must(t, h.Resume(system(), "docs/upload"))
		h.settled(r.VersionID, ingest.Live)
		h.sound()
	})
}

func TestCancelledRunsLeaveWhatIsLive(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		first := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		h.settled(first.VersionID, ingest.Live)
		must(t, h.PauseRuns(system(), "docs", ""))
		second := h.upload("docs", "a.md", prose("b", 1), ingest.Metadata{})
		other := h.upload("docs", "b.md", prose("c", 1), ingest.Metadata{})
		run := h.texts("SELECT id FROM runs WHERE version_id = ?", second.VersionID)[0]
		if n, err := h.CancelRuns(system(), run); err != nil || n != 1 {
			t.Error(n, err)
		}
		if n, err := h.CancelRuns(system(), "docs/upload"); err != nil || n != 1 {
			t.Error(n, err)
		}
		if n, err := h.CancelRuns(system(), "docs"); err != nil || n != 0 {
			t.Error(n, err)
		}
		must(t, h.Resume(system(), "docs"))
		h.settled(second.VersionID, ingest.Superseded)
		h.settled(other.VersionID, ingest.Superseded)
		doc, err := h.GetDocument(system(), first.DocumentID)
		if err != nil || doc.LiveVersion != first.VersionID {
			t.Errorf("%+v %v", doc, err)
		}
		again := h.upload("docs", "a.md", prose("b", 1), ingest.Metadata{})
		h.settled(again.VersionID, ingest.Live)
		h.sound()
	})
}
