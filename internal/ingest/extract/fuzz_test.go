package extract

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzReader runs one reader over anything and checks what every reader owes: no panic, clean text, an ended answer.
func fuzzReader(t *testing.T, name string, content []byte) {
	if len(content) == 0 {
		return
	}
	c := Default()
	c.MaxTextBytes, c.MaxArchiveBytes = 1<<20, 8<<20
	x := inProcess(t, c, name, "", content)
	if x.err != nil && x.code() == "internal" {
		t.Fatalf("an error nobody expected: %v", x.err)
	}
	if x.err != nil && strings.Contains(x.err.Error(), "only damaged files do") {
		t.Fatal("the reader panicked")
	}
	for _, b := range x.blocks {
		if b.Text == "" || b.Text != strings.TrimSpace(b.Text) || !utf8.ValidString(b.Text) || strings.ContainsAny(b.Text, "\x00\r\t") {
			t.Fatalf("the text %q is not clean", b.Text)
		}
		if b.Kind == KindHeading && (b.Level < 1 || b.Level > 6) || b.Kind == KindTable && b.Header > strings.Count(b.Text, "\n") {
			t.Fatalf("the block %+v is not right", b)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,\"x\ny\"\n"))
	f.Add([]byte("a;b\n\"1\"\"2\";3\n\"open\n"))
	f.Add([]byte("\"\n\"\n,,\r,\r\n"))
	f.Fuzz(func(t *testing.T, content []byte) { fuzzReader(t, "a.csv", content) })
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":{"d":"e"}}`))
	f.Add([]byte("[1,[2,[3]],{\"\":\"\"}]"))
	f.Add([]byte("{\"a\":1}\n{\"a\":2} x"))
	f.Fuzz(func(t *testing.T, content []byte) {
		fuzzReader(t, "a.json", content)
		fuzzReader(t, "a.jsonl", content)
	})
}

func FuzzMarkdownAndHTML(f *testing.F) {
	f.Add([]byte("---\na: 1\n---\n# H\n\n- x\n  - y\n\n| a |\n|---|\n| b |\n"))
	f.Add([]byte("| \x7f |\n|---|\n| b |\n"))
	f.Add([]byte("<table><tr><td>a<td>b</table><ul><li>x<ul><li>y"))
	f.Fuzz(func(t *testing.T, content []byte) {
		fuzzReader(t, "a.md", content)
		fuzzReader(t, "a.html", content)
	})
}

// FuzzDOCX varies the parts, because varied bytes of a zip seldom get past its checksums.
func FuzzDOCX(f *testing.F) {
	f.Add(documentXML(para("Heading1", "A")+listed(0, "x")), "<w:styles/>", "<w:numbering/>")
	f.Add(documentXML("<w:tbl><w:tr><w:tc>"+para("", "x")+"</w:tc></w:tr></w:tbl>"), `<s><style styleId="Heading1"><basedOn val="Heading1"/></style></s>`,
		`<n><abstractNum abstractNumId="0"><lvl ilvl="0"><numFmt val="upperRoman"/><lvlText val="%1%9"/><start val="-5"/></lvl></abstractNum><num numId="1"><abstractNumId val="0"/></num></n>`)
	f.Fuzz(func(t *testing.T, document, styles, numbering string) {
		fuzzReader(t, "a.docx", writeDOCX(t, map[string]string{"word/document.xml": document, "word/styles.xml": styles, "word/numbering.xml": numbering}))
	})
}

func FuzzPPTX(f *testing.F) {
	f.Add(titleShape("title", "A")+textShape("<a:p/>"), "<a:p/>")
	f.Add(slideTableXML(`<a:tr><a:tc vMerge="1"/></a:tr>`)+"<p:grpSp><p:grpSp/></p:grpSp>", "<a:p><a:pPr lvl=\"9\"/><a:fld><a:t>x</a:t></a:fld></a:p>")
	f.Fuzz(func(t *testing.T, shapes, notes string) {
		fuzzReader(t, "a.pptx", writePPTX(t, []testSlide{{shapes: shapes, notes: notes}}, nil))
	})
}

func FuzzXLSX(f *testing.F) {
	book := writeXLSX(f, nil)
	f.Add(`<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row></sheetData><mergeCells><mergeCell ref="A1:C9"/></mergeCells></worksheet>`, "<sst><si><t>x</t></si></sst>")
	f.Add(`<worksheet><sheetData><row r="7"><c r="XFD7" t="inlineStr"><is><t>y</t></is></c></row><row/><row r="2"><c><f>1</f></c></row></sheetData>`, "<sst/>")
	f.Fuzz(func(t *testing.T, sheet, texts string) {
		fuzzReader(t, "a.xlsx", changeParts(t, book, map[string]string{"xl/worksheets/sheet1.xml": sheet, "xl/sharedStrings.xml": texts}))
	})
}

func FuzzFrame(f *testing.F) {
	var good bytes.Buffer
	_ = writeFrame(&good, reply{Page: &Page{Number: 3, Blocks: []Block{{Kind: KindText, Text: "x"}}}})
	f.Add(good.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0, 0, 0, 2, '{'})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		for {
			var answer reply
			err := readFrame(r, &answer)
			if err == io.EOF && r.Len() != 0 {
				t.Fatal("ended before the end")
			}
			if err != nil {
				return
			}
			var again bytes.Buffer
			if err := writeFrame(&again, answer); err != nil {
				t.Fatal(err)
			}
			var same reply
			if err := readFrame(&again, &same); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFrames(t *testing.T) {
	if err := writeFrame(io.Discard, strings.Repeat("x", maxFrame)); err == nil {
		t.Error("a frame above the bound was written")
	}
	huge := binary.BigEndian.AppendUint32(nil, maxFrame+1)
	var v any
	if err := readFrame(bytes.NewReader(huge), &v); err == nil || err == io.EOF {
		t.Errorf("a frame above the bound: %v", err)
	}
	if err := readFrame(bytes.NewReader([]byte{0, 0, 0, 9, '1'}), &v); err == nil || err == io.EOF {
		t.Errorf("a frame cut short: %v", err)
	}
}
