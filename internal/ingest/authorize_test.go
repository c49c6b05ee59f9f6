package ingest_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestAnEarlierVersionKeepsItsTier(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		h.collection("shared")
		first := h.upload("shared", "plan.md", "# Plan\n\nThe merger is called Tangerine.\n", ingest.Metadata{Tier: caller.Restricted})
		h.settled(first.VersionID, ingest.Live)
		second := h.upload("shared", "plan.md", "# Plan\n\nNothing to see here.\n", ingest.Metadata{Tier: caller.Public})
		h.settled(second.VersionID, ingest.Live)
		low, cleared := workflow("low", caller.Public, "shared"), workflow("cleared", caller.Restricted, "shared")

		if r, _, err := h.Content(low, first.DocumentID, 1); !fault.Is(err, fault.NotFound) {
			text, _ := io.ReadAll(r)
			t.Errorf("an uncleared reader got %q, %v", text, err)
		}
		if list, err := h.ListVersions(low, first.DocumentID); err != nil || len(list) != 1 || list[0].Number != 2 {
			t.Error(list, err)
		}
		if list, err := h.Versions(low, []string{first.VersionID}); !fault.Is(err, fault.NotFound) {
			t.Error(list, err)
		}
		for number := range 3 { // the live one, and each by its number
			r, _, err := h.Content(cleared, first.DocumentID, number)
			must(t, err)
			must(t, r.Close())
		}
		if r, _, err := h.Content(low, first.DocumentID, 2); err != nil {
			t.Error(err)
		} else {
			must(t, r.Close())
		}
		if list, err := h.ListVersions(cleared, first.DocumentID); err != nil || len(list) != 2 {
			t.Error(list, err)
		}
	})
}

func TestAVersionOnItsWayIsClosedUntilItWasRead(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	h := open(t, d, t.TempDir(), quick())
	h.start()
	h.collection("shared", func(c *ingest.CollectionConfig) { c.Defaults.Tier = caller.Public })
	first := h.upload("shared", "plan.md", "# Plan\n\nNothing to see here.\n", ingest.Metadata{})
	h.settled(first.VersionID, ingest.Live)
	h.stop() // nobody reads what comes now
	second := h.upload("shared", "plan.md", "---\ntier: restricted\n---\n\nThe merger is called Tangerine.\n", ingest.Metadata{})
	low := workflow("low", caller.Public, "shared")
	if r, _, err := h.Content(low, first.DocumentID, 2); !fault.Is(err, fault.NotFound) {
		text, _ := io.ReadAll(r)
		t.Errorf("an uncleared reader got %q, %v", text, err)
	}
	if list, err := h.ListVersions(low, first.DocumentID); err != nil || len(list) != 1 || list[0].ID == second.VersionID {
		t.Error(list, err)
	}
}

