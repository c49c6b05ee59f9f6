package extract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/responses"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// engine is PDFium as WebAssembly: without a file system, without a network, within a bounded memory.
type engine struct {
	pool pdfium.Pool
	pdf  pdfium.Pdfium
}

const wasmPage = 64 << 10

// startEngine compiles PDFium, or loads what an earlier process compiled into the cache directory.
func startEngine(r request) (*engine, error) {
	// The engine must not be stopped by a context (that would slow every loop in it); the parent kills the process.
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
		WithMemoryLimitPages(uint32(min(max(r.Config.MaxMemoryBytes/2, 64<<20), 4<<30) / wasmPage))
	if r.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(r.CacheDir)
		if err != nil {
			fmt.Fprintf(os.Stderr, "pdf engine: no compilation cache: %v\n", err)
		} else {
			config = config.WithCompilationCache(cache)
		}
	}
	pool, err := webassembly.Init(webassembly.Config{
		Context: context.Background(), MinIdle: 1, MaxIdle: 1, MaxTotal: 1, ReuseWorkers: true,
		FSConfig: wazero.NewFSConfig(), RuntimeConfig: config, Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("start pdf engine: %w", err)
	}
	pdf, err := pool.GetInstance(time.Minute)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start pdf engine: %w", err), pool.Close())
	}
	return &engine{pool: pool, pdf: pdf}, nil
}

func (e *engine) close() {
	_ = e.pdf.Close()
	_ = e.pool.Close()
}

// pdfDocument is one open PDF.
type pdfDocument struct {
	pdf     pdfium.Pdfium
	ref     references.FPDF_DOCUMENT
	pages   int
	outline map[int]map[string]int // page index to folded bookmark title to depth
	furniture
	sizes sizeCount
}

// readPDF delivers the text of each page. A page that cannot be read is reported and the others are read.
func (c *child) readPDF(src *source, s *sink) error {
	if c.engine == nil {
		e, err := startEngine(src.request)
		if err != nil {
			return err
		}
		c.engine = e
	}
	// Read through the file instead of copying it into the engine's memory.
	file := &fileReader{r: bufio.NewReaderSize(src.file, headBytes), f: src.file}
	open, err := c.engine.pdf.OpenDocument(&requests.OpenDocument{FileReader: file, FileReaderSize: src.size})
	if errors.Is(err, pdferrors.ErrFormat) && cutShort(src) {
		if mended := mend(src); mended != nil {
			if again, failed := c.engine.pdf.OpenDocument(&requests.OpenDocument{File: &mended}); failed == nil {
				open, err = again, nil
			}
		}
	}
	if err != nil {
		return openFault(src, err)
	}
	pdf := c.engine.pdf
	defer func() {
		_, err := pdf.FPDF_CloseDocument(&requests.FPDF_CloseDocument{Document: open.Document})
		if err != nil || s.res.Partial { // the engine may have suffered from what it could not read
			c.close()
		}
	}()
	d := &pdfDocument{pdf: pdf, ref: open.Document, furniture: furniture{seen: map[furnishing]bool{}}, sizes: sizeCount{}}
	count, err := d.pdf.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: d.ref})
	if err != nil || count.PageCount == 0 {
		return damaged(src, "no page can be found in it")
	}
	d.pages = count.PageCount
	s.res.Pages = d.pages
	d.properties(s)
	d.readOutline()
	if cutShort(src) {
		s.partial("%q seems cut short: its end marker is missing; what was found is kept", src.Name)
	}
	var blank, unread []int
	defer s.tellScans()
	for i := range min(d.pages, src.Config.MaxPages) {
		if err := s.turn(i + 1); err != nil {
			return err
		}
		before := s.characters
		blocks, err := d.page(i)
		if err != nil {
			s.partial("page %d could not be read: %v", i+1, err)
		}
		letters := 0
		for _, b := range blocks {
			letters += len(b.Text)
		}
		scanned := err == nil && letters < fewLetters && d.pictured(i)
		for _, b := range blocks {
			if err := s.add(b); err != nil {
				return err
			}
		}
		switch {
		case scanned && src.Tesseract == "":
			unread = append(unread, i+1)
		case scanned:
			sc, err := d.scan(src.request, i)
			if err != nil {
				s.partial("page %d is a picture whose text could not be recognized: %v", i+1, err)
			} else if err := s.addScan(sc); err != nil {
				return err
			}
		}
		if s.characters == before && err == nil && !scanned {
			blank = append(blank, i+1)
		}
		if err := s.endPage(); err != nil {
			return err
		}
	}
	if d.pages > src.Config.MaxPages {
		s.partial("the pages after page %d of %d were left out", src.Config.MaxPages, d.pages)
	}
	if len(blank) > 0 {
		s.warn("no text on %s", pageList(blank))
	}
	if len(unread) > 0 {
		s.warn("%s: scanned, with little or no text; %s", pageList(unread), src.Config.OCR.missing())
		if !s.delivered() {
			return noOCR(src)
		}
	}
	return nil
}

var catalog = regexp.MustCompile(`(?:^|[\r\n])(\d{1,9}) (\d{1,5}) obj\s*<<[^>]{0,200}/Type\s*/Catalog`)

// mend gives a file that lost its end a new one that names its root, so that the pages before the cut can be read;
// nil when its root is lost too.
func mend(src *source) []byte {
	raw, err := src.bytes()
	if err != nil {
		return nil
	}
	root := catalog.FindSubmatch(raw)
	if root == nil {
		return nil
	}
	return fmt.Appendf(raw, "\nendstream\nendobj\ntrailer\n<< /Root %s %s R >>\nstartxref\n0\n%%%%EOF\n", root[1], root[2])
}

