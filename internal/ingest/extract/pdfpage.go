package extract

import (
	"slices"
	"strings"
	"unicode"

	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// pdfLine is one line of a page as it is set, in points from the lower left corner.
type pdfLine struct {
	cells       []string // parts with wide gaps between them
	left, right float32
	bottom, top float32 // of the font's box, so that the height tells the size
	size        float32
	bold        bool
	joined      bool // the engine took a hyphen at its end: the next line continues the word
}

func (l pdfLine) text() string { return strings.Join(l.cells, " ") }

// page reads one page into blocks.
func (d *pdfDocument) page(index int) ([]Block, error) {
	page, err := d.pdf.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: d.ref, Index: index})
	if err != nil {
		return nil, err
	}
	defer d.pdf.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: page.Page})
	loaded, err := d.pdf.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: requests.Page{ByReference: &page.Page}})
	if err != nil {
		return nil, err
	}
	defer d.pdf.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: loaded.TextPage})
	lines, err := d.lines(loaded.TextPage)
	if err != nil {
		return nil, err
	}
	lines = d.strip(lines)
	for _, l := range lines {
		d.sizes.add(l)
	}
	return layout(lines, d.sizes.body(), d.outline[index]), nil
}

// lines reads the characters and cuts them where the engine saw line ends.
func (d *pdfDocument) lines(page references.FPDF_TEXTPAGE) ([]pdfLine, error) {
	runes, err := d.characters(page)
	if err != nil {
		return nil, err
	}
	text := string(runes)
	var lines []pdfLine
	for start := 0; start < len(runes); {
		end := start
		for end < len(runes) && runes[end] != '\n' && runes[end] != '\r' && !lineHyphen(runes[end]) {
			end++
		}
		joined := end < len(runes) && lineHyphen(runes[end])
		if line, ok := d.line(page, runes, start, end); ok {
			if line.joined = joined; joined && keepsHyphen(runes, end, text) {
				line.cells[len(line.cells)-1] += "-"
			}
			lines = append(lines, line)
		}
		start = end + 1
	}
	return lines, nil
}

// characters reads the text of a page so that a character's index here is its index in the engine.
func (d *pdfDocument) characters(page references.FPDF_TEXTPAGE) ([]rune, error) {
	count, err := d.pdf.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: page})
	if err != nil || count.Count == 0 {
		return nil, err
	}
	// One call instead of one a character; but the text leaves out characters that have no meaning in Unicode.
	if all, err := d.pdf.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: page, Count: count.Count}); err == nil {
		if runes := []rune(all.Text); len(runes) == count.Count {
			return runes, nil
		}
	}
	runes := make([]rune, count.Count)
	for i := range runes {
		c, err := d.pdf.FPDFText_GetUnicode(&requests.FPDFText_GetUnicode{TextPage: page, Index: i})
		if err != nil {
			return nil, err
		}
		runes[i] = rune(uint32(c.Unicode))
	}
	return runes, nil
}

// lineHyphen is how the engine marks a hyphen at the end of a line, after which it writes no line end.
func lineHyphen(r rune) bool { return r == '\ufffe' || r == 0x02 || r == '\u00ad' }

// keepsHyphen tells the hyphen of a compound from that of a broken word: the compound is on the page elsewhere, or what
// follows is not a small letter.
func keepsHyphen(runes []rune, at int, page string) bool {
	from, to := at, at+1
	for from > 0 && unicode.IsLetter(runes[from-1]) {
		from--
	}
	for to < len(runes) && (runes[to] == '\r' || runes[to] == '\n') {
		to++
	}
	next := to
	for to < len(runes) && unicode.IsLetter(runes[to]) {
		to++
	}
	if next >= len(runes) || !unicode.IsLower(runes[next]) {
		return true
	}
	return strings.Contains(page, string(runes[from:at])+"-"+string(runes[next:to]))
}

// line measures the characters from start to end; false when there is nothing to see in them.
func (d *pdfDocument) line(page references.FPDF_TEXTPAGE, runes []rune, start, end int) (pdfLine, bool) {
	for start < end && blank(runes[start]) {
		start++
	}
	for start < end && blank(runes[end-1]) {
		end--
	}
	if start == end {
		return pdfLine{}, false
	}
	first, last := d.box(page, start), d.box(page, end-1)
	l := pdfLine{left: first.left, right: last.right, bottom: first.bottom, top: first.top, size: first.top - first.bottom}
	l.bold = d.bold(page, start) && d.bold(page, end-1)
	cell := start
	for i := start + 1; i < end-1; i++ {
		if !blank(runes[i]) {
			continue
		}
		next := i + 1
		for next < end && blank(runes[next]) {
			next++
		}
		before, after := d.box(page, i-1), d.box(page, next)
		if gap := after.left - before.right; gap > 1.15*l.size || gap < -3*l.size && before.right > before.left {
			l.cells = append(l.cells, logical(string(runes[cell:i])))
			cell = next
		}
		i = next - 1
	}
	l.cells = joinSigns(append(l.cells, logical(string(runes[cell:end]))))
	if len(l.cells) > 1 && rightToLeft(l.text()) {
		slices.Reverse(l.cells)
	}
	return l, true
}

