package crash

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/ingest"
	"airfield/test/damage"
)

// TestDamagedFilesHarmNobody has the whole server ingest damaged PDFs, DOCX files and zip archives beside sound files: it neither
// ends nor hangs, each damaged one is live, or live in part and said to be, or dead with a reason, and the sound ones are
// found all the while. With AIRFIELD_LONG it is 200 of them.
func TestDamagedFilesHarmNobody(t *testing.T) {
	files := 48
	if os.Getenv("AIRFIELD_LONG") != "" {
		files = 200
	}
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 7))
	s := install(t, watchedFolder)
	var sound []page
	for i := range 20 {
		sound = append(sound, generate(i, 0))
	}
	write := func(pages []page) {
		for _, p := range pages {
			s.settled(p.name, p.text)
		}
	}
	write(sound[:10])
	s.Start()
	s.Await("the first sound files to be live", func() bool { return s.atRest(10) })
	first := s.Local

	var pages [][]string
	var paragraphs []string
	for n := range 12 {
		pages = append(pages, []string{fmt.Sprintf("Page %d of the tariff", n+1), "Goods are handed over at the gate in good order.", "What is stored longer than a week is charged by the day."})
		paragraphs = append(paragraphs, strings.Repeat(fmt.Sprintf("Rule %d of the port says what is charged for storage. ", n), 4))
	}
	kinds := []struct {
		suffix string
		whole  []byte
	}{{"pdf", pdfPages("", pages...)}, {"docx", docx(paragraphs...)}, {"zip", zipped(paragraphs)}}
	broken := map[string]bool{}
	for i := range files {
		kind := kinds[i%len(kinds)]
		name := fmt.Sprintf("broken/tariff-%03d.%s", i, kind.suffix)
		broken[name] = true
		s.settled(name, damage.File(random, kind.whole))
	}
	write(sound[10:])

	began := time.Now()
	var most int64
	var documents map[string]ingest.Document
	s.AwaitFor(5*time.Minute, 100*time.Millisecond, "every file to be live or dead", func() bool {
		now, _ := s.ChildrenRSS()
		most = max(most, now)
		p := sound[random.IntN(10)] // which has nothing to do with it
		if got := s.found(p.word); !slices.Equal(got, []string{p.name}) {
			t.Fatalf("meanwhile %q is found in %q, not in %s alone", p.word, got, p.name)
		}
		documents = s.documents()
		for _, d := range documents {
			if d.Newest.State != ingest.Live && d.Newest.State != ingest.Dead {
				return false
			}
		}
		return len(documents) == files+len(sound)
	})
	took := time.Since(began)
	if s.Local != first {
		t.Error("the server was started again")
	}
	reasons := map[string]string{}
	for _, l := range s.deadLetters() {
		reasons[l.SourceKey] = l.Run.ErrorCode
		if l.Run.ErrorCode == "" || l.Run.ErrorCode == "internal" || l.Run.Error == "" || strings.Contains(l.Run.Error, "only damaged files do") {
			t.Errorf("%s is dead for %q: %s", l.SourceKey, l.Run.ErrorCode, l.Run.Error)
		}
	}
	ends := map[string]int{}
	for name, d := range documents {
		switch {
		case !broken[name] && (d.Newest.State != ingest.Live || d.Newest.Partial):
			t.Errorf("the sound %s is %s, partial %t: %s", name, d.Newest.State, d.Newest.Partial, reasons[name])
		case !broken[name]:
		case d.Newest.State == ingest.Dead && reasons[name] == "":
			t.Errorf("%s is dead and is no dead letter", name)
		case d.Newest.State == ingest.Dead:
			ends[reasons[name]]++
		case d.Newest.Partial && len(d.Newest.Warnings) == 0:
			t.Errorf("%s is partial and does not say why", name)
		case d.Newest.Partial:
			ends["partial"]++
		default:
			ends["live"]++
		}
	}
	for _, p := range sound {
		if got := s.found(p.word); !slices.Equal(got, []string{p.name}) {
			t.Errorf("%q is found in %q, not in %s alone", p.word, got, p.name)
		}
	}
	_, peak := s.RSS()
	t.Logf("%d damaged files beside %d sound ones in %s: %v; the server had at most %d MB, its extracting processes together %d MB", files, len(sound), took.Round(time.Millisecond), ends, peak>>20, most>>20)
	if ends["live"] == 0 || ends["damaged"] == 0 {
		t.Errorf("the sample has not every end: %v", ends)
	}
	if bound := int64(600 << 20); peak > bound || most > 2<<30 { // two processes of at most a gigabyte each
		t.Errorf("the server had %d bytes, its processes %d", peak, most)
	}
	s.auditIsWhole()
	s.Stop()
}

// zipped is an archive of text files, which is nothing that Airfield reads.
func zipped(texts []string) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i, text := range texts {
		w, err := z.Create(fmt.Sprintf("rules/%d.txt", i))
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			panic(err) // memory does not refuse
		}
	}
	z.Close()
	return out.Bytes()
}
