package extract

import (
	"bytes"
	"fmt"
	"strings"
)

// pdfText is one piece of text of a test PDF.
type pdfText struct {
	x, y, size float64
	bold       bool
	text       string
}

// pdfSpec is what a test PDF is made of.
type pdfSpec struct {
	pages     [][]pdfText
	info      string // entries of the information dictionary
	trailer   string // further entries of the trailer
	bookmarks map[string]int
	toUnicode string // a CMap for the plain font
	pictures  bool   // each page shows one
}

// writePDF writes the smallest PDF that a real reader takes: fonts F1 and F2 are Helvetica and its bold cut.
func writePDF(spec pdfSpec) []byte {
	var out bytes.Buffer
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n", len(offsets))
		fmt.Fprintf(&out, format, args...)
		out.WriteString("\nendobj\n")
	}
	out.WriteString("%PDF-1.7\n")
	n := len(spec.pages)
	const first = 7 // objects before the first page: catalog, pages, two fonts, information, CMap, outlines
	pageRef := func(i int) int { return first + 1 + 2*i }
	marks := pageRef(n)
	object("<< /Type /Catalog /Pages 2 0 R /Outlines 7 0 R >>")
	var kids []string
	for i := range n {
		kids = append(kids, fmt.Sprintf("%d 0 R", pageRef(i)))
	}
	object("<< /Type /Pages /Count %d /Kids [%s] >>", n, strings.Join(kids, " "))
	mapped := ""
	if spec.toUnicode != "" {
		mapped = "/ToUnicode 6 0 R"
	}
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding %s >>", mapped)
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>")
	object("<< %s >>", spec.info)
	object("<< /Length %d >>\nstream\n%s\nendstream", len(spec.toUnicode), spec.toUnicode)
	object("<< /Type /Outlines /Count %d %s >>", len(spec.bookmarks), outlineEnds(marks, len(spec.bookmarks)))
	for i, texts := range spec.pages {
		var content strings.Builder
		for _, t := range texts {
			font := "F1"
			if t.bold {
				font = "F2"
			}
			escaped := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(t.text)
			fmt.Fprintf(&content, "BT /%s %g Tf %g %g Td (%s) Tj ET\n", font, t.size, t.x, t.y, escaped)
		}
		if spec.pictures {
			content.WriteString("q 400 0 0 400 100 200 cm BI /W 2 /H 2 /BPC 8 /CS /G /F /AHx ID 00ff00ff> EI Q\n")
		}
		object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>", pageRef(i)+1)
		object("<< /Length %d >>\nstream\n%s\nendstream", content.Len(), content.String())
	}
	i := 0
	for title, page := range spec.bookmarks {
		links := ""
		if i > 0 {
			links += fmt.Sprintf("/Prev %d 0 R ", marks+i-1)
		}
		if i < len(spec.bookmarks)-1 {
			links += fmt.Sprintf("/Next %d 0 R ", marks+i+1)
		}
		object("<< /Title (%s) /Parent 7 0 R %s/Dest [%d 0 R /Fit] >>", title, links, pageRef(page))
		i++
	}
	xref := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R %s >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, spec.trailer, xref)
	return out.Bytes()
}

func outlineEnds(first, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("/First %d 0 R /Last %d 0 R", first, first+n-1)
}

// paragraphPage sets lines of running text from the top of a page down.
func paragraphPage(size float64, lines ...string) []pdfText {
	var out []pdfText
	for i, l := range lines {
		out = append(out, pdfText{x: 72, y: 700 - float64(i)*size*1.2, size: size, text: l})
	}
	return out
}

// numberedPages is a document whose pages say which they are, in sentences enough to look like a real one.
func numberedPages(n int) pdfSpec {
	var spec pdfSpec
	for i := range n {
		lines := []string{fmt.Sprintf("This is the text of sheet number %d of the shipping manual.", i+1)}
		for j := range 30 {
			lines = append(lines, fmt.Sprintf("Line %d of sheet %d says that goods are handed over at the gate in good order.", j+2, i+1))
		}
		spec.pages = append(spec.pages, paragraphPage(11, lines...))
	}
	return spec
}
