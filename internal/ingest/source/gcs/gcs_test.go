package gcs

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"airfield/internal/gcs/gcstest"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

func TestAListingHasManyPagesAndAnObjectIsReadAsItWasListed(t *testing.T) {
	p := gcstest.New(t, false)
	p.Prefix = "in/"
	client := gcstest.Client(t, p)
	put := func(key, text string) {
		t.Helper()
		if err := client.Put(t.Context(), p.Prefix+key, strings.NewReader(text), int64(len(text)), "text/plain"); err != nil {
			t.Fatal(err)
		}
	}
	const n = 1010 // more than a page
	for i := range n {
		put(fmt.Sprintf("note-%04d.md", i), "text")
	}
	put("note-0000.md"+ingest.SidecarSuffix, "tier: public")
	put("left.out", "x")
	put("folder/", "")
	s, err := New(ingest.SourceConfig{GCS: p.String(), Include: []string{"*.md"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.List(t.Context())
	if err != nil || len(l.Entries) != n || len(l.Missed) != 0 {
		t.Fatalf("%d entries, %q: %v", len(l.Entries), l.Missed, err)
	}
	e := l.Entries["note-0000.md"]
	if raw, err := s.Sidecar(t.Context(), e); err != nil || string(raw) != "tier: public" {
		t.Fatalf("%q %v", raw, err)
	}
	r, _, err := s.Open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "text" {
		t.Fatalf("%q %v", text, err)
	}
	again, err := s.List(t.Context())
	if err != nil || again.Entries["note-0000.md"] != e {
		t.Fatalf("%+v, was %+v: %v", again.Entries["note-0000.md"], e, err)
	}
	put("note-0000.md", "texT")
	if _, _, err := s.Open(t.Context(), e); err != source.ErrChanging {
		t.Fatalf("what was overwritten was read: %v", err)
	}
	if _, _, err := s.Open(t.Context(), source.Entry{Key: "never.md", Fingerprint: e.Fingerprint}); err != source.ErrChanging {
		t.Fatalf("what is not there was read: %v", err)
	}
}
