package extract

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestMarkdown(t *testing.T) {
	text := "---\ntitle: Leave Policy\nauthor: People Team\ntags: [hr, leave]\n---\n" +
		"# Leave\n\nA *first* paragraph with `code`, a [link](https://example.com) and\na second line \\*kept\\*.\n\n" +
		"## Kinds {#x}\n\n- sick leave\n- holidays\n  1. summer\n  2. winter\n\n" +
		"| Kind | Days |\n|---|---|\n| Sick | 10 |\n| **Parental** | 90 \\| 120 |\n\n```go\nx := 1\n\ny := 2\n```\n\n> quoted & said\n\n<div>raw <b>text</b><script>no()</script></div>\n"
	x := inProcess(t, Default(), "leave.md", "", []byte(text))
	if x.err != nil || x.Title != "Leave Policy" || x.Metadata["author"] != "People Team" || x.Metadata["tags"] != "hr, leave" {
		t.Fatalf("%v: %+v", x.err, x.Result)
	}
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindHeading, Text: "Leave", Level: 1, Anchor: "#leave"},
		{Kind: KindText, Text: "A first paragraph with code, a link and a second line *kept*."},
		{Kind: KindHeading, Text: "Kinds {#x}", Level: 2, Anchor: "#kinds-x"},
		{Kind: KindList, Text: "- sick leave\n- holidays\n  1. summer\n  2. winter"},
		{Kind: KindTable, Text: "Kind | Days\nSick | 10\nParental | 90 | 120", Header: 1},
		{Kind: KindCode, Text: "x := 1\n\ny := 2"},
		{Kind: KindText, Text: "quoted & said"},
		{Kind: KindText, Text: "raw text"},
	})
}

func TestFrontMatterThatIsNotYAMLIsReportedAndTheRestRead(t *testing.T) {
	x := inProcess(t, Default(), "a.md", "", []byte("---\n: [\n---\n# A\n\nBody.\n"))
	if x.err != nil || len(x.Warnings) != 1 || len(x.blocks) != 2 {
		t.Fatalf("%v: %+v, %d blocks", x.err, x.Result, len(x.blocks))
	}
}

func TestHTML(t *testing.T) {
	page := `<!DOCTYPE html><html lang="en-GB"><head><title>Customs  guide</title><meta name="author" content="T. Ito"><style>p{}</style></head>
<body><nav><a href="/">Home</a><a href="/x">Elsewhere</a></nav><script>var x = "secret"</script>
<h1>Customs</h1><p>Goods are <b>declared</b> before arrival &amp; checked after it_again_.</p><p style="display: none">hidden</p>
<table><thead><tr><th>Class</th><th>Duty</th></tr></thead><tbody><tr><td>Steel</td><td>5 %</td></tr><tr><td>Silk</td><td>12 %</td></tr></tbody></table>
<ul><li>One</li><li>Two<ul><li>Inner</li></ul></li></ul><h2>Appeals</h2><p>Within 30 days.</p></body></html>`
	x := inProcess(t, Default(), "guide.html", "", []byte(page))
	if x.err != nil || x.Title != "Customs guide" || x.Metadata["author"] != "T. Ito" || x.Language != "en" || x.MediaType != "text/html" {
		t.Fatalf("%v: %+v", x.err, x.Result)
	}
	for i := range x.blocks {
		x.blocks[i].Anchor = ""
	}
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindHeading, Text: "Customs", Level: 1},
		{Kind: KindText, Text: "Goods are declared before arrival & checked after it_again_."},
		{Kind: KindTable, Text: "Class | Duty\nSteel | 5 %\nSilk | 12 %", Header: 1},
		{Kind: KindList, Text: "- One\n- Two\n  - Inner"},
		{Kind: KindHeading, Text: "Appeals", Level: 2},
		{Kind: KindText, Text: "Within 30 days."},
	})
}

func TestAPageThatIsMostlyLinksIsReadForItsArticle(t *testing.T) {
	links := strings.Repeat(`<li><a href="/p">Another page of this site that is of no interest</a></li>`, 60)
	body := strings.Repeat("<p>The terminal handles containers of every size, and it does so at night as well as by day, with care.</p>", 12)
	page := "<html><body><div><ul>" + links + "</ul></div><div id=content><h1>Terminal</h1>" + body + "</div><div><ul>" + links + "</ul></div></body></html>"
	x := inProcess(t, Default(), "a.html", "", []byte(page))
	if x.err != nil || strings.Contains(x.text(), "no interest") || strings.Count(x.text(), "The terminal handles") != 12 {
		t.Fatalf("%v: %.600s", x.err, x.text())
	}
}

