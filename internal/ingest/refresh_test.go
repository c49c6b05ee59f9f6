package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
	"airfield/internal/money"
)

// searcher finds, in one generation, the passages that share most words with a query.
type searcher struct{ db *db.DB }

func (s searcher) SearchGeneration(ctx context.Context, collectionID, generationID, query string, limit int) (list []ingest.Found, err error) {
	rows, err := s.db.Query(ctx, `SELECT c.id, d.id, d.source_key, c.text FROM generations g JOIN documents d ON d.collection_id = g.collection_id JOIN manifests m ON m.version_id = d.live_version_id AND m.cut = g.cut
		JOIN chunks c ON c.id = m.chunk_id JOIN vectors v ON v.generation_id = g.id AND v.chunk_id = c.id WHERE g.id = ? AND d.deleted_at IS NULL ORDER BY c.id`, generationID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	type scored struct {
		ingest.Found
		score int
	}
	var all []scored
	for rows.Next() {
		var one scored
		var text string
		if err := rows.Scan(&one.ChunkID, &one.DocumentID, &one.SourceKey, &text); err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(query) {
			one.score += strings.Count(text, word)
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b scored) int { return b.score - a.score })
	for _, one := range all[:min(len(all), limit)] {
		list = append(list, one.Found)
	}
	return list, rows.Err()
}

// prices know every model but one.
type prices struct{}

func (prices) EmbeddingCost(_ context.Context, model string, tokens int64) (ingest.EmbeddingCost, error) {
	if model == "missing" {
		return ingest.EmbeddingCost{}, fault.New(fault.NotFound, "model_not_found", "there is no model %q", model)
	}
	return ingest.EmbeddingCost{Deployment: "mock", Cost: money.Nanos(tokens * 20), Priced: model != "unpriced"}, nil
}

func (e *embedder) of(model string) int64 {
	n, ok := e.by.Load(model)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// shelf is a collection with live documents, whose generations do not switch by themselves.
func (h *house) shelf(documents, sections int, change ...func(*ingest.CollectionConfig)) (c ingest.Collection, receipts []ingest.Receipt) {
	h.t.Helper()
	c = h.collection("docs", append([]func(*ingest.CollectionConfig){func(c *ingest.CollectionConfig) {
		c.EmbeddingModel, c.Refresh.AutoSwitch, c.Refresh.MinOverlap = "first", false, 0.9
	}}, change...)...)
	for i := range documents {
		receipts = append(receipts, h.upload("docs", fmt.Sprintf("book-%d.md", i), prose(fmt.Sprintf("volume%d", i), sections), ingest.Metadata{}))
	}
	for _, r := range receipts {
		h.settled(r.VersionID, ingest.Live)
	}
	return c, receipts
}

// reaches waits until the newest generation is in the state, looking after generations as the schedule does.
func (h *house) reaches(state string) (g ingest.Generation) {
	h.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		must(h.t, h.KeepRefreshes(system()))
		list, err := h.Refresh(system(), "docs")
		must(h.t, err)
		if g = list[0]; g.State == state && g.Behind == 0 {
			return g
		}
		if time.Now().After(end) {
			h.t.Fatalf("the generation does not become %s: %+v", state, g)
		}
	}
}

// lacking counts the live passages of a generation that have no vector, and the live documents without passages.
func (h *house) lacking(generation string) int {
	h.t.Helper()
	return h.count(`SELECT COUNT(*) FROM documents d JOIN generations g ON g.collection_id = d.collection_id JOIN manifests m ON m.version_id = d.live_version_id AND m.cut = g.cut
		WHERE g.id = ? AND d.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation_id = g.id AND v.chunk_id = m.chunk_id)`, generation) +
		h.count(`SELECT COUNT(*) FROM documents d JOIN generations g ON g.collection_id = d.collection_id WHERE g.id = ? AND d.deleted_at IS NULL AND d.live_version_id IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.version_id = d.live_version_id AND m.cut = g.cut)`, generation)
}

func TestAModelChangesWithoutExtractionAndCanBeTakenBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		before, _ := h.shelf(4, 2)
		chunks := h.count("SELECT COUNT(*) FROM chunks")
		plan, err := h.PlanRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		if plan.Documents != 4 || plan.Chunks != int64(chunks) || plan.Tokens < 100 || plan.CostUSD != money.Nanos(plan.Tokens*20) || !plan.Priced || plan.Extract || plan.SecondsFrom != "" {
			t.Errorf("%+v", plan)
		}
		if plan, err = h.PlanRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "unpriced"}); err != nil || plan.Priced {
			t.Errorf("%+v %v", plan, err)
		}
		if _, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "missing"}); !fault.Is(err, fault.NotFound) {
			t.Errorf("a model that is not there: %v", err)
		}
		// An extraction would fail: the files are not needed.
		g, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		if _, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second refresh: %v", err)
		}
		ready := h.reaches(ingest.GenerationReady)
		if ready.ID != g.ID || ready.Gate == nil || !ready.Gate.Passed || ready.Gate.Overlap != 1 || ready.Gate.Queries == 0 || ready.Dimensions != 16 || h.embedder.of("second") != int64(chunks) {
			t.Errorf("%+v, %d texts", ready, h.embedder.of("second"))
		}
		if now := h.one("docs"); now.Model != "first" || now.Epoch != before.Epoch+4 {
			t.Errorf("built and live already: %+v", now)
		}
		epoch := h.one("docs").Epoch
		live, err := h.SwitchGeneration(system(), "docs", false)
		must(t, err)
		if now := h.one("docs"); live.State != ingest.GenerationLive || now.Model != "second" || now.GenerationID != g.ID || now.Epoch != epoch+1 {
			t.Errorf("%+v %+v", live, now)
		}
		// What comes now is in the new one at once, and soon in the one before.
		r := h.upload("docs", "late.md", prose("late", 1), ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live)
		if n := h.lacking(g.ID); n != 0 {
			t.Errorf("%d passages lack a vector of the live generation", n)
		}
		back, err := h.RollbackGeneration(system(), "docs")
		must(t, err)
		if back.ID != before.GenerationID || h.one("docs").Model != "first" || h.lacking(back.ID) != 0 {
			t.Errorf("%+v, %d lack", back, h.lacking(back.ID))
		}
		if again, err := h.RollbackGeneration(system(), "docs"); err != nil || again.ID != g.ID {
			t.Errorf("a rollback of a rollback: %+v %v", again, err)
		}
		// When it is kept no longer it goes.
		if _, err := d.Exec(context.Background(), "UPDATE generations SET kept_until = 1 WHERE state = 'previous'"); err != nil {
			t.Fatal(err)
		}
		must(t, h.KeepRefreshes(system()))
		if n := h.count("SELECT COUNT(*) FROM vectors WHERE generation_id = ?", before.GenerationID); n != 0 {
			t.Errorf("%d vectors are left", n)
		}
		if _, err := h.RollbackGeneration(system(), "docs"); !fault.Is(err, fault.Conflict) {
			t.Errorf("a rollback to what is gone: %v", err)
		}
		for _, action := range []string{"refresh.start", "refresh.ready", "refresh.switch", "refresh.rollback", "refresh.reclaim"} {
			if h.count("SELECT COUNT(*) FROM audit WHERE action = ?", action) == 0 {
				t.Errorf("%s is not in the audit log", action)
			}
		}
		h.sound()
	})
}

