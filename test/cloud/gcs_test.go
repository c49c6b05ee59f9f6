package cloud

import (
	"fmt"
	"strings"
	"testing"

	"airfield/internal/gcs"
	"airfield/internal/gcs/gcstest"
)

// pile is a place in Google Cloud Storage as those see it who fill it.
type pile struct {
	t      *testing.T
	place  gcs.Place
	client *gcs.Client
}

func newPile(t *testing.T, prefix string) pile {
	p := gcstest.New(t, true) // that keeps versions of its own
	p.Prefix = prefix
	return pile{t, p, gcstest.Client(t, p)}
}

func (p pile) put(key, text string) {
	p.t.Helper()
	if err := p.client.Put(p.t.Context(), p.place.Prefix+key, strings.NewReader(text), int64(len(text)), "text/markdown"); err != nil {
		p.t.Fatal(err)
	}
}

// held lists all that the bucket has, old versions among it, or what is current alone.
func (p pile) held(all bool) (objects []gcs.Object) {
	p.t.Helper()
	page, err := p.client.List(p.t.Context(), "", "", "", 1000, all)
	if err != nil {
		p.t.Fatal(err)
	}
	return page.Objects
}

func (p pile) remove(key string) {
	p.t.Helper()
	for _, o := range p.held(true) {
		if o.Name == p.place.Prefix+key {
			if err := p.client.Delete(p.t.Context(), o.Name, o.Generation); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

func TestDocumentsComeFromGoogleCloudStorageAndAreKeptThere(t *testing.T) {
	from, kept := newPile(t, "shared/lake/"), newPile(t, "airfield/test/")
	from.put("harbour.md", "# Harbour\n\nThe quayside crane lifts forty tonnes.\n")
	from.put("a b+c&d=é/rail%20.md", "# Rail\n\nTrains leave the shunting yard at dawn.\n")
	from.put("drafts/secret.md", "# Draft\n\nNobody reads the unfinished.\n")
	s := install(t, fmt.Sprintf(`
collections:
  papers:
    sources: {lake: {gcs: '%s', interval: 1s, exclude: ["drafts/"], defaults: {type: paper}}}
bucket: {url: '%s'}
`, from.place, kept.place))
	s.Start()
	const odd = "a b+c&d=é/rail%20.md"
	s.awaitLive("harbour.md", odd)
	if n := len(kept.held(false)); n < 2 {
		t.Fatalf("the bucket holds %d objects", n)
	}
	s.Kill()
	from.put("harbour.md", "# Harbour\n\nThe gantry moves sixty tonnes.\n")
	s.Start()
	s.Await("what was overwritten meanwhile to be found", func() bool { return s.finds("gantry") })
	if s.finds("quayside") {
		t.Error("the old text is found")
	}
	if said, code := s.run("check"); code != 0 || !strings.Contains(said, kept.place.Bucket) || !strings.Contains(said, from.place.Bucket) {
		t.Fatalf("%d %s", code, said)
	}
	if said, code := s.run("backup", "-o", s.Path("copy.tar")); code != 0 {
		t.Fatal(said)
	}
	from.remove(odd)
	s.awaitLive("harbour.md")
	if s.finds("shunting") {
		t.Error("what was removed is found")
	}
	from.remove("harbour.md")
	s.Await("the bucket to hold nothing, its own old versions among it", func() bool { return len(kept.held(true)) == 0 })
	if s.finds("gantry") {
		t.Error("a deleted document is found")
	}
}
