package extract

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// layout turns the lines of a page into blocks: rows with wide gaps into tables, lines that belong together into
// paragraphs, large, bold or bookmarked ones into headings. body is the document's usual font size.
func layout(lines []pdfLine, body float32, outline map[string]int) []Block {
	pitch := usualPitch(lines)
	body = max(body, coverSize(lines, body))
	var blocks []Block
	for i := 0; i < len(lines); {
		if n := tableLines(lines[i:]); n > 0 {
			blocks = append(blocks, tableBlock(lines[i:i+n]))
			i += n
			continue
		}
		if n := columnHeads(lines[i:]); n > 0 {
			n += tableLines(lines[i+n:])
			blocks = append(blocks, tableBlock(lines[i:i+n]))
			i += n
			continue
		}
		if n, level := headingLines(lines, i, body, pitch, outline); n > 0 {
			blocks = append(blocks, Block{Kind: KindHeading, Level: level, Text: joinLines(lines[i : i+n])})
			i += n
			continue
		}
		n := 1
		for i+n < len(lines) && continues(lines, i+n, body, pitch, outline) {
			n++
		}
		b := Block{Kind: KindText, Text: joinLines(lines[i : i+n])}
		if listItem.MatchString(lines[i].text()) {
			b.Kind = KindList
		}
		// Items of one list become one block.
		if last := len(blocks) - 1; b.Kind == KindList && last >= 0 && blocks[last].Kind == KindList {
			blocks[last].Text += "\n" + b.Text
		} else {
			blocks = append(blocks, b)
		}
		i += n
	}
	return blocks
}

var (
	listItem = regexp.MustCompile(`^(?:[•▪◦‣●○■□–—*·-]|\(?[0-9]{1,2}[.)]|\([a-z]{1,4}\)|[a-z][.)])(?:\s|$)`)
	number   = regexp.MustCompile(`^[($€£¥+−-]*[0-9][0-9.,]*[)%]*$|^[—–-]+$`)
	year     = regexp.MustCompile(`^(?:19|20)[0-9][0-9]$`)
)

// coverSize is the size that headings of a cover are measured by: where most lines are large, only the largest name the
// document, and the others would stand above everything after them. 0 on other pages.
func coverSize(lines []pdfLine, body float32) float32 {
	var large int
	var largest float32
	for _, l := range lines {
		if largest = max(largest, l.size); l.size >= 1.12*body {
			large++
		}
	}
	if large < 5 || large*3 < len(lines) {
		return 0
	}
	return largest / 1.7
}