func TestWhatChangesWhileAGenerationIsBuiltIsInBoth(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		var stop atomic.Bool
		h.embedder.only = func(model string, texts []string) error {
			if model == "second" && stop.Load() {
				return fault.New(fault.Unavailable, "away", "the model is away")
			}
			return nil
		}
		h.start()
		before, receipts := h.shelf(4, 2)
		stop.Store(true)
		g, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		h.until("the outage is said", func() bool {
			list, err := h.Refresh(system(), "docs")
			return err == nil && strings.Contains(list[0].Error, "the model is away") && list[0].State == ingest.GenerationBuilding
		})
		rewritten := h.upload("docs", "book-1.md", prose("rewritten", 2), ingest.Metadata{})
		h.settled(rewritten.VersionID, ingest.Live)
		must(t, h.Delete(system(), receipts[2].DocumentID))
		stop.Store(false)
		h.reaches(ingest.GenerationReady)
		// And again while it waits for somebody to switch.
		added := h.upload("docs", "added.md", prose("added", 1), ingest.Metadata{})
		h.settled(added.VersionID, ingest.Live)
		h.reaches(ingest.GenerationReady)
		must(t, h.Delete(system(), receipts[3].DocumentID))
		for _, generation := range []string{before.GenerationID, g.ID} {
			if n := h.lacking(generation); n != 0 {
				t.Errorf("%s lacks %d", generation, n)
			}
			if n := h.count("SELECT COUNT(*) FROM vectors v JOIN manifests m ON m.chunk_id = v.chunk_id WHERE v.generation_id = ? AND m.version_id IN (?,?)", generation, rewritten.VersionID, added.VersionID); n == 0 {
				t.Errorf("%s has nothing of what came meanwhile", generation)
			}
		}
		h.until("the deletions are done", func() bool {
			return h.count("SELECT COUNT(*) FROM vectors WHERE document_id IN (?,?)", receipts[2].DocumentID, receipts[3].DocumentID) == 0
		})
		_, err = h.SwitchGeneration(system(), "docs", false)
		must(t, err)
		h.sound()
	})
}

