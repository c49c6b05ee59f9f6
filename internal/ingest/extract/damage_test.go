package extract

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airfield/test/damage"
)

// samples are sound files of every format that is not plain text.
func samples(t *testing.T) map[string][]byte {
	docx := writeDOCX(t, map[string]string{"word/document.xml": documentXML(strings.Repeat(para("Heading1", "Carriage")+para("", "Some text of a contract."), 40))})
	pptx := writePPTX(t, []testSlide{{shapes: titleShape("title", "One") + bodyShape(point(0, "a")+point(1, "b")), notes: "Say it."}, {shapes: titleShape("title", "Two") + slideTableXML("<a:tr><a:tc/></a:tr>")}}, nil)
	xlsx := writeXLSX(t, func(b *testBook) {
		for s := range 3 {
			rows := [][]any{{"Ship", "Tons"}}
			for i := range 50 {
				rows = append(rows, []any{fmt.Sprintf("Ship %d", i), i})
			}
			b.rows(fmt.Sprintf("Sheet%d", s+1), rows...)
		}
		b.check(b.file.MergeCell("Sheet1", "A2", "A4"))
	})
	pdf := writePDF(numberedPages(12))
	return map[string][]byte{
		"a.pdf": pdf, "a.docx": docx, "a.pptx": pptx, "a.xlsx": xlsx,
		"a.eml": writeEML(letterHeaders, testPart{kind: "text/plain", content: []byte("The letter.")}, testPart{kind: "application/pdf", name: "in.pdf", content: pdf}, testPart{kind: "application/x", name: "in.docx", content: docx}),
		"a.zip": writeZip(t, map[string]string{"readme.txt": strings.Repeat("Hello ", 500)}),
	}
}

// TestTwoHundredDamagedFilesHarmNobody runs damaged files through real extracting processes beside sound ones: no crash
// of ours, no hang, each is read, or read in part and said to be, or refused with a reason; the sound ones are whole.
func TestTwoHundredDamagedFilesHarmNobody(t *testing.T) {
	c := testConfig("serve")
	c.PageTimeout, c.FileTimeout = 30*time.Second, time.Minute
	e := newExtractor(t, c)
	whole := samples(t)
	names := []string{"a.pdf", "a.docx", "a.pptx", "a.xlsx", "a.eml", "a.zip"}
	sound := map[string]string{}
	for _, name := range names[:5] {
		x := extractFile(t, e, file(t, name, whole[name]), name)
		if x.err != nil || x.Partial {
			t.Fatalf("the sound %s: %v, %q", name, x.err, x.Warnings)
		}
		sound[name] = x.text()
	}
	r := rand.New(rand.NewPCG(5, 2026))
	type job struct {
		name    string
		content []byte
	}
	jobs := make(chan job)
	var mu sync.Mutex
	ends := map[string]int{}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for j := range jobs {
				x := extractFile(t, e, file(t, j.name, j.content), j.name)
				end := "read"
				switch {
				case x.err != nil:
					end = x.code()
				case x.Partial:
					end = "partial"
				}
				mu.Lock()
				ends[end]++
				mu.Unlock()
				switch {
				case x.err != nil && (!Permanent(x.err) || strings.Contains(x.err.Error(), "only damaged files do")):
					t.Errorf("%s: %v", j.name, x.err)
				case x.Partial && len(x.Warnings) == 0:
					t.Errorf("%s is partial and does not say why", j.name)
				}
			}
		})
	}
	for i := range 200 {
		name := names[i%len(names)]
		jobs <- job{name, damage.File(r, whole[name])}
	}
	close(jobs)
	all.Wait()
	for _, name := range names[:5] {
		if x := extractFile(t, e, file(t, name, whole[name]), name); x.err != nil || x.Partial || x.text() != sound[name] {
			t.Errorf("after the damaged ones the sound %s: %v, %q", name, x.err, x.Warnings)
		}
	}
	if err := e.Close(); err != nil { // reaps the processes, whose memory is known from then on
		t.Fatal(err)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		t.Fatal(err)
	}
	peak := usage.Maxrss << 10 // of the largest process that was ever reaped
	t.Logf("200 damaged files: %v; at most %d MB resident in a process", ends, peak>>20)
	if peak > c.MaxMemoryBytes {
		t.Errorf("a process had %d bytes, above the limit of %d", peak, c.MaxMemoryBytes)
	}
	if ends["partial"] == 0 || ends[CodeDamaged] == 0 || ends["read"] == 0 {
		t.Errorf("the sample has not every end: %v", ends)
	}
}