func TestWhatIsHiddenIsNeitherCountedNorNamed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		shared := h.collection("shared", func(c *ingest.CollectionConfig) {
			c.Sources = map[string]ingest.SourceConfig{"folder": {Folder: "/srv/papers"}}
		})
		for name, tier := range map[string]caller.Tier{"open.md": caller.Public, "secret.md": caller.Restricted} {
			h.settled(h.upload("shared", name, prose(name, 1), ingest.Metadata{Tier: tier}).VersionID, ingest.Live)
		}
		low, cleared, stranger := workflow("low", caller.Public, "shared"), workflow("cleared", caller.Restricted, "shared"), workflow("stranger", caller.Restricted)

		all, err := h.Status(cleared, "shared")
		must(t, err)
		some, err := h.Status(low, "shared")
		must(t, err)
		if all.Documents != 2 || all.Live != 2 || all.Versions[ingest.Live] != 2 {
			t.Errorf("a cleared reader: %+v", all)
		}
		if some.Documents != 1 || some.Live != 1 || some.Versions[ingest.Live] != 1 || some.Chunks >= all.Chunks || some.Bytes >= all.Bytes || some.Chunks == 0 {
			t.Errorf("an uncleared reader: %+v of %+v", some, all)
		}
		if len(all.Sources) != 0 {
			t.Errorf("a workflow is told of the folders of this machine: %+v", all.Sources)
		}
		if who, err := h.Status(system(), "shared"); err != nil || len(who.Sources) != 1 {
			t.Error(who.Sources, err)
		}

		_, hidden := h.Why(low, "secret.md")
		_, absent := h.Why(low, "absent.md")
		if !fault.Is(hidden, fault.NotFound) || strings.ReplaceAll(hidden.Error(), "secret.md", "absent.md") != absent.Error() {
			t.Errorf("a hidden document is told from one that is not there: %q, %q", hidden, absent)
		}
		if why, err := h.Why(cleared, "secret.md"); err != nil || why.Document.SourceKey != "secret.md" {
			t.Error(why, err)
		}

		for what, err := range map[string]error{
			"read":   func() error { _, err := h.GetCollection(stranger, shared.ID); return err }(),
			"delete": h.DeleteCollection(stranger, shared.ID),
			"upload": func() error {
				_, err := h.Upload(stranger, shared.ID, ingest.Upload{Name: "x", Reader: strings.NewReader("x")})
				return err
			}(),
		} {
			if !fault.Is(err, fault.NotFound) || strings.Contains(err.Error(), "shared") {
				t.Errorf("%s: who knows only the id is told the name: %v", what, err)
			}
		}
	})
}

func TestAListTellsTheOwnersKeyNothingAboveItsClearance(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		low, high, operator := workflow("team", caller.Internal), workflow("team", caller.Restricted), caller.With(t.Context(), &caller.Caller{Role: caller.Operator})
		c, err := h.CreateCollection(low, ingest.NewCollection{})
		must(t, err)
		for name, tier := range map[string]caller.Tier{"open.md": caller.Public, "secret.md": caller.Restricted, "broken-open.pdf": caller.Public, "broken-secret.pdf": caller.Restricted} {
			state, text := ingest.Live, prose(name, 1)
			if strings.HasSuffix(name, ".pdf") {
				state, text = ingest.Dead, "%PDF-1.7 no more"
			}
			r, err := h.Upload(system(), c.ID, ingest.Upload{Name: name, Reader: strings.NewReader(text), Metadata: ingest.Metadata{Tier: tier}})
			must(t, err)
			h.settled(r.VersionID, state)
		}
		for who, want := range map[context.Context]int{low: 1, high: 2, operator: 2} {
			docs, err := h.ListDocuments(who, c.ID, ingest.DocumentFilter{State: ingest.Live})
			must(t, err)
			dead, err := h.ListDeadLetters(who, ingest.DeadLetterFilter{})
			must(t, err)
			here, err := h.ListDeadLetters(who, ingest.DeadLetterFilter{Collection: c.ID})
			must(t, err)
			if len(docs) != want || len(dead) != want || len(here) != want {
				t.Errorf("%d documents and %d, %d dead letters are listed, not %d each: %+v", len(docs), len(dead), len(here), want, docs)
			}
		}
	})
}