func TestAnotherChunkingIsAGenerationOfItsOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		before, receipts := h.shelf(3, 2)
		old := h.texts("SELECT chunk_id FROM manifests ORDER BY version_id, ordinal")
		finer := before.Chunking
		finer.Tokens, finer.Max = 100, 200
		g, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{Chunking: &finer})
		must(t, err)
		// A file that cannot be read any more keeps its passages, and the gate says so.
		h.reaches(ingest.GenerationReady)
		if status, err := h.Status(system(), "docs"); err != nil || status.Chunks != len(old) {
			t.Errorf("what is live changed: %+v %v", status, err)
		}
		if _, err := h.SwitchGeneration(system(), "docs", false); err != nil {
			t.Fatal(err)
		}
		status, err := h.Status(system(), "docs")
		must(t, err)
		if now := h.one("docs"); status.Chunks < 2*len(old) || now.Chunking != finer || now.Config.Chunking != before.Chunking {
			t.Errorf("%d passages instead of %d: %+v", status.Chunks, len(old), now)
		}
		listed, err := h.ListChunks(system(), receipts[0].DocumentID, 0)
		must(t, err)
		if len(listed)*3 > 2*status.Chunks || listed[0].Tokens > 200 {
			t.Errorf("%d of %d passages are those of a third of the documents", len(listed), status.Chunks)
		}
		r := h.upload("docs", "book-0.md", prose("anew", 2), ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live)
		if _, err := h.RollbackGeneration(system(), "docs"); err != nil || h.one("docs").Chunking != before.Chunking || h.lacking(before.GenerationID) != 0 {
			t.Errorf("%v, %d lack", err, h.lacking(before.GenerationID))
		}
		h.sound()
		if _, err := d.Exec(context.Background(), "UPDATE generations SET kept_until = 1 WHERE id = ?", g.ID); err != nil {
			t.Fatal(err)
		}
		must(t, h.KeepRefreshes(system()))
		if status, err = h.Status(system(), "docs"); err != nil || h.count("SELECT COUNT(*) FROM manifests") != status.Chunks {
			t.Errorf("%d manifest rows for %d passages", h.count("SELECT COUNT(*) FROM manifests"), status.Chunks)
		}
		h.sound()
	})
}

