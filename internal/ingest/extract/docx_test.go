package extract

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"airfield/internal/fault"
)

func faultHint(err error) string { return fault.As(err).Hint }

func writeZip(t testing.TB, parts map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(parts[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const wordNS = `xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"`

func documentXML(body string) string {
	return `<?xml version="1.0"?><w:document ` + wordNS + ` xmlns:mc="mc" xmlns:v="v"><w:body>` + body + `</w:body></w:document>`
}

func writeDOCX(t testing.TB, parts map[string]string) []byte {
	t.Helper()
	all := map[string]string{
		"[Content_Types].xml": "<Types/>",
		"_rels/.rels":         `<Relationships><Relationship Type="http://x/officeDocument" Target="/word/document.xml"/></Relationships>`,
		"word/styles.xml": `<w:styles ` + wordNS + `>
<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:pPr><w:numPr><w:numId w:val="2"/></w:numPr></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="Abschnitt"/><w:basedOn w:val="Heading1"/><w:pPr><w:outlineLvl w:val="1"/><w:numPr><w:ilvl w:val="1"/></w:numPr></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Loop"><w:basedOn w:val="Loop"/></w:style></w:styles>`,
		"word/numbering.xml": `<w:numbering ` + wordNS + `>
<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl><w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%2)"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl><w:lvl w:ilvl="1"><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num></w:numbering>`,
		"docProps/core.xml": `<cp><title>Carriage Contract</title><creator>L. Vidal</creator><created>2024-02-03T00:00:00Z</created></cp>`,
		"word/footnotes.xml": `<w:footnotes ` + wordNS + `><w:footnote w:type="separator" w:id="0"><w:p><w:r><w:t>---</w:t></w:r></w:p></w:footnote>
<w:footnote w:id="2"><w:p><w:r><w:t xml:space="preserve"> As amended.</w:t></w:r></w:p></w:footnote></w:footnotes>`,
	}
	maps.Copy(all, parts)
	return writeZip(t, all)
}

func para(style, text string) string {
	return fmt.Sprintf(`<w:p><w:pPr><w:pStyle w:val="%s"/></w:pPr><w:r><w:t>%s</w:t></w:r></w:p>`, style, text)
}

func listed(level int, text string) string {
	return fmt.Sprintf(`<w:p><w:pPr><w:numPr><w:ilvl w:val="%d"/><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>%s</w:t></w:r></w:p>`, level, text)
}

func TestDOCX(t *testing.T) {
	cell := func(body string) string { return "<w:tc><w:tcPr><w:tcW/></w:tcPr>" + body + "</w:tc>" }
	body := para("Heading1", "Carriage") + para("berschrift2", "Liability") +
		`<w:p><w:r><w:t>The carrier</w:t></w:r><w:r><w:t xml:space="preserve"> is </w:t><w:tab/><w:t>liable</w:t></w:r><w:del><w:r><w:delText>not</w:delText></w:r></w:del><w:ins><w:r><w:t xml:space="preserve"> &amp; insured</w:t></w:r></w:ins><w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>` +
		listed(0, "steel") + listed(1, "flat") + listed(1, "long") + listed(0, "silk") +
		para("berschrift2", "Rates") +
		`<w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr>` + cell(para("", "Route")) + cell(para("", "Rate")) + `</w:tr><w:tr>` + cell(para("", "North")+para("", "Sea")) + cell(para("", "7")) + `</w:tr></w:tbl>` +
		`<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>` + para("", "In a box") + `</w:txbxContent></mc:Choice><mc:Fallback><v:textbox><w:txbxContent>` + para("", "In a box") + `</w:txbxContent></v:textbox></mc:Fallback></mc:AlternateContent></w:r></w:p>` +
		`<w:sdt><w:sdtContent>` + para("Loop", "In a control") + `</w:sdtContent></w:sdt>` + para("Heading1", "Law")
	x := inProcess(t, Default(), "contract.docx", "", writeDOCX(t, map[string]string{"word/document.xml": documentXML(body)}))
	if x.err != nil || x.Title != "Carriage Contract" || x.Metadata["author"] != "L. Vidal" || x.Metadata["created"] != "2024-02-03T00:00:00Z" {
		t.Fatalf("%v: %+v", x.err, x.Result)
	}
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindHeading, Text: "1. Carriage", Level: 1},
		{Kind: KindHeading, Text: "1.1 Liability", Level: 2},
		{Kind: KindText, Text: "The carrier is  liable & insured[^1]"},
		{Kind: KindText, Text: "[^1] As amended."},
		{Kind: KindList, Text: "- steel\n  a) flat\n  b) long\n- silk"},
		{Kind: KindHeading, Text: "1.2 Rates", Level: 2},
		{Kind: KindTable, Text: "Route | Rate\nNorth Sea | 7", Header: 1},
		{Kind: KindText, Text: "In a box"},
		{Kind: KindText, Text: "In a control"},
		{Kind: KindHeading, Text: "2. Law", Level: 1},
	})
}

