package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/ingest"
	"airfield/internal/ingest/extract"
)

// catalogue is a collection of parts, whose rows and objects are records.
func catalogue(c *ingest.CollectionConfig) {
	c.Records = &extract.Records{
		Schema: map[string]any{"type": "object", "required": []any{"sku"}, "properties": map[string]any{"sku": map[string]any{"type": "string"}, "price": map[string]any{"type": "number"}}},
		Title:  "name", Key: []string{"sku"}, Template: "**{{name}}** ({{sku}}) costs {{price}}.",
		Metadata: map[string]string{"tier": "visibility", "type": "kind", "date": "made", "country": "/maker/country"},
	}
}

func table(rows int, edited int) string {
	var b strings.Builder
	b.WriteString("sku,name,price,visibility,kind\n")
	for i := range rows {
		price := i
		if i == edited {
			price = 77_777
		}
		fmt.Fprintf(&b, "A-%d,Part %d,%d,internal,part\n", i, i, price)
	}
	return b.String()
}

func TestRecordsBecomeChunksAndTheirMetadataTheDocuments(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("parts", catalogue)
		h.start()
		r := h.upload("parts", "7.json", `{"sku":"A-7","name":"Pump","price":12.50,"visibility":"confidential","kind":"machine","made":"2026-03-01T23:00:00Z","maker":{"country":"DK"}}`, ingest.Metadata{})
		if v := h.settled(r.VersionID, ingest.Live); v.MediaType != "application/json" || v.Partial {
			t.Errorf("%+v", v)
		}
		doc, err := h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if doc.Title != "Pump" || doc.Tier != caller.Confidential || doc.Type != "machine" || doc.Date != "2026-03-01" || doc.Metadata["country"] != "DK" {
			t.Errorf("%+v", doc)
		}
		chunks, err := h.ListChunks(system(), r.DocumentID, 0)
		must(t, err)
		if len(chunks) != 1 || chunks[0].Text != "**Pump** (A-7) costs 12.50." {
			t.Errorf("%+v", chunks)
		}
		// What an upload says goes before what its record says.
		r = h.upload("parts", "8.json", `{"sku":"A-8","name":"Fan","visibility":"public"}`, ingest.Metadata{Tier: caller.Restricted, Type: "said"})
		h.settled(r.VersionID, ingest.Live)
		if doc, err = h.GetDocument(system(), r.DocumentID); err != nil || doc.Tier != caller.Restricted || doc.Type != "said" {
			t.Errorf("%v %+v", err, doc)
		}
		h.sound()
	})
}

func TestAnEditedRowIsEmbeddedAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("parts", catalogue)
		h.start()
		r := h.upload("parts", "parts.csv", table(1000, -1), ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live)
		if n := h.embedder.texts.Load(); n != 1000 {
			t.Fatalf("%d texts embedded", n)
		}
		r = h.upload("parts", "parts.csv", table(1000, 500), ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live)
		if n := h.embedder.texts.Load(); n != 1001 {
			t.Errorf("an edited row embedded %d texts", n-1000)
		}
		doc, err := h.GetDocument(system(), r.DocumentID)
		must(t, err)
		if doc.Newest.Chunks != 1000 || doc.Type != "part" || doc.Tier != caller.Internal {
			t.Errorf("%+v %+v", doc, doc.Newest)
		}
		h.sound()
	})
}

