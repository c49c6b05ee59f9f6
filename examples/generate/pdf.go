package main

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// A4 in points, and what is put on it.
const (
	pageWidth, pageHeight  = 595.0, 842.0
	margin, bodySize       = 64.0, 11.0
	titleSize, headingSize = 22.0, 14.0
	leading                = 1.35
	bottom                 = 72.0
)

// widths are those of Helvetica's characters from space to tilde, in thousandths of the size.
var widths = [...]int{278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
	1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
	333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584}

// layout puts text on pages.
type layout struct {
	pages []*bytes.Buffer
	y     float64
}

// writePDF makes a PDF with the standard fonts, which every reader has, and a footer with the page's number.
func writePDF(parts []part) ([]byte, error) {
	l := &layout{}
	l.newPage()
	name := ""
	for _, p := range parts {
		switch p.kind {
		case title:
			name = p.text
			l.text(p.text, "F2", titleSize, 0, 10)
		case heading:
			l.y -= 8
			l.text(p.text, "F2", headingSize, 0, 4)
		case paragraph:
			l.text(p.text, "F1", bodySize, 0, 6)
		case item:
			l.text("- "+p.text, "F1", bodySize, 12, 4)
		case table:
			l.table(p.rows)
		case pageBreak:
			l.newPage()
		}
	}
	return l.file(name)
}

func (l *layout) newPage() {
	l.pages = append(l.pages, &bytes.Buffer{})
	l.y = pageHeight - margin - titleSize
}

// text sets a paragraph in lines that fit.
func (l *layout) text(s, font string, size, indent, after float64) {
	for _, line := range wrap(s, size, pageWidth-2*margin-indent) {
		l.line(margin+indent, line, font, size)
		l.y -= size * leading
	}
	l.y -= after
}

// table sets rows in columns of equal width, the first in bold.
func (l *layout) table(rows [][]string) {
	column := (pageWidth - 2*margin) / float64(len(rows[0]))
	for i, row := range rows {
		font := "F1"
		if i == 0 {
			font = "F2"
		}
		for j, cell := range row {
			l.line(margin+float64(j)*column, cell, font, bodySize)
		}
		l.y -= bodySize * leading
	}
	l.y -= 8
}

func (l *layout) line(x float64, s, font string, size float64) {
	if l.y < bottom {
		l.newPage()
	}
	l.put(x, l.y, s, font, size)
}

func (l *layout) put(x, y float64, s, font string, size float64) {
	fmt.Fprintf(l.pages[len(l.pages)-1], "BT /%s %g Tf %.2f %.2f Td (%s) Tj ET\n", font, size, x, y, literal(s))
}

// literal writes a string of the standard fonts' encoding.
func literal(s string) string {
	encoded, err := charmap.Windows1252.NewEncoder().String(s)
	if err != nil {
		panic(fmt.Sprintf("%q has a character that the standard fonts lack", s))
	}
	return strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(encoded)
}

func wrap(s string, size, width float64) (lines []string) {
	line, used := "", 0.0
	for word := range strings.FieldsSeq(s) {
		w := measure(word, size)
		if line != "" && used+measure(" ", size)+w > width {
			lines = append(lines, line)
			line, used = "", 0
		}
		if line != "" {
			line += " "
			used += measure(" ", size)
		}
		line += word
		used += w
	}
	return append(lines, line)
}

func measure(s string, size float64) float64 {
	sum := 0
	for _, r := range s {
		if i := int(r) - ' '; i >= 0 && i < len(widths) {
			sum += widths[i]
		} else {
			sum += 556
		}
	}
	return float64(sum) * size / 1000
}

// file writes the objects: catalogue, pages, fonts, then each page and its content.
func (l *layout) file(name string) ([]byte, error) {
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
		"<< /Title (" + literal(name) + ") /Author (Nordhafen Logistics) >>"}
	var kids []string
	for i, content := range l.pages {
		footer := fmt.Sprintf("Nordhafen Logistics - page %d of %d", i+1, len(l.pages))
		fmt.Fprintf(content, "BT /F1 8 Tf %.2f 40 Td (%s) Tj ET\n", margin, footer)
		kids = append(kids, fmt.Sprintf("%d 0 R", len(objects)+1))
		objects = append(objects, fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %g %g] /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents %d 0 R >>", pageWidth, pageHeight, len(objects)+2),
			fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", content.Len(), content.String()))
	}
	objects[1] = fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", strings.Join(kids, " "), len(kids))
	var out bytes.Buffer
	out.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, at := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return out.Bytes(), nil
}
