package ingest_test

import (
	"context"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestAnErasureDeletesEveryMatchAndProvesIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		of := func(employee any, tags ...string) ingest.Metadata {
			return ingest.Metadata{Tags: tags, Fields: map[string]any{"employee": employee}}
		}
		h.start()
		live := h.upload("docs", "live.md", prose("a", 2), of(float64(4711), "hr"))
		h.settled(live.VersionID, ingest.Live)
		other := h.upload("docs", "other.md", prose("b", 2), of(float64(4712), "hr"))
		h.settled(other.VersionID, ingest.Live)
		dead := h.upload("docs", "dead.md", "", of(float64(4711)))
		h.settled(dead.VersionID, ingest.Dead)
		earlier := h.upload("docs", "earlier.md", prose("c", 2), of(float64(4711)))
		h.settled(earlier.VersionID, ingest.Live)
		h.settled(h.upload("docs", "earlier.md", prose("d", 2), of(float64(1))).VersionID, ingest.Live)
		// On its way, or live by now: it must go in either case.
		waiting := h.upload("docs", "waiting.md", prose("e", 2), of("4711"))

		where := map[string]string{"employee": "4711"}
		plan, err := h.PlanErasure(system(), "docs", where)
		must(t, err)
		if plan.Matched != 4 || plan.ID != "" || len(plan.Examples) != 4 || h.count("SELECT COUNT(*) FROM documents WHERE deleted_at IS NOT NULL") != 0 {
			t.Fatalf("%+v", plan)
		}
		for _, x := range plan.Examples {
			if x.SourceKey != "waiting.md" && x.Earlier == (x.SourceKey == "live.md") {
				t.Errorf("%+v", x)
			}
		}
		if both, err := h.PlanErasure(system(), "docs", map[string]string{"employee": "4711", "tags": "hr"}); err != nil || both.Matched != 1 {
			t.Errorf("%+v %v", both, err)
		}
		for _, bad := range []map[string]string{nil, {"employee": ""}, {" ": "x"}} {
			if _, err := h.Erase(system(), "docs", bad, ""); !fault.Is(err, fault.Invalid) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		if _, err := h.Erase(workflow("w", caller.Restricted), "docs", where, ""); err == nil {
			t.Error("somebody else's workflow erases")
		}
		record, err := h.Erase(system(), "docs", where, "request of 3 March")
		must(t, err)
		if record.Matched != 4 || !record.FinishedAt.IsZero() {
			t.Errorf("%+v", record)
		}
		// What comes later is not its business.
		later := h.upload("docs", "later.md", prose("f", 1), of(float64(4711)))
		h.until("it is done", func() bool {
			must(t, h.Sweep(system()))
			record, err = h.GetErasure(system(), record.ID)
			must(t, err)
			return !record.FinishedAt.IsZero()
		})
		if record.Purged != 4 || record.Held != 0 || record.Documents[0].Removed["objects"] == 0 {
			t.Errorf("%+v", record)
		}
		for _, r := range []ingest.Receipt{live, dead, earlier, waiting} {
			if proof, err := h.Proof(system(), r.DocumentID); err != nil || proof.Left["objects"]+proof.Left["chunks"]+proof.Left["vectors"]+proof.Left["index_entries"] != 0 {
				t.Errorf("%+v %v", proof, err)
			}
		}
		h.settled(later.VersionID, ingest.Live)
		for _, r := range []ingest.Receipt{other, later} {
			if _, err := h.GetDocument(system(), r.DocumentID); err != nil {
				t.Error(err)
			}
		}
		if got := actions(t, h, record.ID); !strings.Contains(got, "erasure.order") || strings.Count(got, "erasure.proof") != 1 {
			t.Error(got)
		}
		if n := h.count("SELECT COUNT(*) FROM audit WHERE target = ? AND detail LIKE '%4711%'", record.ID); n != 0 {
			t.Error("the audit log has the value that was to be erased")
		}
		if _, err := h.GetErasure(workflow("w", caller.Restricted), record.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		h.sound()
	})
}

func TestAnErasureThatWasCutGoesOnWithTheSweep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{Type: "memo"})
		h.settled(r.VersionID, ingest.Live)
		record, err := h.Erase(system(), "docs", map[string]string{"type": "nothing"}, "")
		must(t, err)
		// As a process leaves it that dies after the order and before the deletion.
		_, err = d.Exec(context.Background(), "INSERT INTO erasure_documents (erasure_id, document_id, state) VALUES (?,?,'chosen')", record.ID, r.DocumentID)
		must(t, err)
		h.until("it is done", func() bool {
			must(t, h.Sweep(system()))
			record, err = h.GetErasure(system(), record.ID)
			must(t, err)
			return !record.FinishedAt.IsZero()
		})
		if record.Purged != 1 {
			t.Errorf("%+v", record)
		}
		h.sound()
	})
}