// usualPitch is the median distance between the baselines of neighbouring lines.
func usualPitch(lines []pdfLine) float32 {
	var all []float32
	for i := 1; i < len(lines); i++ {
		if d := lines[i-1].bottom - lines[i].bottom; d > 0 && d < 4*lines[i].size {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// isRow is a line with at least two cells, a list's bullet not counted.
func isRow(l pdfLine) bool {
	return len(l.cells) > 2 || len(l.cells) == 2 && !listItem.MatchString(l.cells[0]+" ")
}

// tableLines counts the lines of a table that begins here, 0 when none does: at least two rows, with no more than
// three short lines without cells between one and the next.
func tableLines(lines []pdfLine) int {
	if !isRow(lines[0]) {
		return 0
	}
	n, rows := 1, 1
	for i := 1; i < len(lines) && i-n < 4; i++ {
		switch {
		case isRow(lines[i]):
			rows++
			n = i + 1
		case len(lines[i].text()) > 100:
			i = len(lines)
		}
	}
	if rows < 2 {
		return 0
	}
	return n
}

// columnHeads counts the lines before a table that are set over its right-hand columns, 0 when there are none.
func columnHeads(lines []pdfLine) int {
	for n := 1; n < min(len(lines), 10); n++ {
		if tableLines(lines[n:]) == 0 {
			if len(lines[n].text()) > 60 {
				return 0
			}
			continue
		}
		row := lines[n]
		if lines[0].left > row.left+(row.right-row.left)*0.3 && len(lines[0].text()) <= 100 {
			return n
		}
		return 0
	}
	return 0
}

func tableBlock(lines []pdfLine) Block {
	b := Block{Kind: KindTable}
	rows := make([]string, len(lines))
	header, counting := 0, true
	for i, l := range lines {
		rows[i] = tableRow(slices.Clone(l.cells))
		hasNumber := slices.ContainsFunc(l.cells, func(c string) bool { return number.MatchString(c) && !year.MatchString(c) })
		if counting = counting && !hasNumber && i < 10; counting {
			header++
		}
	}
	if header < len(lines) && header < 10 {
		b.Header = header
	}
	b.Text = strings.Join(rows, "\n")
	return b
}

// headingLines tells how many lines from i on are one heading, and of what level; 0 when there is none.
func headingLines(lines []pdfLine, i int, body, pitch float32, outline map[string]int) (n, level int) {
	if depth, n := bookmarked(lines[i:], outline); n > 0 {
		return n, depth
	}
	level = looksLikeHeading(lines[i], body)
	if level == 0 {
		return 0, 0
	}
	n = 1
	for i+n < len(lines) && n < 4 && sameHeading(lines[i+n-1], lines[i+n], level, body) {
		n++
	}
	text := joinLines(lines[i : i+n])
	if n > 3 || len(text) > 200 {
		return 0, 0
	}
	// Bold words alone are a heading only where they stand alone.
	if level == boldLevel && i+n < len(lines) {
		next := lines[i+n]
		if lines[i+n-1].bottom-next.bottom < 0.5*pitch {
			return 0, 0
		}
	}
	return n, named(text, level)
}

// boldLevel is that of headings that are told only by being bold; those with a name of their rank stand above it.
const boldLevel = 5

var (
	part = regexp.MustCompile(`(?i)^(?:part|chapter|appendix|annex|schedule)\s+(?:[0-9]+|[ivxlc]+|[a-z])\b`)
	item = regexp.MustCompile(`(?i)^(?:item|article|section|note|clause)\s+[0-9]+[a-z]?\b`)
)

func named(text string, level int) int {
	switch {
	case level == boldLevel && part.MatchString(text):
		return boldLevel - 2
	case level == boldLevel && item.MatchString(text):
		return boldLevel - 1
	}
	return level
}

func bookmarked(lines []pdfLine, outline map[string]int) (depth, n int) {
	if len(outline) == 0 {
		return 0, 0
	}
	text := ""
	for n, l := range lines[:min(len(lines), 3)] {
		if text += fold(l.text()); len(text) > 300 {
			break
		}
		if depth := outline[text]; depth > 0 {
			return depth, n + 1
		}
	}
	return 0, 0
}

func looksLikeHeading(l pdfLine, body float32) int {
	text := l.text()
	letters := strings.ContainsFunc(text, unicode.IsLetter)
	if !letters || len(text) > 150 || body == 0 || strings.HasSuffix(text, ",") || strings.HasSuffix(text, ";") || listBullet(text) {
		return 0
	}
	switch ratio := l.size / body; {
	case ratio >= 1.7:
		return 1
	case ratio >= 1.35:
		return 2
	case strings.HasSuffix(text, "."): // a sentence, unless it is truly large
		return 0
	case ratio >= 1.12:
		return 3
	case l.bold && ratio >= 0.95 && (!isRow(l) || len(l.cells) == 2 && item.MatchString(l.cells[0])):
		return boldLevel
	}
	return 0
}

func listBullet(text string) bool {
	r := []rune(text)[0]
	return strings.ContainsRune("•▪◦‣●○■□☐☑☒–—*·-", r)
}

func sameHeading(a, b pdfLine, level int, body float32) bool {
	close := a.bottom-b.bottom < 1.6*a.size && a.bottom > b.bottom
	text := b.text()
	return close && !part.MatchString(text) && !item.MatchString(text) && looksLikeHeading(b, body) == level && a.size < 1.05*b.size && b.size < 1.05*a.size
}

// continues reports whether line i belongs to the paragraph of line i-1.
func continues(lines []pdfLine, i int, body, pitch float32, outline map[string]int) bool {
	a, b := lines[i-1], lines[i]
	if a.joined {
		return true
	}
	if tableLines(lines[i:]) > 0 || columnHeads(lines[i:]) > 0 || listItem.MatchString(b.text()) {
		return false
	}
	if n, _ := headingLines(lines, i, body, pitch, outline); n > 0 {
		return false
	}
	text := a.text()
	ended := strings.HasSuffix(text, ".") || strings.HasSuffix(text, ":") || strings.HasSuffix(text, "?") || strings.HasSuffix(text, "!")
	down := a.bottom - b.bottom
	switch {
	case down < 0: // a new column, or a box beside the text
		return !ended && startsSmall(b.text())
	case down < 0.3*a.size: // the same line, in two pieces
		return true
	case a.size > 1.12*b.size || b.size > 1.12*a.size:
		return false
	case pitch > 0 && down > 1.3*pitch && down > 1.3*a.size:
		return !ended && startsSmall(b.text()) && down < 2*pitch
	case ended && b.left > a.left+0.8*a.size && !listItem.MatchString(text): // a first line set in
		return false
	}
	return true
}

func startsSmall(text string) bool {
	for _, r := range text {
		return unicode.IsLower(r)
	}
	return false
}

// joinLines makes running text of lines; a word broken at a line end is made whole.
func joinLines(lines []pdfLine) string {
	var out strings.Builder
	for i, l := range lines {
		if i > 0 && !lines[i-1].joined {
			out.WriteByte(' ')
		}
		out.WriteString(l.text())
	}
	return strings.Join(strings.Fields(out.String()), " ")
}
