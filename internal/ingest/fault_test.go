package ingest_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestOneBadTextDoesNotFailItsBatch(t *testing.T) {
	for name, tell := range map[string]func(h *house){
		"the model refuses the batch that holds it": func(h *house) {
			h.embedder.fail = func(texts []string) error {
				if strings.Contains(strings.Join(texts, "\n"), "poison") {
					return fault.New(fault.Invalid, "input_invalid", "the input cannot be embedded")
				}
				return nil
			}
		},
		"the model gives no number for it": func(h *house) {
			h.embedder.spoil = func(text string, v []float32) []float32 {
				if strings.Contains(text, "poison") {
					v[3] = float32(math.NaN())
				}
				return v
			}
		},
		"the model gives another size for it": func(h *house) {
			h.embedder.spoil = func(text string, v []float32) []float32 {
				if strings.Contains(text, "poison") {
					v = v[:8]
				}
				return v
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				h := open(t, d, t.TempDir(), quick())
				h.collection("docs")
				tell(h)
				h.start()
				r := h.upload("docs", "a.md", prose("a", 5)+"\n## Poison\n\nThis passage is the poison.\n\n"+strings.ReplaceAll(prose("b", 2), "# The book", "## The book"), ingest.Metadata{})
				v := h.settled(r.VersionID, ingest.Dead)
				all, vectors := h.count("SELECT COUNT(*) FROM manifests"), h.count("SELECT COUNT(*) FROM vectors")
				bad := h.texts("SELECT id FROM chunks WHERE text LIKE '%is the poison%'")
				if len(bad) != 1 || !strings.Contains(v.Run.Error, bad[0]) {
					t.Errorf("the chunk %v is not named: %s", bad, v.Run.Error)
				}
				if n := h.count("SELECT COUNT(*) FROM vectors WHERE chunk_id = ?", bad[0]); n != 0 || vectors < 8 {
					t.Errorf("%d of %d passages have vectors, %d of the bad one", vectors, all, n)
				}
				// Mended and replayed: only what is missing is embedded.
				h.embedder.fail, h.embedder.spoil = nil, nil
				before := h.embedder.texts.Load()
				must(t, h.Replay(system(), v.Run.ID))
				h.settled(r.VersionID, ingest.Live)
				if n := h.embedder.texts.Load() - before; n != int64(all-vectors) {
					t.Errorf("%d embedded, %d were missing", n, all-vectors)
				}
				h.sound()
			})
		})
	}
}

func TestAnOutageIsWaitedForAndThenIsADeadLetter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		var down atomic.Int64
		down.Store(1)
		h.embedder.fail = func([]string) error {
			if down.Add(-1) >= 0 {
				return fault.New(fault.Unavailable, "model_away", "the model is away")
			}
			return nil
		}
		h.start()
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live)
		down.Store(1000)
		r = h.upload("docs", "b.md", prose("b", 1), ingest.Metadata{})
		calls := h.embedder.calls.Load()
		v := h.settled(r.VersionID, ingest.Dead)
		if v.Run.ErrorCode != "model_away" || v.Run.Attempts != 3 || h.embedder.calls.Load()-calls > 3 {
			t.Errorf("%+v after %d calls", v.Run, h.embedder.calls.Load()-calls)
		}
		h.sound()
	})
}

func TestAModelThatRefusesEverythingIsNotAskedForEveryPassage(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs")
	h.embedder.fail = func([]string) error { return fault.New(fault.Upstream, "upstream_500", "the provider failed") }
	h.start()
	r := h.upload("docs", "a.md", prose("a", 10), ingest.Metadata{})
	h.settled(r.VersionID, ingest.Dead)
	if n := h.embedder.calls.Load(); n > 3*8 {
		t.Errorf("%d calls for 3 tries of a batch of 8", n)
	}
}

func TestABadFileIsADeadLetterWithAReason(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		for name, code := range map[string]string{"empty.txt": "empty", "broken.docx": "damaged", "music.mp3": "unsupported_type"} {
			content := map[string]string{"empty.txt": "", "broken.docx": "PK\x03\x04 and nothing behind it", "music.mp3": "ID3\x03\x00\x00\x00\x00\x00\x21" + strings.Repeat("\xff\xfb\x90\x00", 400)}[name]
			r := h.upload("docs", name, content, ingest.Metadata{})
			v := h.settled(r.VersionID, ingest.Dead)
			if v.Run.ErrorCode != code || v.Run.Attempts != 1 || v.Run.Error == "" {
				t.Errorf("%s: %s after %d: %s", name, v.Run.ErrorCode, v.Run.Attempts, v.Run.Error)
			}
		}
		letters, err := h.ListDeadLetters(system(), ingest.DeadLetterFilter{Collection: "docs"})
		must(t, err)
		if len(letters) != 3 {
			t.Fatalf("%d dead letters", len(letters))
		}
		letters, err = h.ListDeadLetters(system(), ingest.DeadLetterFilter{Code: "empty"})
		must(t, err)
		if len(letters) != 1 || letters[0].SourceKey != "empty.txt" {
			t.Fatalf("%+v", letters)
		}
		one, err := h.GetDeadLetter(system(), letters[0].Run.ID)
		must(t, err)
		why, err := h.Why(system(), "empty.txt")
		must(t, err)
		if said := strings.Join(why.Lines, "\n"); !strings.Contains(said, one.Run.Error) || !strings.Contains(said, "airfield dlq replay "+one.Run.ID) {
			t.Error(said)
		}
		// Discarded, a document that never was live is gone.
		must(t, h.Discard(system(), one.Run.ID))
		if _, err := h.GetDocument(system(), one.DocumentID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if err := h.Discard(system(), one.Run.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		n, err := h.ReplayAll(system(), ingest.DeadLetterFilter{Collection: "docs"})
		must(t, err)
		if n != 2 {
			t.Errorf("%d replayed", n)
		}
		h.until("both are dead again", func() bool { return h.count("SELECT COUNT(*) FROM runs WHERE state = 'dead'") == 2 })
		h.sound()
	})
}

