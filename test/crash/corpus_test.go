package crash

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// word is a word that no other number and no language has.
func word(n int) string {
	const letters = "bcdfghjklmnpqrtvwxz"
	b := []byte("zq")
	for range 4 {
		b = append(b, letters[n%len(letters)], 'o')
		n /= len(letters)
	}
	return string(append(b, 'k'))
}

// kinds are the formats of generated documents.
var kinds = []string{"md", "txt", "csv", "json", "html", "docx", "md", "txt", "html", "pdf"}

// page is a generated document: its name in the folder, its bytes, and a word that only it holds.
type page struct {
	name, word string
	text       []byte
}

// generate makes the document of a number. Another edition of it has another word.
func generate(n, edition int) page {
	kind := kinds[n%len(kinds)]
	p := page{name: fmt.Sprintf("%s/paper-%04d.%s", []string{"north", "south", "east"}[n%3], n, kind), word: word(n + 1_000*edition)}
	sentences := func(part int) string {
		var b strings.Builder
		for i := range 12 {
			fmt.Fprintf(&b, "Container %d of lot %d waits %d hours at gate %d before the customs officer signs paper %d. ", i+1, part+1, 3*i+part, (n+i)%17, n)
		}
		return b.String()
	}
	mark := fmt.Sprintf("The password of this paper is %s.", p.word)
	switch kind {
	case "md":
		p.text = fmt.Appendf(nil, "# Paper %d\n\n%s\n\n## Mark\n\n%s\n\n## Rest\n\n%s\n", n, sentences(0), mark, sentences(1))
	case "txt":
		p.text = fmt.Appendf(nil, "%s\n\n%s\n\n%s\n", sentences(0), mark, sentences(1))
	case "csv":
		p.text = fmt.Appendf(nil, "lot,place,note\n%d,quay,%s\n", n, mark)
		for i := range 20 {
			p.text = fmt.Appendf(p.text, "%d,yard %d,waits %d hours\n", n+i, i, 2*i)
		}
	case "json":
		p.text, _ = json.Marshal(map[string]any{"paper": n, "mark": mark, "lots": []string{sentences(0), sentences(1)}})
	case "html":
		p.text = fmt.Appendf(nil, "<!doctype html><html><head><title>Paper %d</title></head><body><h1>Paper %d</h1><p>%s</p><h2>Mark</h2><p>%s</p></body></html>", n, n, sentences(0), mark)
	case "docx":
		p.text = docx(sentences(0), mark, sentences(1))
	case "pdf":
		p.text = pdf(fmt.Sprintf("Paper %d of the port", n), mark, "Goods are handed over at the gate in good order.")
	}
	return p
}

// docx writes a document of paragraphs.
func docx(paragraphs ...string) []byte {
	var body strings.Builder
	for _, p := range paragraphs {
		fmt.Fprintf(&body, "<w:p><w:r><w:t>%s</w:t></w:r></w:p>", p)
	}
	return archive(map[string]string{
		"[Content_Types].xml": `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`,
		"_rels/.rels":         `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`,
		"word/document.xml":   `<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>` + body.String() + `</w:body></w:document>`,
	})
}

func archive(files map[string]string) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range []string{"[Content_Types].xml", "_rels/.rels", "word/document.xml"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(files[name]))
		}
		if err != nil {
			panic(err) // memory does not refuse
		}
	}
	z.Close()
	return out.Bytes()
}

// pdf writes one page with a line for each text.
func pdf(lines ...string) []byte { return pdfWith("", lines...) }

// pdfWith adds entries to the trailer.
func pdfWith(trailer string, lines ...string) []byte { return pdfPages(trailer, lines) }

// pdfPages writes a page for each list of lines.
func pdfPages(trailer string, pages ...[]string) []byte {
	var kids strings.Builder
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"}
	for _, lines := range pages {
		var content bytes.Buffer
		for i, l := range lines {
			fmt.Fprintf(&content, "BT /F1 12 Tf 72 %d Td (%s) Tj ET\n", 720-20*i, l)
		}
		fmt.Fprintf(&kids, "%d 0 R ", len(objects)+1)
		objects = append(objects,
			fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>", len(objects)+2),
			fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", content.Len(), content.String()))
	}
	objects[1] = fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(pages), kids.String())
	var out bytes.Buffer
	var offsets []int
	out.WriteString("%PDF-1.7\n")
	for i, object := range objects {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, trailer, xref)
	return out.Bytes()
}
