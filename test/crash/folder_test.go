package crash

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/ingest"
)

// scan compares the folder now, besides what the server does by itself.
func (s *installation) scan() {
	s.T.Helper()
	s.Call(http.MethodPost, "/api/collections/"+collection+"/sources/folder/scan", nil, nil)
}

// embeddedFolder is a watched folder whose embeddings the test's provider makes, and counts.
var embeddedFolder = strings.Replace(watchedFolder, "defaults:", "embedding_model: vectors\n    defaults:", 1)

func TestAFolderThatVanishesTakesNothingAlong(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, 1, 0)
	s := install(t, u.Models()+embeddedFolder)
	pages := make([]page, 8)
	for i := range pages {
		pages[i] = generate(i, 0)
		s.settled(pages[i].name, pages[i].text)
	}
	s.Start()
	s.Await("8 documents to be live", func() bool { return s.atRest(len(pages)) })
	if len(u.Embedded()) == 0 {
		t.Fatal("nothing was embedded")
	}
	away := func() {
		t.Helper()
		if err := os.Rename(s.Path("documents"), s.Path("elsewhere")); err != nil {
			t.Fatal(err)
		}
	}
	back := func() {
		t.Helper()
		if err := os.Rename(s.Path("elsewhere"), s.Path("documents")); err != nil {
			t.Fatal(err)
		}
		s.Await("the source to be well again", func() bool { return s.source().State == ingest.SourceOK })
	}
	stays := func() {
		t.Helper()
		s.scan()
		for range 2 { // and what the server does by itself
			time.Sleep(600 * time.Millisecond)
			if !s.atRest(len(pages)) {
				t.Fatalf("documents went: %+v", s.status().Status)
			}
		}
		s.holds(pages)
	}

	away()
	s.Await("the source to say so", func() bool {
		src := s.source()
		return src.State == ingest.SourceWarning && strings.Contains(src.Message, "nothing was removed")
	})
	stays()
	back()
	stays()

	away()
	if err := os.Mkdir(s.Path("documents"), 0o755); err != nil { // as a mount point whose disk is missing
		t.Fatal(err)
	}
	s.Await("the source to be held", func() bool { return s.source().State == ingest.SourceHeld })
	stays()
	s.Kill()
	s.Start()
	stays()
	if err := os.Remove(s.Path("documents")); err != nil {
		t.Fatal(err)
	}
	back()
	stays()
	if again := u.Embedded(); len(again) > 0 {
		t.Errorf("%d texts were embedded again: %.60q", len(again), again[0])
	}
	s.restAndCheck()
}

func TestAFileThatIsWrittenSlowlyIsNeverTakenInPart(t *testing.T) {
	t.Parallel()
	s := install(t, watchedFolder)
	s.Start()
	path := s.Path("documents", "slow.md")
	const parts = 12
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range parts {
		if _, err := fmt.Fprintf(f, "# Part %d\n\n%s stands in part %d of the paper.\n\n", i, word(i), i); err != nil {
			t.Fatal(err)
		}
		time.Sleep(250 * time.Millisecond)
		if i == parts/2 {
			s.scan()
		}
		if d := s.documents(); len(d) != 0 {
			t.Fatalf("it was taken after %d of %d parts", i+1, parts)
		}
	}
	s.Await("the whole file to be live", func() bool { return s.atRest(1) })
	whole := page{name: "slow.md", word: word(0)}
	s.holds([]page{whole})
	for i := range parts {
		if got := s.found(word(i)); !slices.Equal(got, []string{"slow.md"}) {
			t.Errorf("part %d is found in %q", i, got)
		}
	}
	if n := s.documents()["slow.md"].Newest.Number; n != 1 {
		t.Errorf("it came in %d versions", n)
	}
	s.restAndCheck()
}

// bomb is a DOCX whose text is a gigabyte of one letter.
func bomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create("word/document.xml")
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("a"), 1<<20)
	for range 1024 {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBadFilesBecomeDeadLettersAndHarmNoOthers(t *testing.T) {
	t.Parallel()
	s := install(t, watchedFolder)
	good := make([]page, 9)
	for i := range good {
		good[i] = generate(i, 0)
		s.settled(good[i].name, good[i].text)
	}
	sound := pdf("The whole text of a paper.", "It says nothing else.")
	garbage := make([]byte, 20_000)
	for i := range garbage {
		garbage[i] = byte(i * i * 31 >> 3)
	}
	bad := map[string]struct {
		text []byte
		code string
	}{
		"empty.md":      {nil, "empty"},
		"empty.pdf":     {nil, "empty"},
		"blank.txt":     {[]byte(" \n\t\n "), "empty"},
		"garbage.pdf":   {garbage, "damaged"},
		"garbage.docx":  {garbage, "damaged"},
		"garbage.bin":   {garbage, "unsupported_type"},
		"truncated.pdf": {sound[:len(sound)/3], "damaged"},
		"locked.pdf":    {pdfWith("/ID [(0123456789abcdef) (0123456789abcdef)] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (abcdefghijklmnopqrstuvwxyz012345) /U (abcdefghijklmnopqrstuvwxyz012345) >>", "secret"), "encrypted"},
		"bomb.docx":     {bomb(t), "zip_bomb"},
		"broken.json":   {[]byte(`{"a": [1, 2`), "damaged"},
	}
	for name, f := range bad {
		s.settled(name, f.text)
	}
	// A wrong extension: the content decides.
	disguised := page{name: "really-a-page.txt", word: word(5000), text: docx("A paper in disguise.", "Its word is "+word(5000)+".")}
	good = append(good, disguised)
	s.settled(disguised.name, disguised.text)

	s.Start()
	s.Await("all files to have ended", func() bool {
		v := s.status().Status.Versions
		return v[ingest.Live]+v[ingest.Dead] == len(good)+len(bad)
	})
	codes := map[string]string{}
	for _, d := range s.deadLetters() {
		codes[d.SourceKey] = d.Run.ErrorCode
		if d.Run.Error == "" {
			t.Errorf("%s: no reason in words", d.SourceKey)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		if codes[name] != bad[name].code {
			t.Errorf("%s is dead of %q, not of %q", name, codes[name], bad[name].code)
		}
		delete(codes, name)
	}
	for name, code := range codes {
		t.Errorf("%s is dead too, of %s", name, code)
	}
	for _, p := range good {
		if got := s.found(p.word); !slices.Equal(got, []string{p.name}) {
			t.Errorf("%q is found in %q, not in %s alone", p.word, got, p.name)
		}
	}
	// Once the cause is gone, so is the dead letter.
	for name := range bad {
		if err := os.Remove(s.Path("documents", name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Await("what was removed to be gone", func() bool { return s.atRest(len(good)) || s.source().State == ingest.SourceHeld })
	if src := s.source(); src.State == ingest.SourceHeld {
		t.Fatalf("held: %s", src.Message)
	}
	s.holds(good)
	s.restAndCheck()
}