func TestADocumentWhoseFileIsGoneKeepsItsPassages(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.start()
	c, receipts := h.shelf(2, 1)
	if _, err := h.bucket.Purge(system(), "versions/"+receipts[1].VersionID+"/original", ""); err != nil {
		t.Fatal(err)
	}
	finer := c.Chunking
	finer.Tokens, finer.Max = 100, 200
	_, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{Chunking: &finer})
	must(t, err)
	g := h.reaches(ingest.GenerationHeld)
	if g.Refused != 1 || h.lacking(g.ID) != 0 || len(g.Gate.Reasons) != 1 {
		t.Errorf("%+v %+v", g, g.Gate)
	}
	h.sound()
}

func TestTheGateHoldsWhatIsWorse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		file := filepath.Join(t.TempDir(), "golden.yaml")
		must(t, os.WriteFile(file, []byte("- query: what the volume1 freight weighs\n  relevant: {book-1.md: 3}\n"), 0o600))
		c, _ := h.shelf(3, 1, func(c *ingest.CollectionConfig) {
			c.Refresh.GoldenFile, c.Refresh.MinNDCG, c.Refresh.AutoSwitch = file, 1, true
			c.Refresh.Golden = []ingest.GoldenQuery{{Query: "volume2", Relevant: map[string]int{"no-such.md": 1}}}
		})
		_, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		g := h.reaches(ingest.GenerationHeld)
		if g.Gate.Golden != 2 || g.Gate.NDCG != 0.5 || g.Gate.LiveNDCG != 0.5 || len(g.Gate.Reasons) != 1 || !strings.Contains(g.Gate.Reasons[0], "min_ndcg is 1.000") {
			t.Errorf("%+v", g.Gate)
		}
		if _, err := h.SwitchGeneration(system(), "docs", false); !fault.Is(err, fault.Conflict) || h.one("docs").GenerationID != c.GenerationID {
			t.Errorf("%v", err)
		}
		if _, err := h.SwitchGeneration(system(), "docs", true); err != nil || h.one("docs").GenerationID != g.ID {
			t.Errorf("%v", err)
		}
	})
}

func TestAPassageThatTheModelRefusesIsCountedAndHoldsUpNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.embedder.only = func(model string, texts []string) error {
			if model == "second" && slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, "Section 1 of volume1") }) {
				return fault.New(fault.Invalid, "text", "the text is not taken")
			}
			return nil
		}
		h.start()
		h.shelf(3, 3)
		bad := h.count("SELECT COUNT(*) FROM chunks WHERE heading LIKE '%Section 1 of volume1%'")
		_, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		g := h.reaches(ingest.GenerationHeld)
		if empty := h.count("SELECT COUNT(*) FROM vectors WHERE generation_id = ? AND LENGTH(vector) = 0", g.ID); bad == 0 || empty != bad || g.Refused != int64(bad) || h.lacking(g.ID) != 0 {
			t.Errorf("%d of %d refused, %d without a vector, %d lacking", g.Refused, bad, empty, h.lacking(g.ID))
		}
	})
}