func TestAWrongRecordIsADeadLetterThatPointsAtItsField(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("parts", catalogue)
		h.start()
		for name, c := range map[string]struct{ text, code, want string }{
			"a.json": {`{"sku":7,"visibility":"public"}`, extract.CodeRecord, "record 1 ($) at /sku (number): must be string"},
			"b.json": {`{"sku":"A-1","name":"x","visibility":"secret"}`, extract.CodeRecord, "/visibility (string): must be public, internal, confidential or restricted"},
			"c.json": {`{"sku":"A-1","name":"x"}`, extract.CodeRecord, "/visibility: must be public"},
			"d.json": {`{"sku":"A-1","name":"x","visibility":"public","made":"soon","maker":{"country":"` + strings.Repeat("x", 5000) + `"}}`, ingest.CodeMetadata, "/maker/country (string): the metadata field country has 5000 bytes"},
			"e.csv":  {"sku,name,price,visibility\nA-1,x,3,public\nA-2,y,dear,public\n,z,1,public\n", extract.CodeRecord, "2 of 3 records of \"e.csv\" are not as they must be: record 2 (line 3) at /price (string): must be number; record 3 (line 4) at /sku: is missing"},
		} {
			r := h.upload("parts", name, c.text, ingest.Metadata{})
			v := h.settled(r.VersionID, ingest.Dead)
			if v.Run.ErrorCode != c.code || !strings.Contains(v.Run.Error, c.want) {
				t.Errorf("%s: %s: %s", name, v.Run.ErrorCode, v.Run.Error)
			}
			if doc, err := h.GetDocument(system(), r.DocumentID); err != nil || doc.Tier != caller.Restricted {
				t.Errorf("%s: %v: a document that nobody could read is %s", name, err, doc.Tier)
			}
		}
		// With skip the rest is there, and the document says what is not.
		h.collection("parts", catalogue, func(c *ingest.CollectionConfig) { c.Records.OnInvalid = extract.InvalidSkip })
		r := h.upload("parts", "f.csv", "sku,name,price,visibility\nA-1,x,3,public\nA-2,y,dear,public\n", ingest.Metadata{})
		v := h.settled(r.VersionID, ingest.Live)
		if !v.Partial || !strings.Contains(strings.Join(v.Warnings, " "), "1 of 2 records were left out: record 2 (line 3) at /price (string): must be number") {
			t.Errorf("%+v", v)
		}
		// A wrong version leaves the one that is live.
		r = h.upload("parts", "f.csv", "sku,name,price,visibility\nA-2,y,dear,public\n", ingest.Metadata{})
		h.settled(r.VersionID, ingest.Dead)
		if doc, err := h.GetDocument(system(), r.DocumentID); err != nil || doc.LiveVersion != v.ID {
			t.Errorf("%v %+v", err, doc)
		}
		h.sound()
	})
}

func TestMetadataThatIsWrongIsToldWithEveryPointer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs", func(c *ingest.CollectionConfig) {
			c.MetadataSchema = map[string]any{"required": []any{"type", "a/b"}, "properties": map[string]any{"floor": map[string]any{"type": "integer"}}}
		})
		h.start()
		r := h.upload("docs", "a.md", "Text.", ingest.Metadata{Fields: map[string]any{"floor": "two"}})
		v := h.settled(r.VersionID, ingest.Dead)
		if want := "at /a~1b: is missing; /floor (string): must be integer; /type: is missing"; v.Run.ErrorCode != ingest.CodeMetadata || !strings.Contains(v.Run.Error, want) {
			t.Errorf("%s: %s", v.Run.ErrorCode, v.Run.Error)
		}
	})
}

func TestTheFormatIsTheTypeWhereNobodySaysOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		h.collection("docs")
		h.start()
		const mail = "From: a@example.org\r\nTo: b@example.org\r\nSubject: The quay\r\nDate: Mon, 02 Mar 2026 10:00:00 +0000\r\n\r\nThe quay is closed on Monday.\r\n"
		for name, c := range map[string]struct {
			text, said, want string
		}{"a.eml": {mail, "", "email"}, "b.eml": {mail + "So is the gate.", "letter", "letter"}, "c.md": {"# Text", "", ""}} {
			r := h.upload("docs", name, c.text, ingest.Metadata{Type: c.said})
			h.settled(r.VersionID, ingest.Live)
			if doc, err := h.GetDocument(system(), r.DocumentID); err != nil || doc.Type != c.want {
				t.Errorf("%s is %q, not %q: %v", name, doc.Type, c.want, err)
			}
		}
		h.collection("docs", func(c *ingest.CollectionConfig) {
			c.MetadataSchema = map[string]any{"properties": map[string]any{"type": map[string]any{"enum": []any{"letter"}}}}
		})
		r := h.upload("docs", "d.eml", mail+"And the yard.", ingest.Metadata{})
		h.settled(r.VersionID, ingest.Live) // a guess must not break a rule
		if doc, err := h.GetDocument(system(), r.DocumentID); err != nil || doc.Type != "" {
			t.Errorf("%q: %v", doc.Type, err)
		}
	})
}