func TestCharsets(t *testing.T) {
	text := "Größe und Gewicht: 12 m³, für jede Straße. Die Fähre fährt täglich außer sonntags nach Malmö."
	latin := make([]byte, 0, len(text))
	for _, r := range text {
		latin = append(latin, byte(r))
	}
	wide := func(big, mark bool) []byte {
		var out []byte
		units := utf16.Encode([]rune(text))
		if mark {
			units = append([]uint16{0xfeff}, units...)
		}
		for _, u := range units {
			if big {
				out = append(out, byte(u>>8), byte(u))
			} else {
				out = append(out, byte(u), byte(u>>8))
			}
		}
		return out
	}
	for name, content := range map[string][]byte{
		"UTF-8":                          []byte(text),
		"UTF-8 with a mark":              append([]byte("\xef\xbb\xbf"), text...),
		"Latin-1":                        latin,
		"UTF-16 little-endian":           wide(false, true),
		"UTF-16 big-endian":              wide(true, true),
		"UTF-16 little-endian, unmarked": wide(false, false),
		"UTF-16 big-endian, unmarked":    wide(true, false),
	} {
		x := inProcess(t, Default(), "a.txt", "", content)
		if x.err != nil || x.text() != text || x.Language != "de" {
			t.Errorf("%s: %v, %q, %q", name, x.err, x.text(), x.Language)
		}
	}
	page := append([]byte(`<html><head><meta charset="iso-8859-1"></head><body><p>`), latin...)
	if x := inProcess(t, Default(), "a.html", "", page); x.text() != text {
		t.Errorf("a page with a declared charset: %q", x.text())
	}
}

func TestPlainText(t *testing.T) {
	x := inProcess(t, Default(), "notes.txt", "", []byte("First line\r\nsecond line\r\n\r\n\r\nNext\x00 par\u00adagraph with ﬁne print\f\nLast"))
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindText, Text: "First line\nsecond line"},
		{Kind: KindText, Text: "Next paragraph with fine print"},
		{Kind: KindText, Text: "Last"},
	})
	if x.Title != "notes" {
		t.Errorf("title is %q", x.Title)
	}
}