func TestADeadLetterOfALaterVersionIsDiscardedAlone(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs")
	h.start()
	first := h.upload("docs", "a.txt", "some text that can be read", ingest.Metadata{})
	h.settled(first.VersionID, ingest.Live)
	second := h.upload("docs", "a.txt", "", ingest.Metadata{})
	v := h.settled(second.VersionID, ingest.Dead)
	must(t, h.Discard(system(), v.Run.ID))
	h.settled(first.VersionID, ingest.Live)
	h.settled(second.VersionID, ingest.Deleted)
	h.sound()
}

func TestAFileTooLargeLeavesNothing(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs", func(c *ingest.CollectionConfig) { c.MaxFileBytes = 100 })
	_, err := h.Upload(system(), "docs", ingest.Upload{Name: "a.txt", Reader: strings.NewReader(strings.Repeat("x", 101))})
	if !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
	if objects, err := h.bucket.List(system(), "", "", 10); err != nil || len(objects) != 0 || h.count("SELECT COUNT(*) FROM documents") != 0 {
		t.Errorf("%d objects %v", len(objects), err)
	}
}

func TestAForgottenRunIsWokenAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		r := h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
		for _, query := range []string{"DELETE FROM river_job", "UPDATE runs SET due_at = due_at - 600000000"} {
			_, err := d.Exec(context.Background(), query)
			must(t, err)
		}
		must(t, h.Sweep(system()))
		must(t, h.Sweep(system()))
		if n := h.count("SELECT COUNT(*) FROM river_job WHERE kind = 'ingest.run'"); n != 1 {
			t.Errorf("%d jobs", n)
		}
		h.start()
		h.settled(r.VersionID, ingest.Live)
	})
}

func TestAStepThatIsCutShortByTheEndOfTheProcessCostsNoAttempt(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs")
	h.upload("docs", "a.md", prose("a", 1), ingest.Metadata{})
	ctx, cancel := context.WithCancel(caller.With(context.Background(), caller.From(system())))
	h.embedder.fail = func([]string) error { cancel(); return ctx.Err() }
	must(t, h.Work(ctx, h.texts("SELECT id FROM runs")[0]))
	if n := h.count("SELECT COUNT(*) FROM runs WHERE state = 'waiting' AND step = 'embed' AND attempts = 0 AND leased_by = ''"); n != 1 {
		t.Error("the run was not given back")
	}
	h.sound()
}

func TestAReplayGoesOnFromTheStepThatFailed(t *testing.T) {
	for name, sections := range map[string]int{"a small document": 1, "a large document, whose blocks were kept": 30} {
		t.Run(name, func(t *testing.T) {
			h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
			h.collection("docs", func(c *ingest.CollectionConfig) { c.MetadataSchema = map[string]any{"required": []any{"region"}} })
			h.start()
			r := h.upload("docs", "a.md", prose("a", sections), ingest.Metadata{})
			v := h.settled(r.VersionID, ingest.Dead)
			if objects, err := h.bucket.List(system(), "versions/", "", 10); err != nil || (len(objects) == 2) != (sections > 1) {
				t.Errorf("%d objects: %v", len(objects), err)
			}
			h.collection("docs")
			must(t, h.Replay(system(), v.Run.ID))
			h.settled(r.VersionID, ingest.Live)
			chunks, err := h.ListChunks(system(), r.DocumentID, 0)
			must(t, err)
			text := ""
			for _, c := range chunks {
				text += c.Text
			}
			if n := strings.Count(text, "Sentence "); n != sections*6*12 {
				t.Errorf("%d sentences", n)
			}
			h.sound()
		})
	}
}

func TestAFileWithAnImpossibleNameFailsAlone(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs")
	receipts, err := h.UploadAll(system(), "docs", []ingest.Upload{
		{SourceKey: strings.Repeat("long/", 300), Reader: strings.NewReader("a")},
		{SourceKey: "fine.txt", Reader: iotest.ErrReader(errors.New("the disk broke"))},
		{SourceKey: "good.txt", Reader: strings.NewReader("b")},
	})
	must(t, err)
	if !fault.Is(receipts[0].Err, fault.Invalid) || receipts[1].Err == nil || receipts[2].Err != nil || receipts[2].Change != ingest.Created {
		t.Errorf("%+v", receipts)
	}
	if n := h.count("SELECT COUNT(*) FROM documents"); n != 1 {
		t.Errorf("%d documents", n)
	}
}

func TestADocumentThatBreaksOurOwnCodeIsADeadLetter(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs")
	h.embedder.fail = func([]string) error { panic("a secret in the text") }
	h.start()
	v := h.settled(h.upload("docs", "a.txt", "text", ingest.Metadata{}).VersionID, ingest.Dead)
	if v.Run.ErrorCode != "internal" || strings.Contains(v.Run.Error, "secret") || !strings.Contains(v.Run.Error, v.Run.ID) {
		t.Errorf("%+v", v.Run)
	}
	h.sound()
}
