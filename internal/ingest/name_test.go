package ingest_test

import (
	"strings"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
)

func TestAStoreMayBeCalledAnythingAndTwoMayBeCalledAlike(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d, t.TempDir(), quick())
		w := workflow("support", caller.Internal)
		names := map[string]bool{}
		for _, c := range []struct{ title, prefix string }{
			{"Support FAQ", "support-faq"}, {"Support FAQ", "support-faq-"}, {"Größe & Maße", "gr-e-ma-e"}, {"知識庫", "col_"}, {"", "col_"}, {strings.Repeat("x", 300), "xxx"}, {"..", "col_"},
		} {
			made, err := h.CreateCollection(w, ingest.NewCollection{Title: c.title})
			must(t, err)
			if made.Title != c.title || !strings.HasPrefix(made.Name, c.prefix) || names[made.Name] || len(made.Name) > 63 {
				t.Errorf("%q became %q, called %q", c.title, made.Name, made.Title)
			}
			names[made.Name] = true
			if found, err := h.GetCollection(w, made.Name); err != nil || found.ID != made.ID || found.Title != c.title {
				t.Errorf("%q is not found by its name: %+v %v", made.Name, found, err)
			}
		}
		if _, err := h.CreateCollection(w, ingest.NewCollection{Title: strings.Repeat("x", 600)}); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		title := "Another"
		made, err := h.CreateCollection(w, ingest.NewCollection{Title: "One"})
		must(t, err)
		changed, err := h.UpdateCollection(w, made.ID, ingest.CollectionUpdate{Title: &title})
		must(t, err)
		if changed.Title != title || changed.Name != made.Name {
			t.Errorf("%+v", changed)
		}
	})
}