func TestCSV(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             []Block
		warnings         []string
	}{
		{"commas and quotes", "a.csv", "id,name,note\n1,\"Smith, J.\",\"two\nlines\"\n2,Doe,\n", []Block{
			{Kind: KindRecord, Text: "id: 1\nname: Smith, J.\nnote: two\nlines", Anchor: "line 2"},
			{Kind: KindRecord, Text: "id: 2\nname: Doe", Anchor: "line 4"}}, nil},
		{"semicolons, with commas in numbers", "a.csv", "Port;Fee;Year\nOslo;1,5;2020\nRiga;2,5;2021\n", []Block{
			{Kind: KindRecord, Text: "Port: Oslo\nFee: 1,5\nYear: 2020", Anchor: "line 2"},
			{Kind: KindRecord, Text: "Port: Riga\nFee: 2,5\nYear: 2021", Anchor: "line 3"}}, nil},
		{"tabs", "a.tsv", "a\tb\n1\tx, y\n", []Block{{Kind: KindRecord, Text: "a: 1\nb: x, y", Anchor: "line 2"}}, nil},
		{"no header", "a.csv", "1,2\n3,4\n", []Block{
			{Kind: KindRecord, Text: "column 1: 1\ncolumn 2: 2", Anchor: "line 1"},
			{Kind: KindRecord, Text: "column 1: 3\ncolumn 2: 4", Anchor: "line 2"}}, nil},
		{"too many and too few cells", "a.csv", "a,b\n1,2,3\n4\n", []Block{
			{Kind: KindRecord, Text: "a: 1\nb: 2\ncolumn 3: 3", Anchor: "line 2"},
			{Kind: KindRecord, Text: "a: 4", Anchor: "line 3"}},
			[]string{"line 2: 3 cells where the header has 2", "line 3: 1 cells where the header has 2"}},
		{"a quote that is never closed", "a.csv", "a,b\n1,\"broken\n2,fine\n", []Block{
			{Kind: KindRecord, Text: "a: 1\nb: \"broken", Anchor: "line 2"},
			{Kind: KindRecord, Text: "a: 2\nb: fine", Anchor: "line 3"}},
			[]string{"line 2: a quote is not closed; the line was split at every delimiter"}},
		{"a header alone", "a.csv", "Port,Fee\n", []Block{{Kind: KindRecord, Text: "Port, Fee", Anchor: "line 1"}}, nil},
		{"quotes that were not escaped", "a.csv", "a,b\n\"say \"hi\" now\",2\n", []Block{{Kind: KindRecord, Text: "a: say hi\" now\"\nb: 2", Anchor: "line 2"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := inProcess(t, Default(), c.file, "", []byte(c.text))
			if x.err != nil {
				t.Fatal(x.err)
			}
			compareBlocks(t, x.blocks, c.want)
			if fmt.Sprint(x.Warnings) != fmt.Sprint(c.warnings) {
				t.Errorf("warnings are %q", x.Warnings)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)
	for _, c := range []struct {
		name, file, text string
		want             []Block
		code             string
		partial          bool
	}{
		{"an array of objects", "a.json", `[{"id":1,"tags":["x","y"],"by":{"name":"Ito","n":null}},{"id":2}]`, []Block{
			{Kind: KindRecord, Text: "id: 1\ntags: x, y\nby.name: Ito", Anchor: "$[0]"},
			{Kind: KindRecord, Text: "id: 2", Anchor: "$[1]"}}, "", false},
		{"an object that holds records", "a.json", `{"name":"Fees","items":[{"p":"Oslo","lines":[{"n":1},{"n":2}]},{"p":"Riga"}],"codes":[1,2.50],"ok":true}`, []Block{
			{Kind: KindRecord, Text: "name: Fees", Anchor: "$"},
			{Kind: KindRecord, Text: "p: Oslo\nlines[0].n: 1\nlines[1].n: 2", Anchor: "$.items[0]"},
			{Kind: KindRecord, Text: "p: Riga", Anchor: "$.items[1]"},
			{Kind: KindRecord, Text: "codes: 1, 2.50\nok: true", Anchor: "$"}}, "", false},
		{"lines", "a.jsonl", "{\"a\":1}\n\n{\"a\":2}\n", []Block{
			{Kind: KindRecord, Text: "a: 1", Anchor: "line 1"}, {Kind: KindRecord, Text: "a: 2", Anchor: "line 3"}}, "", false},
		{"a bad line among good ones", "a.jsonl", "{\"a\":1}\n{\"a\":\n{\"a\":3}\n", []Block{
			{Kind: KindRecord, Text: "a: 1", Anchor: "line 1"}, {Kind: KindRecord, Text: "a: 3", Anchor: "line 3"}}, "", true},
		{"no good line", "a.jsonl", "{\n{\n", nil, CodeDamaged, false},
		{"cut short", "a.json", `[{"a":1},{"a":`, []Block{{Kind: KindRecord, Text: "a: 1", Anchor: "$[0]"}}, "", true},
		{"broken at its start", "a.json", `{"a" 1}`, nil, CodeDamaged, false},
		{"nested too deep", "a.json", deep, nil, CodeDamaged, false},
		{"a number for the range of no float", "a.json", `{"n": 123456789012345678901234567890}`, []Block{{Kind: KindRecord, Text: "n: 123456789012345678901234567890", Anchor: "$"}}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := inProcess(t, Default(), c.file, "", []byte(c.text))
			if x.code() != c.code || x.Partial != c.partial {
				t.Fatalf("%v, partial %v, %q", x.err, x.Partial, x.Warnings)
			}
			compareBlocks(t, x.blocks, c.want)
		})
	}
	x := inProcess(t, Default(), "a.json", "", []byte("{\n  \"a\": 1,\n  b: 2\n}"))
	if x.err == nil || !strings.Contains(x.err.Error(), "line 3, column 3") {
		t.Errorf("the place is not named: %v", x.err)
	}
}

func TestTheContentDecidesWhatAFileIs(t *testing.T) {
	docx := writeDOCX(t, map[string]string{"word/document.xml": documentXML(`<w:p><w:r><w:t>Hello</w:t></w:r></w:p>`)})
	pdf := writePDF(numberedPages(1))
	for _, c := range []struct {
		name, file, declared string
		content              []byte
		mediaType, code      string
	}{
		{"a PDF called .txt", "a.txt", "", pdf, "application/pdf", ""},
		{"a PDF called .docx", "a.docx", "", pdf, "application/pdf", ""},
		{"a DOCX called .pdf", "a.pdf", "", docx, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", ""},
		{"a DOCX without an extension", "a", "", docx, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", ""},
		{"HTML called .txt", "a.txt", "", []byte("<!doctype html><p>Hi there"), "text/html", ""},
		{"HTML called .csv", "a.csv", "", []byte("<html><body><p>Hi there"), "text/html", ""},
		{"JSON called .txt", "a.txt", "", []byte(`{"a": "b"}`), "application/json", ""},
		{"CSV by its declared type", "a", "text/csv; charset=utf-8", []byte("a,b\n1,2\n"), "text/csv", ""},
		{"Markdown by its declared type", "a", "text/markdown", []byte("# A\n\nb\n"), "text/markdown", ""},
		{"text in an HTML file", "a.html", "", []byte("no tags at all"), "text/plain", ""},
		{"prose in a JSON file", "a.json", "", []byte(strings.Repeat("This is no JSON at all. ", 5)), "text/plain", ""},
		{"lines of JSON called .json", "a.json", "", []byte("{\"a\":1}\n{\"a\":2}\n"), "application/json", ""},
		{"text called .pdf", "a.pdf", "", []byte("I am no PDF but readable text."), "text/plain", ""},
		{"a source file", "main.go", "", []byte("package main\n\nfunc main() {}\n"), "text/plain", ""},
		{"an image", "a.png", "", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "", CodeNoOCR},
		{"an image called .pdf", "a.pdf", "", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "", CodeNoOCR},
		{"a film", "a.mp4", "", []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), "", CodeUnsupported},
		{"garbage called .txt", "a.txt", "", garbage(4000), "", CodeDamaged},
		{"garbage called .csv", "a.csv", "", garbage(4000), "", CodeDamaged},
		{"garbage without an extension", "a", "", garbage(4000), "", CodeUnsupported},
		{"RTF", "a.rtf", "", []byte(`{\rtf1\ansi Hello}`), "", CodeUnsupported},
		{"an encrypted Office file", "a.docx", "", append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "....E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00"...), "", CodeEncrypted},
		{"an old Word file", "a.doc", "", append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "WordDocument"...), "", CodeUnsupported},
		{"a workbook called .csv", "a.csv", "", writeXLSX(t, nil), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ""},
		{"an archive", "a.zip", "", writeZip(t, map[string]string{"readme.txt": "Hello"}), "", CodeUnsupported},
		{"spaces only", "a.txt", "", []byte(" \n\t \n"), "", CodeEmpty},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := inProcess(t, Default(), c.file, c.declared, c.content)
			if x.code() != c.code || x.err == nil && x.MediaType != c.mediaType {
				t.Errorf("got %q (%v), %q", x.code(), x.err, x.MediaType)
			}
			if c.code == CodeUnsupported && !strings.Contains(faultHint(x.err), "PDF, DOCX, PPTX") {
				t.Errorf("the hint does not list what is read: %q", faultHint(x.err))
			}
		})
	}
}

// garbage is bytes that are no text in any charset.
func garbage(n int) []byte {
	out := make([]byte, n)
	state := uint32(1)
	for i := range out {
		state = state*1664525 + 1013904223
		out[i] = byte(state >> 24)
	}
	out[0] = 0x07
	return out
}

func TestTextAboveTheLimitIsLeftOutAndSaidToBe(t *testing.T) {
	c := Default()
	c.MaxTextBytes = 1000
	x := inProcess(t, c, "a.txt", "", []byte(strings.Repeat("word and\n\n", 1000)))
	if x.err != nil || !x.Partial || len(x.text()) < 900 || len(x.text()) > 2000 {
		t.Fatalf("%v, partial %v, %d bytes", x.err, x.Partial, len(x.text()))
	}
}

func TestALongTextComesInBoundedFrames(t *testing.T) {
	x := inProcess(t, Default(), "a.txt", "", []byte("start "+strings.Repeat("é<&> ", 300_000)))
	if x.err != nil || len(x.pages) < 3 {
		t.Fatalf("%v, %d frames", x.err, len(x.pages))
	}
	if got := len(strings.Fields(x.text())); got != 300_001 {
		t.Errorf("%d words are left", got)
	}
}
