package extract

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// testSlide is one slide of a test presentation: its shapes, and the paragraphs of its notes.
type testSlide struct{ shapes, notes string }

const slideNS = `xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:mc="mc" xmlns:dgm="dgm"`

func slideXML(root, shapes string) string {
	return fmt.Sprintf(`<?xml version="1.0"?><p:%s %s><p:cSld><p:spTree><p:nvGrpSpPr/>%s</p:spTree></p:cSld></p:%[1]s>`, root, slideNS, shapes)
}

func relationXML(id, kind, target string) string {
	return fmt.Sprintf(`<Relationship Id="%s" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"/>`, id, kind, target)
}

// writePPTX numbers its slide parts backwards, so that only the presentation's list tells their order.
func writePPTX(t testing.TB, slides []testSlide, parts map[string]string) []byte {
	t.Helper()
	all := map[string]string{
		"[Content_Types].xml": "<Types/>",
		"_rels/.rels":         "<Relationships>" + relationXML("rId1", "officeDocument", "ppt/presentation.xml") + "</Relationships>",
		"docProps/core.xml":   `<cp><title>Harbour review</title><creator>R. Okafor</creator></cp>`,
	}
	var list, relations strings.Builder
	for i, s := range slides {
		n := len(slides) - i
		fmt.Fprintf(&list, `<p:sldId id="%d" r:id="rId%d"/>`, 256+i, n)
		relations.WriteString(relationXML(fmt.Sprintf("rId%d", n), "slide", fmt.Sprintf("slides/slide%d.xml", n)))
		all[fmt.Sprintf("ppt/slides/slide%d.xml", n)] = slideXML("sld", s.shapes)
		own := relationXML("rId7", "diagramData", "../diagrams/data1.xml")
		if s.notes != "" {
			own += relationXML("rId1", "notesSlide", fmt.Sprintf("../notesSlides/notesSlide%d.xml", n))
			all[fmt.Sprintf("ppt/notesSlides/notesSlide%d.xml", n)] = slideXML("notes", titleShape("sldNum", "9")+titleShape("body", s.notes))
		}
		all[fmt.Sprintf("ppt/slides/_rels/slide%d.xml.rels", n)] = "<Relationships>" + own + "</Relationships>"
	}
	all["ppt/presentation.xml"] = fmt.Sprintf(`<p:presentation %s><p:sldIdLst>%s</p:sldIdLst></p:presentation>`, slideNS, list.String())
	all["ppt/_rels/presentation.xml.rels"] = "<Relationships>" + relations.String() + "</Relationships>"
	maps.Copy(all, parts)
	return writeZip(t, all)
}

func point(level int, text string) string {
	return fmt.Sprintf(`<a:p><a:pPr lvl="%d"/><a:r><a:rPr/><a:t>%s</a:t></a:r></a:p>`, level, text)
}

func titleShape(kind, text string) string {
	return fmt.Sprintf(`<p:sp><p:nvSpPr><p:nvPr><p:ph type="%s"/></p:nvPr></p:nvSpPr><p:txBody>%s</p:txBody></p:sp>`, kind, point(0, text))
}

func bodyShape(points string) string {
	return `<p:sp><p:nvSpPr><p:nvPr><p:ph idx="1"/></p:nvPr></p:nvSpPr><p:txBody>` + points + `</p:txBody></p:sp>`
}

func textShape(paragraphs string) string {
	return `<p:sp><p:nvSpPr><p:nvPr/></p:nvSpPr><p:txBody>` + paragraphs + `</p:txBody></p:sp>`
}

func slideTableXML(rows string) string {
	return `<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tblPr firstRow="1"/>` + rows + `</a:tbl></a:graphicData></a:graphic></p:graphicFrame>`
}