// fileReader satisfies the engine's small scattered reads from a buffer.
type fileReader struct {
	r  *bufio.Reader
	f  *os.File
	at int64
}

func (f *fileReader) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart {
		return 0, errors.New("only absolute positions are read")
	}
	if ahead := offset - f.at; ahead >= 0 && ahead <= int64(f.r.Buffered()) {
		_, err := f.r.Discard(int(ahead))
		f.at = offset
		return offset, err
	}
	at, err := f.f.Seek(offset, io.SeekStart)
	f.r.Reset(f.f)
	f.at = at
	return at, err
}

func (f *fileReader) Read(b []byte) (int, error) {
	n, err := io.ReadFull(f.r, b)
	f.at += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

func openFault(src *source, err error) error {
	switch {
	case errors.Is(err, pdferrors.ErrPassword), errors.Is(err, pdferrors.ErrSecurity):
		return encrypted(src)
	case errors.Is(err, pdferrors.ErrFormat), errors.Is(err, pdferrors.ErrFile), errors.Is(err, pdferrors.ErrUnknown),
		errors.Is(err, pdferrors.ErrPage), errors.Is(err, pdferrors.ErrSuccess):
		if cutShort(src) {
			return damaged(src, "it cannot be opened and its end marker is missing; it is probably cut short")
		}
		return damaged(src, "it cannot be opened as a PDF")
	}
	return fmt.Errorf("open pdf: %w", err)
}

// cutShort reports a PDF without an end marker in its last part.
func cutShort(src *source) bool {
	tail := make([]byte, min(src.size, 4096))
	if _, err := src.file.ReadAt(tail, src.size-int64(len(tail))); err != nil && err != io.EOF {
		return false
	}
	return !bytes.Contains(tail, []byte("%%EOF"))
}

func (d *pdfDocument) properties(s *sink) {
	found, err := d.pdf.GetMetaData(&requests.GetMetaData{Document: d.ref})
	if err != nil {
		return
	}
	for _, tag := range found.Tags {
		switch tag.Tag {
		case "Title":
			if meaningfulTitle(tag.Value) {
				s.res.Title = tag.Value
			}
		case "Author", "Subject", "Keywords":
			s.meta(strings.ToLower(tag.Tag), tag.Value)
		case "CreationDate":
			s.meta("created", pdfDate(tag.Value))
		case "ModDate":
			s.meta("modified", pdfDate(tag.Value))
		}
	}
}

// meaningfulTitle is false for what programs write into the title field by themselves.
func meaningfulTitle(title string) bool {
	title = strings.ToLower(strings.TrimSpace(title))
	for _, start := range []string{"microsoft word", "untitled", "powerpoint presentation", "document1"} {
		if strings.HasPrefix(title, start) {
			return false
		}
	}
	for _, end := range []string{".doc", ".docx", ".pdf", ".indd", ".qxd", ".htm", ".html", ".tex", ".dvi"} {
		if strings.HasSuffix(title, end) {
			return false
		}
	}
	return strings.ContainsFunc(title, func(r rune) bool { return r >= 'a' && r <= 'z' || r > 0x7f })
}

// pdfDate turns "D:20220729121530-07'00'" into RFC 3339, and leaves anything else as it is.
func pdfDate(value string) string {
	digits := strings.ReplaceAll(strings.TrimPrefix(value, "D:"), "'", "")
	for _, layout := range []string{"20060102150405-0700", "20060102150405Z", "20060102150405Z0000", "20060102150405", "20060102"} {
		if t, err := time.Parse(layout, digits); err == nil {
			return t.UTC().Format(time.RFC3339)
		}
	}
	return value
}

// readOutline keeps the bookmarks: they name the headings and their depth.
func (d *pdfDocument) readOutline() {
	found, err := d.pdf.GetBookmarks(&requests.GetBookmarks{Document: d.ref})
	if err != nil {
		return
	}
	d.outline = map[int]map[string]int{}
	var walk func(marks []responses.GetBookmarksBookmark, depth int)
	walk = func(marks []responses.GetBookmarksBookmark, depth int) {
		for _, m := range marks {
			dest := m.DestInfo
			if dest == nil && m.ActionInfo != nil {
				dest = m.ActionInfo.DestInfo
			}
			if dest != nil {
				if d.outline[dest.PageIndex] == nil {
					d.outline[dest.PageIndex] = map[string]int{}
				}
				d.outline[dest.PageIndex][fold(m.Title)] = depth
			}
			if depth < 6 {
				walk(m.Children, depth+1)
			}
		}
	}
	walk(found.Bookmarks, 1)
}

// fold is text without case, spaces and punctuation, for comparing titles.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 0x7f {
			return r
		}
		return -1
	}, strings.ToLower(text))
}

func pageList(pages []int) string {
	if len(pages) == 1 {
		return fmt.Sprintf("page %d", pages[0])
	}
	var parts []string
	for i := 0; i < len(pages); {
		j := i
		for j+1 < len(pages) && pages[j+1] == pages[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(pages[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", pages[i], pages[j]))
		}
		i = j + 1
	}
	if len(parts) > 20 {
		parts = append(parts[:20], "…")
	}
	return "pages " + strings.Join(parts, ", ")
}
