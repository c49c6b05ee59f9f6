package ingest_test

import (
	"encoding/json"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestALineageLeadsFromAPassageToItsSource(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		c := h.collection("docs", func(c *ingest.CollectionConfig) { c.Defaults.Tier = caller.Confidential })
		h.start()
		r := h.upload("docs", "a.md", prose("a", 2), ingest.Metadata{})
		v := h.settled(r.VersionID, ingest.Live)
		chunks, err := h.ListChunks(system(), r.DocumentID, 0)
		must(t, err)
		for _, of := range []string{chunks[0].ID, r.VersionID, r.DocumentID} {
			l, err := h.Lineage(system(), of)
			must(t, err)
			if l.Document.ID != r.DocumentID || l.Document.SourceKey != "a.md" || l.Document.Source != "upload" || l.Document.SourceKind != "upload" || l.Document.Collection != "docs" {
				t.Errorf("%s: %+v", of, l.Document)
			}
			if l.Version.ID != v.ID || l.Version.SHA256 != v.SHA256 || l.Version.BucketKey == "" || l.Version.Number != 1 {
				t.Errorf("%s: %+v", of, l.Version)
			}
			if l.Generation.ID != c.GenerationID || l.Generation.Model != c.Model || l.Generation.Dimensions != 16 {
				t.Errorf("%s: %+v", of, l.Generation)
			}
			if l.Run == nil || len(l.Run.Steps) != 5 {
				t.Fatalf("%s: %+v", of, l.Run)
			}
			detail := map[string]map[string]any{}
			for _, s := range l.Run.Steps {
				detail[s.Name] = s.Detail
			}
			if detail["extract"]["revision"] == nil || detail["chunk"]["revision"] == nil || detail["embed"]["model"] != c.Model || detail["embed"]["generation"] != c.GenerationID {
				t.Errorf("%s: %v", of, detail)
			}
			want, err := json.Marshal(c.Config.Chunking)
			must(t, err)
			var a, b any
			got, err := json.Marshal(detail["chunk"]["chunking"])
			must(t, err)
			must(t, json.Unmarshal(want, &a))
			must(t, json.Unmarshal(got, &b))
			x, _ := json.Marshal(a)
			if y, _ := json.Marshal(b); string(x) != string(y) {
				t.Errorf("cut by %s, configured %s", y, x)
			}
		}
		l, err := h.Lineage(system(), chunks[1].ID)
		if err != nil || l.Chunk.Ordinal != 1 || len(l.Chunk.Versions) != 1 {
			t.Errorf("%+v %v", l.Chunk, err)
		}
		for _, of := range []string{"chk_nothing", "doc_nothing", "ver_nothing", chunks[0].ID, r.VersionID, r.DocumentID} {
			who := workflow("w", caller.Internal) // below the tier
			if _, err := h.Lineage(who, of); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", of, err)
			}
		}
		if _, err := h.Lineage(system(), "a.md"); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		must(t, h.Delete(system(), r.DocumentID))
		if _, err := h.Lineage(system(), r.DocumentID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
