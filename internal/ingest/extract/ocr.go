package extract

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/jpeg" // for the size of a picture before it is recognized
	_ "image/png"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"airfield/internal/fault"
)

const (
	scanDPI       = 150
	maxPixels     = 40 << 20 // of a picture that is recognized
	fewLetters    = 20       // below so many characters a page with pictures is taken for a scan
	sureEnough    = 40       // percent; below this on average what is recognized is noise
	maxRecognized = 8 << 20  // bytes of the program's answer for one picture
)

// OCR says how the text of scans and pictures is recognized.
type OCR struct {
	Command   string        `yaml:"command" json:"command" doc:"The tesseract program, by name or path. Where it is not installed, scans are reported as such. Empty turns text recognition off."`
	Languages string        `yaml:"languages" json:"languages" doc:"The languages of scans as tesseract names them, with + between: eng+deu. Their data must be installed."`
	Timeout   time.Duration `yaml:"timeout" json:"timeout" doc:"The longest the recognition of one page may take."`
}

// tesseract is the program's path, "" where there is none. The extracting process has no PATH to look it up itself.
func (o OCR) tesseract() string {
	if o.Command == "" {
		return ""
	}
	found, err := exec.LookPath(o.Command)
	if err != nil {
		return ""
	}
	if found, err = filepath.Abs(found); err != nil {
		return ""
	}
	return found
}

// missing is what to tell where a scan cannot be recognized.
func (o OCR) missing() string {
	if o.Command == "" {
		return "text recognition (OCR) is turned off: extract.ocr.command is empty"
	}
	return fmt.Sprintf("text recognition (OCR) needs the program %q, which is not installed", o.Command)
}

// scan is what was recognized on one page.
type scan struct {
	paragraphs []string
	words      int
	sum        float64 // of the words' confidences, in percent
}

func (sc *scan) confidence() int {
	if sc.words == 0 {
		return 0
	}
	return int(sc.sum/float64(sc.words) + 0.5)
}

// recognize runs tesseract over a picture and returns its pages; a TIFF may have several. The program inherits this
// process's memory limit, and its group, so that it ends with it.
func recognize(r request, picture string) ([]*scan, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.Config.OCR.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Tesseract, picture, "stdout", "-l", r.Config.OCR.Languages, "--dpi", strconv.Itoa(scanDPI), "tsv")
	cmd.Env = []string{"OMP_THREAD_LIMIT=1", "LANG=C.UTF-8"} // more threads are slower here
	cmd.WaitDelay = time.Second
	out := bounded{full: cancel}
	var said tail
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	switch {
	case out.over:
		return nil, errBounded
	case ctx.Err() != nil:
		return nil, fmt.Errorf("text recognition took longer than %s", r.Config.OCR.Timeout)
	case err != nil:
		return nil, fmt.Errorf("text recognition failed (%v): %s", err, strings.Join(strings.Fields(said.String()), " "))
	}
	return readTSV(out.kept), nil
}

var errBounded = fmt.Errorf("text recognition answered with more than %d bytes", maxRecognized)

// bounded keeps what is written to it up to a bound, at which it calls full.
type bounded struct {
	kept []byte
	over bool
	full func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.kept)+len(p) > maxRecognized {
		b.over = true
		b.full()
		return 0, errBounded
	}
	b.kept = append(b.kept, p...)
	return len(p), nil
}

// readTSV reads tesseract's table of words: level, page, block, paragraph, line, word, four of place, confidence, text.
func readTSV(raw []byte) (pages []*scan) {
	var page, paragraph, line string
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "\t")
		if len(cells) != 12 || cells[0] != "5" {
			continue
		}
		confidence, err := strconv.ParseFloat(cells[10], 64)
		word := strings.TrimSpace(cells[11])
		if err != nil || confidence < 0 || confidence > 100 || word == "" {
			continue
		}
		if cells[1] != page {
			pages = append(pages, &scan{})
			page, paragraph = cells[1], ""
		}
		at := pages[len(pages)-1]
		at.words++
		at.sum += confidence
		switch here := cells[2] + "." + cells[3]; {
		case here != paragraph:
			at.paragraphs = append(at.paragraphs, word)
			paragraph = here
		case cells[4] != line:
			last := &at.paragraphs[len(at.paragraphs)-1]
			*last = joinWord(*last, word)
		default:
			at.paragraphs[len(at.paragraphs)-1] += " " + word
		}
		line = cells[4]
	}
	return pages
}

// joinWord puts a word broken at the end of a line together.
func joinWord(text, next string) string {
	first, _ := utf8.DecodeRuneInString(next)
	if head, broken := strings.CutSuffix(text, "-"); broken && unicode.IsLower(first) {
		return head + next
	}
	return text + " " + next
}

// addScan takes what was recognized as blocks of the current page. What is not sure enough is left out and said to be.
func (s *sink) addScan(sc *scan) error {
	if sc.words > 0 && sc.confidence() < sureEnough {
		s.unsure = append(s.unsure, s.page.Number)
		return nil
	}
	if sc.words == 0 {
		return nil
	}
	for _, text := range sc.paragraphs {
		if err := s.add(Block{Kind: KindText, Text: text}); err != nil {
			return err
		}
	}
	s.scanned = append(s.scanned, s.page.Number)
	s.scans.words += sc.words
	s.scans.sum += sc.sum
	return nil
}

// tellScans says what of the text was recognized, and how surely.
func (s *sink) tellScans() {
	if len(s.scanned) > 0 {
		s.res.RecognizedPages, s.res.Confidence = len(s.scanned), s.scans.confidence()
		s.warn("the text of %s was recognized from a picture (OCR), with a confidence of %d %%", pageList(s.scanned), s.res.Confidence)
	}
	if len(s.unsure) > 0 {
		s.warn("what was recognized on %s was left out: the confidence is under %d %%", pageList(s.unsure), sureEnough)
	}
}

// readImage recognizes the text of a picture; a TIFF may have pages.
func readImage(src *source, s *sink) error {
	if src.Tesseract == "" {
		return noOCR(src)
	}
	// A TIFF has no size that can be told cheaply; the program's memory limit holds.
	if size, _, err := image.DecodeConfig(bytes.NewReader(src.head)); err == nil && size.Width*size.Height > maxPixels {
		return fault.New(fault.TooLarge, CodeTooLarge, "%q has %d × %d pixels; at most %d are recognized", src.Name, size.Width, size.Height, maxPixels).
			Hinted("scale it down, or cut it into parts")
	}
	pages, err := recognize(src.request, src.Path)
	if err != nil {
		return damaged(src, "%v", err)
	}
	s.res.Pages = len(pages)
	defer s.tellScans()
	for i, p := range pages {
		if i == src.Config.MaxPages {
			s.partial("the pages after page %d of %d were left out", i, len(pages))
			break
		}
		if err := s.turn(i + 1); err != nil {
			return err
		}
		if err := s.addScan(p); err != nil {
			return err
		}
		if err := s.endPage(); err != nil {
			return err
		}
	}
	return nil
}

func noOCR(src *source) error {
	return fault.New(fault.Invalid, CodeNoOCR, "%q is a scan or a picture without text: %s", src.Name, src.Config.OCR.missing()).
		Hinted("install tesseract with the data of its languages on this machine, or set extract.ocr.command; then replay the dead letter")
}