func TestAModelThatTakesNothingEndsTheRefreshWhichGoesOnLater(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		var broken atomic.Bool
		h.embedder.only = func(model string, texts []string) error {
			if broken.Load() && model == "second" && h.embedder.of("second") >= 16 {
				return fault.New(fault.NotFound, "model_not_found", "there is no model %q any more", model)
			}
			return nil
		}
		broken.Store(true)
		h.start()
		h.shelf(4, 3)
		chunks := int64(h.count("SELECT COUNT(*) FROM chunks"))
		first, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		if g := h.reaches(ingest.GenerationFailed); !strings.Contains(g.Error, "any more") || g.Embedded != 16 {
			t.Errorf("%+v", g)
		}
		plan, err := h.PlanRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		if plan.AlreadyThere != 16 || plan.SecondsFrom == "" {
			t.Errorf("%+v", plan)
		}
		broken.Store(false)
		again, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		h.reaches(ingest.GenerationReady)
		if again.ID != first.ID || h.embedder.of("second") != chunks {
			t.Errorf("%d texts for %d passages", h.embedder.of("second"), chunks)
		}
		g, err := h.CancelRefresh(system(), "docs")
		must(t, err)
		must(t, h.KeepRefreshes(system()))
		if n := h.count("SELECT COUNT(*) FROM vectors WHERE generation_id = ?", g.ID); n != 0 || h.one("docs").Model != "first" {
			t.Errorf("%d vectors are left of what was cancelled", n)
		}
		if _, err := h.CancelRefresh(system(), "docs"); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second cancel: %v", err)
		}
		h.sound()
	})
}

func TestTwoWorkersBuildAGenerationOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		dir := t.TempDir()
		h := open(t, d, dir, quick())
		h.start()
		h.shelf(5, 4)
		other := open(t, d, dir, quick())
		other.start()
		_, err := h.StartRefresh(system(), "docs", ingest.RefreshTarget{EmbeddingModel: "second"})
		must(t, err)
		for range 20 {
			must(t, h.KeepRefreshes(system()))
			must(t, other.KeepRefreshes(system()))
		}
		g := h.reaches(ingest.GenerationReady)
		if n, want := h.embedder.of("second")+other.embedder.of("second"), int64(h.count("SELECT COUNT(*) FROM chunks")); n != want || g.Embedded != want {
			t.Errorf("%d texts were embedded, %d counted, for %d passages", n, g.Embedded, want)
		}
	})
}

func TestTheFileAndAScheduleStartRefreshes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		c, _ := h.shelf(2, 1)
		set := func(change func(*ingest.CollectionConfig)) string {
			t.Helper()
			change(&c.Config)
			warnings, err := h.Sync(system(), map[string]ingest.CollectionConfig{"docs": c.Config})
			must(t, err)
			return strings.Join(warnings, "\n")
		}
		w := set(func(c *ingest.CollectionConfig) {
			c.EmbeddingModel, c.Refresh.OnChange, c.Refresh.AutoSwitch = "second", ingest.OnChangeStart, true
		})
		if !strings.Contains(w, "is being built beside it") {
			t.Error(w)
		}
		h.reaches(ingest.GenerationLive)
		if w := set(func(*ingest.CollectionConfig) {}); w != "" || h.one("docs").Model != "second" {
			t.Errorf("%q %s", w, h.one("docs").Model)
		}
		// Going back does not begin it again.
		if _, err := h.RollbackGeneration(system(), "docs"); err != nil {
			t.Fatal(err)
		}
		if w := set(func(*ingest.CollectionConfig) {}); !strings.Contains(w, "serves as before") {
			t.Error(w)
		}
		if _, err := h.RollbackGeneration(system(), "docs"); err != nil {
			t.Fatal(err)
		}
		set(func(c *ingest.CollectionConfig) { c.Refresh.Schedule = "@daily" })
		must(t, h.KeepRefreshes(system()))
		before := h.count("SELECT COUNT(*) FROM generations")
		must(t, h.KeepRefreshes(system()))
		if n := h.count("SELECT COUNT(*) FROM generations"); n != before {
			t.Error("a schedule that was just set begins at once")
		}
		if n, err := d.Exec(context.Background(), "UPDATE schedules SET last_at = ? WHERE name LIKE 'refresh:%'", db.Micros(time.Now().Add(-49*time.Hour))); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		must(t, h.KeepRefreshes(system()))
		g := h.reaches(ingest.GenerationLive)
		if g.Reason != "schedule" || g.Model != "second" || h.count("SELECT COUNT(*) FROM generations") != before+1 {
			t.Errorf("%+v", g)
		}
		h.sound()
	})
}