func TestPPTX(t *testing.T) {
	cell := func(attributes, text string) string {
		return "<a:tc " + attributes + "><a:txBody>" + point(0, text) + "</a:txBody></a:tc>"
	}
	empty := `<a:tc vMerge="1"><a:txBody><a:p/></a:txBody></a:tc>`
	slides := []testSlide{
		{shapes: titleShape("subTitle", "Third quarter") + titleShape("ctrTitle", "Harbour") + titleShape("sldNum", "1")},
		{shapes: bodyShape(point(0, "Cranes")+point(1, "two repaired")+`<a:p><a:r><a:t>Piers </a:t></a:r><a:br/><a:r><a:t>closed</a:t></a:r></a:p>`) + titleShape("title", "State") +
			`<p:grpSp><p:grpSp>` + textShape(point(0, "In a group")) + `</p:grpSp></p:grpSp>` +
			`<mc:AlternateContent><mc:Choice>` + textShape(point(0, "New shape")) + `</mc:Choice><mc:Fallback>` + textShape(point(0, "Old shape")) + `</mc:Fallback></mc:AlternateContent>`,
			notes: "Ask the harbour master."},
		{shapes: titleShape("title", "Rates") + slideTableXML("<a:tr>"+cell("", "Quay")+cell("", "Berth")+cell("", "Rate")+"</a:tr><a:tr>"+cell(`rowSpan="2"`, "North")+cell("", "1")+cell("", "7")+"</a:tr><a:tr>"+empty+cell("", "2")+cell("", "9")+"</a:tr>") +
			`<p:graphicFrame><a:graphic><a:graphicData><dgm:relIds r:dm="rId7"/></a:graphicData></a:graphic></p:graphicFrame>`},
	}
	diagram := `<d:dataModel xmlns:d="dgm" xmlns:a="a"><d:ptLst><d:pt><d:t>` + point(0, "Plan") + `</d:t></d:pt><d:pt/><d:pt><d:t>` + point(0, "Build") + `</d:t></d:pt></d:ptLst></d:dataModel>`
	x := inProcess(t, Default(), "review.pptx", "", writePPTX(t, slides, map[string]string{"ppt/diagrams/data1.xml": diagram}))
	if x.err != nil || x.Title != "Harbour review" || x.Metadata["author"] != "R. Okafor" || x.Pages != 3 || len(x.pages) != 3 || x.Partial {
		t.Fatalf("%v: %+v", x.err, x.Result)
	}
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindHeading, Text: "Harbour", Level: 1, Page: 1},
		{Kind: KindList, Text: "Third quarter", Page: 1},
		{Kind: KindHeading, Text: "State", Level: 2, Page: 2},
		{Kind: KindList, Text: "- Cranes\n  - two repaired\n- Piers  closed", Page: 2},
		{Kind: KindList, Text: "In a group", Page: 2},
		{Kind: KindList, Text: "New shape", Page: 2},
		{Kind: KindText, Text: "Notes: Ask the harbour master.", Page: 2},
		{Kind: KindHeading, Text: "Rates", Level: 2, Page: 3},
		{Kind: KindTable, Text: "Quay | Berth | Rate\nNorth | 1 | 7\nNorth | 2 | 9", Header: 1, Page: 3},
		{Kind: KindList, Text: "- Plan\n- Build", Page: 3},
	})
}

func TestBadPPTX(t *testing.T) {
	three := []testSlide{{shapes: titleShape("title", "One")}, {shapes: titleShape("title", "Two")}, {shapes: titleShape("title", "Three")}}
	for _, c := range []struct {
		name    string
		content []byte
		code    string
		text    string
		warning string
	}{
		{"a slide that is not well-formed costs only that slide", writePPTX(t, three, map[string]string{"ppt/slides/slide2.xml": "<p:sld><p:cSld>"}), "", "One\nThree", "slide 2 could not be read"},
		{"a slide that is not there costs only that slide", writePPTX(t, three, map[string]string{"ppt/_rels/presentation.xml.rels": "<Relationships>" + relationXML("rId3", "slide", "slides/slide3.xml") + "</Relationships>"}), "", "One", "slide 3 could not be read"},
		{"groups in groups without end", writePPTX(t, []testSlide{{shapes: titleShape("title", "Kept") + strings.Repeat("<p:grpSp>", 5000) + strings.Repeat("</p:grpSp>", 5000)}}, nil), "", "Kept", "nests deeper"},
		{"a slide that unpacks to far more than its size", writePPTX(t, []testSlide{{shapes: strings.Repeat(" ", 30<<20)}}, nil), CodeZipBomb, "", ""},
		{"no slides", writePPTX(t, nil, nil), CodeEmpty, "", ""},
		{"no text", writePPTX(t, []testSlide{{}}, nil), CodeEmpty, "", ""},
		{"no presentation", writePPTX(t, three, map[string]string{"ppt/presentation.xml": ""}), CodeDamaged, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := inProcess(t, Default(), "a.pptx", "", c.content)
			if x.code() != c.code || x.text() != c.text || x.Partial != (c.warning != "") || !strings.Contains(strings.Join(x.Warnings, "\n"), c.warning) {
				t.Errorf("got %q (%v), %q, partial %v, %q", x.code(), x.err, x.text(), x.Partial, x.Warnings)
			}
		})
	}
}

func TestSlidesAboveTheLimitAreLeftOutAndSaidToBe(t *testing.T) {
	limits := Default()
	limits.MaxPages = 1
	x := inProcess(t, limits, "a.pptx", "", writePPTX(t, []testSlide{{shapes: titleShape("title", "One")}, {shapes: titleShape("title", "Two")}}, nil))
	if x.err != nil || x.text() != "One" || !x.Partial || !strings.Contains(x.Warnings[0], "after slide 1 of 2") {
		t.Errorf("%v: %q, %+v", x.err, x.text(), x.Result)
	}
}
