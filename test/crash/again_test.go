package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/ingest"
	"airfield/test/binary"
)

// TestASecondSyncOfUnchangedFilesCostsNextToNothing holds 10,000 files to 2 s of CPU; without AIRFIELD_LONG it takes a
// tenth of both.
func TestASecondSyncOfUnchangedFilesCostsNextToNothing(t *testing.T) {
	files, bound := 1000, 200*time.Millisecond
	if os.Getenv("AIRFIELD_LONG") != "" {
		files, bound = 10*files, 10*bound
	}
	u := newUpstream(t, 1, 0)
	// Only the scans that the test asks for, and no sweep in the middle of one.
	s := install(t, "log: {level: warn}\n"+u.Models()+strings.NewReplacer("interval: 2s", "interval: 10h", "sweep_every: 1s", "sweep_every: 10h", "log: {level: info}\n", "").Replace(embeddedFolder))
	before := time.Now().Add(-time.Hour)
	for i := range files {
		name := filepath.Join("documents", fmt.Sprintf("%02d/note-%05d.txt", i%100, i))
		s.Write(name, fmt.Appendf(nil, "Note %d says that lot %s is ready.\n", i, word(i)))
		if err := os.Chtimes(s.Path(name), before, before); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	s.Start()
	s.AwaitFor(10*time.Minute, 500*time.Millisecond, "all files to be live", func() bool { return s.atRest(files) })
	first, cpu := time.Since(began), s.CPU()
	if n := len(u.Embedded()); n != files {
		t.Errorf("%d texts were embedded for %d files", n, files)
	}
	s.rest()

	// Again in the same process, and in a new one, which scans as it starts.
	began, used := time.Now(), s.CPU()
	s.scan()
	again, cost := time.Since(began), s.CPU()-used
	s.Stop()
	began = time.Now()
	s.Start()
	s.AwaitFor(binary.Patience, 50*time.Millisecond, "the scan of the start", func() bool { return s.source().ScannedAt.After(began) })
	s.rest()
	fresh := s.CPU()
	t.Logf("%d files: first sync %s (%s CPU); again %s (%s CPU); start and sync in a new process %s CPU", files, first.Round(time.Millisecond), cpu, again.Round(time.Millisecond), cost, fresh)
	if cost > bound {
		t.Errorf("a sync of %d unchanged files took %s of CPU, more than %s", files, cost, bound)
	}
	if most := bound + time.Second; fresh > most { // a second is for the start, with its index
		t.Errorf("a start with a sync of %d unchanged files took %s of CPU, more than %s", files, fresh, most)
	}
	if again := u.Embedded(); len(again) > 0 {
		t.Errorf("%d texts were embedded again", len(again))
	}
	if got := s.found(word(files / 2)); len(got) != 1 { // a search also brings the index up to now
		t.Errorf("the word of one file is found in %q", got)
	}
	if src := s.source(); src.State != ingest.SourceOK {
		t.Errorf("the source is %s: %s", src.State, src.Message)
	}
	s.Stop()
	s.isWhole()
}

// rest waits until the server has nothing left to do.
func (s *installation) rest() {
	s.T.Helper()
	last := s.CPU()
	s.AwaitFor(binary.Patience, 500*time.Millisecond, "the server to rest", func() bool {
		now := s.CPU()
		idle := now-last <= 20*time.Millisecond
		last = now
		return idle
	})
}

// treatise is a text of forty pages of two thousand and five hundred characters, in parts with headings.
func treatise() []string {
	nouns := strings.Fields("container crane customs quay ledger vessel cargo pilot tide warehouse broker manifest tariff lighter berth harbour")
	verbs := strings.Fields("waits arrives moves rests passes returns settles departs")
	var paragraphs []string
	for p, size := 0, 0; size < 40*2500; p++ {
		if p%9 == 0 {
			paragraphs = append(paragraphs, fmt.Sprintf("## Chapter %d of the %s", p/9+1, nouns[p%len(nouns)]))
		}
		var b strings.Builder
		for i := range 5 + p%4 {
			n := 7*p + 3*i
			fmt.Fprintf(&b, "The %s number %d %s near the %s when the %s of paragraph %d %s. ", nouns[n%16], n, verbs[n%8], nouns[(n+5)%16], nouns[(n+11)%16], p, verbs[(n+3)%8])
		}
		paragraphs = append(paragraphs, strings.TrimSpace(b.String()))
		size += b.Len()
	}
	return paragraphs
}

func TestASentenceMoreEmbedsAlmostNothingAgain(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]struct {
		name string
		join func([]string) []byte
	}{
		"markdown": {"treatise.md", func(p []string) []byte { return []byte(strings.Join(p, "\n\n")) }},
		"docx":     {"treatise.docx", func(p []string) []byte { return docx(p...) }},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, 1, 0)
			s := install(t, u.Models()+embeddedFolder)
			text := treatise()
			s.settled(file.name, file.join(text))
			s.Start()
			s.Await("the document to be live", func() bool { return s.atRest(1) })
			chunks := len(u.Embedded())
			if chunks < 60 {
				t.Fatalf("forty pages are %d chunks", chunks)
			}
			// The promise is two chunks or 3 %. Where a cut moves and pushes its chunk over the maximum in the same moment, a
			// third changes: seldom, as the tests of package chunk measure.
			most, above := max(2, chunks*3/100), 0
			var again []int
			for edition, at := range []int{1, len(text) / 4, len(text) / 2, len(text) - 2} {
				for strings.HasPrefix(text[at], "#") {
					at++
				}
				sentences := strings.SplitAfter(text[at], ". ")
				middle := len(sentences) / 2
				text[at] = strings.Join(sentences[:middle], "") + fmt.Sprintf("The inspector wrote %s into the book. ", word(9000+edition)) + strings.Join(sentences[middle:], "")
				s.settled(file.name, file.join(text))
				s.Await("the next version to be live", func() bool {
					return s.documents()[file.name].Newest.Number == edition+2 && s.atRest(1)
				})
				n := len(u.Embedded())
				again = append(again, n)
				if n > most {
					above++
				}
				if n < 1 || n > most+1 || above > 1 {
					t.Errorf("a sentence in paragraph %d of %d: %d of %d chunks were embedded again, more than %d", at, len(text), n, chunks, most)
				}
			}
			t.Logf("%d characters, %d chunks; embedded again for a sentence more: %v", len(strings.Join(text, " ")), chunks, again)
			tokens := int64(0) // of which this provider says one for each text
			for _, row := range s.calls("vectors") {
				tokens += row.InputTokens
			}
			total := chunks
			for _, n := range again {
				total += n
			}
			if tokens != int64(total) {
				t.Errorf("the call log knows of %d texts, the provider of %d", tokens, total)
			}
			s.restAndCheck()
		})
	}
}