func TestAFileIsForThoseClearedAsFarAsItsUploader(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		high, low := workflow("team", caller.Confidential), workflow("team", caller.Public)
		secret, err := h.CreateFile(high, ingest.NewFile{Name: "plan.txt", Reader: strings.NewReader("Tangerine")})
		must(t, err)
		open, err := h.CreateFile(low, ingest.NewFile{Name: "leaflet.txt", Purpose: "assistants", Reader: strings.NewReader("leaflet")})
		must(t, err)
		secret, err = h.SetPurpose(high, secret.ID, "assistants")
		must(t, err)

		if r, _, err := h.FileContent(low, secret.ID); !fault.Is(err, fault.NotFound) {
			text, _ := io.ReadAll(r)
			t.Errorf("a key of less clearance got %q, %v", text, err)
		}
		c, err := h.CreateCollection(low, ingest.NewCollection{})
		must(t, err)
		for what, err := range map[string]error{
			"named":    func() error { _, err := h.SetPurpose(low, secret.ID, "x"); return err }(),
			"attached": func() error { _, err := h.AttachFile(low, c.ID, secret.ID, nil); return err }(),
			"deleted":  h.DeleteFile(low, secret.ID),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s by a key of less clearance: %v", what, err)
			}
		}
		for who, want := range map[int][]string{0: {open.ID}, 1: {secret.ID, open.ID}} {
			list, err := h.ListFiles([]context.Context{low, high}[who], ingest.FileFilter{Purpose: "assistants"})
			must(t, err)
			if len(list) != len(want) || list[0].ID != want[0] {
				t.Errorf("%d: %+v", who, list)
			}
		}
		if _, err := h.SetPurpose(high, secret.ID, strings.Repeat("x", 65)); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}

func TestSilenceOpensNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.start()
		h.collection("shared") // by default internal
		tier := func(r ingest.Receipt, want caller.Tier) {
			t.Helper()
			h.settled(r.VersionID, ingest.Live)
			if doc, err := h.GetDocument(system(), r.DocumentID); err != nil || doc.Tier != want {
				t.Errorf("it is %s, not %s: %v", doc.Tier, want, err)
			}
		}
		tier(h.upload("shared", "plan.md", "first", ingest.Metadata{Tier: caller.Restricted}), caller.Restricted)
		tier(h.upload("shared", "plan.md", "first", ingest.Metadata{Type: "plan"}), caller.Restricted)
		r := h.upload("shared", "plan.md", "second", ingest.Metadata{})
		tier(r, caller.Restricted)
		_, err := h.UpdateMetadata(system(), r.DocumentID, ingest.Metadata{Type: "memo"})
		must(t, err)
		tier(r, caller.Restricted)

		// A sidecar that could not be read, and then is taken away, opens nothing either.
		_, err = h.Upload(system(), "shared", ingest.Upload{Name: "plan.md", Reader: strings.NewReader("second"), Problem: "line 1"})
		must(t, err)
		tier(h.upload("shared", "plan.md", "third", ingest.Metadata{Type: "plan"}), caller.Restricted)

		tier(h.upload("shared", "plan.md", "third", ingest.Metadata{Tier: caller.Internal}), caller.Internal)
		tier(h.upload("shared", "plan.md", "fourth", ingest.Metadata{Tier: caller.Public}), caller.Public)
		tier(h.upload("shared", "plan.md", "fifth", ingest.Metadata{Type: "plan"}), caller.Internal) // the default is closer
	})
}

func TestABatchIsForThoseWhoMayChangeItsCollection(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	h := open(t, d, t.TempDir(), quick())
	h.start()
	owner := workflow("team", caller.Confidential)
	c, err := h.CreateCollection(owner, ingest.NewCollection{})
	must(t, err)
	f, err := h.CreateFile(owner, ingest.NewFile{Name: "plan.txt", Reader: strings.NewReader("Tangerine")})
	must(t, err)
	b, err := h.CreateBatch(owner, c.ID, []ingest.BatchFile{{FileID: f.ID}})
	must(t, err)
	h.settled(b.Documents[0].Newest.ID, ingest.Live)
	reader := workflow("reader", caller.Public, c.Name)
	if got, err := h.GetBatch(reader, c.ID, b.ID); !fault.Is(err, fault.Denied) {
		t.Errorf("a reader is told that there are %d files: %v", got.Files, err)
	}
	if _, err := h.CancelBatch(reader, c.ID, b.ID); !fault.Is(err, fault.Denied) {
		t.Error("a reader cancels:", err)
	}
	if b, err = h.GetBatch(owner, c.ID, b.ID); err != nil || b.Cancelled {
		t.Error(b, err)
	}
}