func blank(r rune) bool { return r == ' ' || r == 0 || r == '\t' || r == '\u00a0' || r == '\u200b' }

// joinSigns puts currency signs, closing brackets and percent signs, which tables set apart, back to their numbers.
func joinSigns(cells []string) []string {
	out := cells[:0]
	var prefix string
	for _, c := range cells {
		c = strings.TrimSpace(c)
		switch {
		case c == "":
			continue
		case (c == ")" || c == "%" || c == ")%") && len(out) > 0 && prefix == "":
			out[len(out)-1] += c
			continue
		case c == "$" || c == "€" || c == "£" || c == "¥" || c == "(":
			prefix += c
			continue
		}
		c, prefix = prefix+c, ""
		// The sign of the next column may be set right behind this one's number.
		if before, sign, found := lastWord(c); found && strings.Contains("$€£¥", sign) {
			c, prefix = before, sign
		}
		out = append(out, c)
	}
	if prefix != "" || len(out) == 0 {
		out = append(out, prefix)
	}
	return out
}

func lastWord(text string) (before, word string, found bool) {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return "", "", false
	}
	return strings.TrimSpace(text[:i]), text[i+1:], true
}

type charBox struct{ left, right, bottom, top float32 }

func (d *pdfDocument) box(page references.FPDF_TEXTPAGE, i int) charBox {
	b, err := d.pdf.FPDFText_GetLooseCharBox(&requests.FPDFText_GetLooseCharBox{TextPage: page, Index: i})
	if err != nil {
		return charBox{} // a character the engine made up has no box
	}
	return charBox{left: b.Rect.Left, right: b.Rect.Right, bottom: b.Rect.Bottom, top: b.Rect.Top}
}

func (d *pdfDocument) bold(page references.FPDF_TEXTPAGE, i int) bool {
	font, err := d.pdf.FPDFText_GetFontInfo(&requests.FPDFText_GetFontInfo{TextPage: page, Index: i})
	if err != nil {
		return false
	}
	name := strings.ToLower(font.FontName)
	return strings.Contains(name, "bold") || strings.Contains(name, "black") || strings.Contains(name, "heavy")
}

// sizeCount counts characters by font size over the pages read so far; the commonest size is the body's.
type sizeCount map[int]int

func (s sizeCount) add(l pdfLine) { s[int(l.size*2+0.5)] += len(l.text()) }

func (s sizeCount) body() float32 {
	best, most := 0, 0
	for size, n := range s {
		if n > most || n == most && size < best {
			best, most = size, n
		}
	}
	return float32(best) / 2
}

// furniture recognises the running heads and feet of pages: page numbers, and lines that an earlier page also had at
// that height, apart from its text. They are left out after their first appearance, so that text which moves to
// another page stays the same.
type furniture struct {
	seen map[furnishing]bool
}

// furnishing is a line at the edge of a page.
type furnishing struct {
	text   string // digits folded
	height int    // in points, rounded to ten
}

const edgeLines = 2

func (f furniture) strip(lines []pdfLine) []pdfLine {
	pitch := usualPitch(lines)
	kept := make([]pdfLine, 0, len(lines))
	for i, l := range lines {
		switch {
		case len(lines) < 2:
		case i < edgeLines && i+1 < len(lines):
			if f.is(l, lines[i+1], pitch) {
				continue
			}
		case i >= len(lines)-edgeLines:
			if f.is(l, lines[i-1], pitch) {
				continue
			}
		}
		kept = append(kept, l)
	}
	return kept
}

// is reports whether the line, whose neighbour is next to it towards the text, is furniture, and remembers it.
func (f furniture) is(l, neighbour pdfLine, pitch float32) bool {
	apart := l.bottom - neighbour.bottom
	if apart < 0 {
		apart = -apart
	}
	text := l.text()
	if apart < 1.3*pitch && l.size > 0.95*neighbour.size || len(text) > 200 {
		return false
	}
	if pageNumber(text) {
		return true
	}
	key := furnishing{height: int(l.bottom+5) / 10, text: strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return '#'
		}
		return r
	}, text)}
	known := f.seen[key]
	f.seen[key] = true
	return known
}

// pageNumber is a line that says nothing but which page this is.
func pageNumber(text string) bool {
	words := strings.Fields(strings.ToLower(strings.Trim(text, "-–— .|[]")))
	if len(words) == 0 || len(words) > 4 {
		return false
	}
	for _, w := range words {
		switch w {
		case "page", "of", "/", "seite", "von", "p.":
			continue
		}
		if len(w) > 4 || strings.Trim(w, "0123456789") != "" && strings.Trim(w, "ivx") != "" {
			return false
		}
	}
	return true
}
