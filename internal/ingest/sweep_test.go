package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestTheSweepRemovesOldBytesAndOnlyThose(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs", func(c *ingest.CollectionConfig) { c.KeepVersions, c.ExpireVersionsAfter = 1, 24*time.Hour })
		h.start()
		var doc string
		for i := range 4 {
			r := h.upload("docs", "a.txt", fmt.Sprintf("text number %d", i), ingest.Metadata{})
			h.settled(r.VersionID, ingest.Live)
			doc = r.DocumentID
		}
		f, err := h.CreateFile(system(), ingest.NewFile{Name: "f.txt", Reader: strings.NewReader("kept")})
		must(t, err)
		for _, key := range []string{"versions/ver_00000000000000000000000000/original", "files/file_00000000000000000000000000"} {
			_, err := h.bucket.Put(system(), key, strings.NewReader("nobody's"), bucket.PutOptions{})
			must(t, err)
		}
		must(t, h.Sweep(system())) // what is young may still be on its way in
		if objects, err := h.bucket.List(system(), "", "", 100); err != nil || len(objects) != 7 {
			t.Errorf("%d objects: %v", len(objects), err)
		}
		must(t, h.SweepAt(system(), time.Now().Add(48*time.Hour)))
		if objects, err := h.bucket.List(system(), "", "", 100); err != nil || len(objects) != 3 {
			t.Errorf("%d objects: %v", len(objects), err)
		}
		for number, want := range map[int]fault.Kind{1: fault.NotFound, 2: fault.NotFound, 3: "", 4: ""} {
			body, _, err := h.Content(system(), doc, number)
			if fault.KindOf(err) != want {
				t.Errorf("version %d: %v", number, err)
			}
			if body != nil {
				body.Close()
			}
		}
		if body, _, err := h.FileContent(system(), f.ID); err != nil {
			t.Error(err)
		} else {
			body.Close()
		}
	})
}

func TestBytesThatADeadProcessLeftGoAfterTheStart(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	put := func(key string) {
		t.Helper()
		_, err := h.bucket.Put(system(), key, strings.NewReader("nobody's"), bucket.PutOptions{})
		must(t, err)
	}
	put("versions/ver_00000000000000000000000000/original")
	must(t, h.Recover(system()))
	put("versions/ver_00000000000000000000000001/original") // on its way in: its row comes next
	must(t, h.Sweep(system()))
	objects, err := h.bucket.List(system(), "", "", 100)
	must(t, err)
	if len(objects) != 1 || objects[0].Key != "versions/ver_00000000000000000000000001/original" {
		t.Errorf("%+v", objects)
	}
}

func TestSync(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		a := ingest.DefaultCollection()
		a.Sources = map[string]ingest.SourceConfig{"disk": {Folder: t.TempDir()}}
		sync := func(want map[string]ingest.CollectionConfig) string {
			t.Helper()
			warnings, err := h.Sync(system(), want)
			must(t, err)
			return strings.Join(warnings, "\n")
		}
		if w := sync(map[string]ingest.CollectionConfig{"a": a, "b": ingest.DefaultCollection()}); w != "" {
			t.Error(w)
		}
		before := h.one("a")
		if w := sync(map[string]ingest.CollectionConfig{"a": a, "b": ingest.DefaultCollection()}); w != "" || h.one("a").UpdatedAt != before.UpdatedAt {
			t.Errorf("nothing changed, but %q", w)
		}
		// The model of an empty collection can be changed; that of a full one stays.
		a.EmbeddingModel = "other-embed"
		if w := sync(map[string]ingest.CollectionConfig{"a": a, "b": ingest.DefaultCollection()}); w != "" || h.one("a").Model != "other-embed" {
			t.Errorf("%q %s", w, h.one("a").Model)
		}
		r := h.upload("a", "x.txt", "some text", ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live)
		a.EmbeddingModel = "third-embed"
		if w := sync(map[string]ingest.CollectionConfig{"a": a, "b": ingest.DefaultCollection()}); !strings.Contains(w, "serves as before; airfield refresh plan a says what the change costs") || h.one("a").Model != "other-embed" {
			t.Errorf("%q %s", w, h.one("a").Model)
		}
		// One that vanished is kept, marked and said; when it comes back the mark goes.
		if w := sync(map[string]ingest.CollectionConfig{"b": ingest.DefaultCollection()}); !strings.Contains(w, "a is no longer in airfield.yaml") || h.one("a").MissingSince.IsZero() {
			t.Errorf("%q", w)
		}
		if doc, err := h.GetDocument(system(), r.DocumentID); err != nil || doc.LiveVersion == "" {
			t.Error("its documents went along", err)
		}
		sync(map[string]ingest.CollectionConfig{"a": a})
		if !h.one("a").MissingSince.IsZero() {
			t.Error("still marked")
		}
		a.Sources = nil
		sync(map[string]ingest.CollectionConfig{"a": a})
		sources, err := h.ListSources(system(), "a")
		must(t, err)
		if len(sources) != 1 || sources[0].State != ingest.SourceWarning || sources[0].Config.Folder != "" {
			t.Errorf("%+v", sources)
		}
		a.Chunking.Tokens = 1
		if _, err := h.Sync(system(), map[string]ingest.CollectionConfig{"a": a}); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}

func TestWhyTellsOfARunThatWaits(t *testing.T) {
	h := open(t, dbtest.Open(t, dbtest.SQLite(t)), t.TempDir(), quick())
	h.collection("docs")
	h.upload("docs", "first.txt", "first", ingest.Metadata{})
	h.upload("docs", "second.txt", "second", ingest.Metadata{})
	why, err := h.Why(system(), "second.txt")
	must(t, err)
	if said := strings.Join(why.Lines, " "); why.Ahead != 1 || !strings.Contains(said, "waits for a worker to do the step extract; 1 run is before it") {
		t.Error(said, why.Ahead)
	}
}