func TestBadDOCX(t *testing.T) {
	good := writeDOCX(t, map[string]string{"word/document.xml": documentXML(strings.Repeat(para("", "Some text of a contract."), 2000))})
	many := map[string]string{"word/document.xml": documentXML("")}
	for i := range 300 {
		many[fmt.Sprintf("word/media/%d", i)] = "x"
	}
	for _, c := range []struct {
		name    string
		content []byte
		code    string
		partial bool
	}{
		{"one entry that unpacks to far more than its size", writeDOCX(t, map[string]string{"word/document.xml": documentXML("<w:p/>" + strings.Repeat(" ", 30<<20))}), CodeZipBomb, false},
		{"more in all than allowed", writeDOCX(t, map[string]string{"word/document.xml": documentXML(""), "word/a": strings.Repeat("ab", 1<<20), "word/b": strings.Repeat("ba", 1<<20), "word/c": strings.Repeat("cd", 20<<20)}), CodeZipBomb, false},
		{"more entries than allowed", writeZip(t, many), CodeZipBomb, false},
		{"an entry that lies about its size", lyingZip(t), CodeDamaged, false},
		{"cut short", good[:len(good)/2], CodeDamaged, false},
		{"XML that ends in the middle", writeDOCX(t, map[string]string{"word/document.xml": "<w:document " + wordNS + "><w:body>" + para("", "Kept") + "<w:p><w:r><w:t>Lost"}), "", true},
		{"no main part", writeDOCX(t, map[string]string{"word/other.xml": ""}), CodeDamaged, false},
		{"no text", writeDOCX(t, map[string]string{"word/document.xml": documentXML("<w:p/>")}), CodeEmpty, false},
		{"tables in tables without end", writeDOCX(t, map[string]string{"word/document.xml": documentXML(strings.Repeat("<w:tbl><w:tr><w:tc>", 5000))}), CodeDamaged, false},
		{"elements in elements without end", writeDOCX(t, map[string]string{"word/document.xml": documentXML(strings.Repeat("<w:p>", 200_000))}), CodeDamaged, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			limits := Default()
			limits.MaxArchiveBytes, limits.MaxArchiveEntries = 40<<20, 200
			x := inProcess(t, limits, "a.docx", "", c.content)
			if x.code() != c.code || x.Partial != c.partial {
				t.Errorf("got %q (%v), partial %v, %q", x.code(), x.err, x.Partial, x.Warnings)
			}
			if c.code != "" && !Permanent(x.err) {
				t.Errorf("%v is not permanent", x.err)
			}
		})
	}
}

// lyingZip declares ten bytes for a main part that has more.
func lyingZip(t *testing.T) []byte {
	raw := writeDOCX(t, map[string]string{"word/document.xml": documentXML(strings.Repeat(para("", "x"), 10_000))})
	name := []byte("word/document.xml")
	at := bytes.LastIndex(raw, append([]byte{}, name...)) // in the central directory
	copy(raw[at-46+24:], []byte{10, 0, 0, 0})
	return raw
}
