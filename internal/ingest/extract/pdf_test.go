package extract

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestAPDFsHeadingsParagraphsTablesAndPages(t *testing.T) {
	spec := pdfSpec{
		info: "/Title (Port Handbook) /Author (M. Okafor) /CreationDate (D:20240131120000+01'00')",
		pages: [][]pdfText{
			{
				{x: 72, y: 720, size: 24, text: "Port Handbook"},
				{x: 72, y: 680, size: 11, text: "The port is open on every day of the year. Vessels that arrive at night wait in"},
				{x: 72, y: 667, size: 11, text: "the outer roads until a pilot is free, which seldom takes more than an hour at a"},
				{x: 72, y: 654, size: 11, text: "time."},
				{x: 72, y: 620, size: 11, text: "A second paragraph stands apart from the first and is of one line."},
				{x: 72, y: 580, size: 11, bold: true, text: "Fees"},
				{x: 72, y: 560, size: 11, text: "Vessel"}, {x: 250, y: 560, size: 11, text: "Berth fee"}, {x: 400, y: 560, size: 11, text: "Pilot fee"},
				{x: 72, y: 546, size: 11, text: "Barge"}, {x: 250, y: 546, size: 11, text: "$"}, {x: 300, y: 546, size: 11, text: "120"}, {x: 400, y: 546, size: 11, text: "40"},
				{x: 72, y: 532, size: 11, text: "Container ship"}, {x: 250, y: 532, size: 11, text: "$"}, {x: 300, y: 532, size: 11, text: "4,800"}, {x: 400, y: 532, size: 11, text: "900"},
				{x: 300, y: 40, size: 9, text: "Page 1 of 2"},
			},
			{
				{x: 72, y: 720, size: 16, text: "Night work"},
				{x: 72, y: 690, size: 11, text: "Between ten and six the cranes run only on request and at a higher price per hour."},
				{x: 300, y: 40, size: 9, text: "Page 2 of 2"},
			},
		},
	}
	x := inProcess(t, Default(), "handbook.pdf", "", writePDF(spec))
	if x.err != nil {
		t.Fatal(x.err)
	}
	if x.Title != "Port Handbook" || x.Pages != 2 || x.MediaType != "application/pdf" || x.Language != "en" || x.Partial {
		t.Errorf("result is %+v", x.Result)
	}
	if x.Metadata["author"] != "M. Okafor" || x.Metadata["created"] != "2024-01-31T11:00:00Z" {
		t.Errorf("metadata is %v", x.Metadata)
	}
	want := []Block{
		{Kind: KindHeading, Text: "Port Handbook", Level: 1, Page: 1},
		{Kind: KindText, Page: 1, Text: "The port is open on every day of the year. Vessels that arrive at night wait in the outer roads until a pilot is free, which seldom takes more than an hour at a time."},
		{Kind: KindText, Page: 1, Text: "A second paragraph stands apart from the first and is of one line."},
		{Kind: KindHeading, Text: "Fees", Level: 5, Page: 1},
		{Kind: KindTable, Page: 1, Header: 1, Text: "Vessel | Berth fee | Pilot fee\nBarge | $120 | 40\nContainer ship | $4,800 | 900"},
		{Kind: KindHeading, Text: "Night work", Level: 2, Page: 2},
		{Kind: KindText, Page: 2, Text: "Between ten and six the cranes run only on request and at a higher price per hour."},
	}
	compareBlocks(t, x.blocks, want)
}

func compareBlocks(t *testing.T, got, want []Block) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing block %d: %+v", i, want[i])
		case i >= len(want):
			t.Errorf("unexpected block %d: %+v", i, got[i])
		case got[i] != want[i]:
			t.Errorf("block %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func TestWordsBrokenAtLineEndsAreMadeWhole(t *testing.T) {
	spec := pdfSpec{pages: [][]pdfText{paragraphPage(11,
		"The consignment was held at the customs station until the transpor-",
		"tation papers came. A long-term contract is one that runs for a long-",
		"term period, by which we mean that it is above three years in length.")}}
	x := inProcess(t, Default(), "a.pdf", "", writePDF(spec))
	want := "The consignment was held at the customs station until the transportation papers came. A long-term contract is one that runs for a long-term period, by which we mean that it is above three years in length."
	if x.text() != want {
		t.Errorf("got %q", x.text())
	}
}

func TestRunningHeadsAndPageNumbersAreLeftOutAfterTheirFirstPage(t *testing.T) {
	var spec pdfSpec
	for i := range 4 {
		page := paragraphPage(11, fmt.Sprintf("Sheet %s says something of its own about cargo.", strings.Repeat("x", i+1)), "And it goes on for a second line of text here.", "And for a third, which ends it.")
		page = append(page, pdfText{x: 72, y: 760, size: 9, text: "ACME Shipping Manual"}, pdfText{x: 72, y: 30, size: 9, text: fmt.Sprintf("Revision 7, sheet %d", i+1)})
		spec.pages = append(spec.pages, page)
	}
	x := inProcess(t, Default(), "a.pdf", "", writePDF(spec))
	if n := strings.Count(x.text(), "ACME Shipping Manual"); n != 1 {
		t.Errorf("the running head is there %d times", n)
	}
	if n := strings.Count(x.text(), "Revision 7"); n != 1 {
		t.Errorf("the foot is there %d times", n)
	}
	if n := strings.Count(x.text(), "of its own about cargo"); n != 4 {
		t.Errorf("%d of 4 texts are left", n)
	}
}

func TestBookmarksNameHeadings(t *testing.T) {
	spec := pdfSpec{bookmarks: map[string]int{"Liability": 0}, pages: [][]pdfText{paragraphPage(11,
		"Liability", "The carrier is liable for loss and damage from receipt to delivery of the goods.")}}
	x := inProcess(t, Default(), "a.pdf", "", writePDF(spec))
	compareBlocks(t, x.blocks[:1], []Block{{Kind: KindHeading, Text: "Liability", Level: 1, Page: 1}})
}

func TestBoldHeadingsWithANameOfTheirRankStandAboveTheOthers(t *testing.T) {
	page := []pdfText{{x: 72, y: 720, size: 11, bold: true, text: "PART I - GENERAL"}, {x: 72, y: 690, size: 11, bold: true, text: "Item 2."},
		{x: 140, y: 690, size: 11, bold: true, text: "Storage"}, {x: 72, y: 660, size: 11, bold: true, text: "Cold storage"}}
	for i := range 6 {
		page = append(page, pdfText{x: 72, y: 640 - 13*float64(i), size: 11, text: "Goods that must be kept cold are stored in halls four and five of the terminal,"})
	}
	x := inProcess(t, Default(), "a.pdf", "", writePDF(pdfSpec{pages: [][]pdfText{page}}))
	compareBlocks(t, x.blocks[:3], []Block{
		{Kind: KindHeading, Text: "PART I - GENERAL", Level: 3, Page: 1},
		{Kind: KindHeading, Text: "Item 2. Storage", Level: 4, Page: 1},
		{Kind: KindHeading, Text: "Cold storage", Level: 5, Page: 1},
	})
}

func TestRightToLeftTextIsInReadingOrder(t *testing.T) {
	// The codes a to d stand for the letters of a Hebrew word as it is seen: the last letter leftmost.
	cmap := "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def 1 begincodespacerange <00> <FF> endcodespacerange\n" +
		"4 beginbfchar <61> <05DD> <62> <05D5> <63> <05DC> <64> <05E9> endbfchar endcmap end end"
	x := inProcess(t, Default(), "a.pdf", "", writePDF(pdfSpec{toUnicode: cmap, pages: [][]pdfText{paragraphPage(11, "ddc abcd")}}))
	if x.text() != "שלום לשש" {
		t.Errorf("got %q", x.text())
	}
}

func TestFourHundredPagesComeInOrder(t *testing.T) {
	e := newExtractor(t, testConfig("serve"))
	x := extractFile(t, e, file(t, "manual.pdf", writePDF(numberedPages(400))), "manual.pdf")
	if x.err != nil || x.Pages != 400 || x.PagesRead != 400 || x.Partial || len(x.pages) != 400 {
		t.Fatalf("%v, %d delivered, %+v", x.err, len(x.pages), x.Result)
	}
	for i, p := range x.pages {
		if p.Number != i+1 || !strings.Contains(p.Blocks[0].Text, fmt.Sprintf("sheet number %d of", i+1)) || p.Blocks[0].Page != i+1 {
			t.Fatalf("page %d is %+v", i+1, p)
		}
	}
}

func TestPagesAboveTheLimitAreLeftOutAndSaidToBe(t *testing.T) {
	c := Default()
	c.MaxPages = 3
	x := inProcess(t, c, "a.pdf", "", writePDF(numberedPages(5)))
	if x.err != nil || len(x.pages) != 3 || !x.Partial || x.Pages != 5 || !strings.Contains(x.Warnings[0], "after page 3 of 5") {
		t.Fatalf("%v, %d pages, %+v", x.err, len(x.pages), x.Result)
	}
}

func TestBadPDFs(t *testing.T) {
	good := writePDF(numberedPages(6))
	for _, c := range []struct {
		name    string
		content []byte
		code    string
		partial bool
	}{
		{"encrypted with a password", encryptedPDF(), CodeEncrypted, false},
		{"cut short in its first object", good[:200], CodeDamaged, false},
		{"cut short after some pages", good[:len(good)*2/3], "", true},
		{"only its first line", []byte("%PDF-1.7\n"), CodeDamaged, false},
		{"garbage after the header", append([]byte("%PDF-1.4\n"), bytes.Repeat([]byte{0x93, 0x01, 0xfe, 'x'}, 5000)...), CodeDamaged, false},
		{"a page without text", writePDF(pdfSpec{pages: [][]pdfText{{}}}), CodeEmpty, false},
		{"junk before the header", append([]byte("junk from a mail gateway\r\n"), good...), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := inProcess(t, Default(), "a.pdf", "", c.content)
			if x.code() != c.code || x.Partial != c.partial {
				t.Errorf("got %q (%v), partial %v, %v", x.code(), x.err, x.Partial, x.Warnings)
			}
			if c.code != "" && !Permanent(x.err) {
				t.Errorf("%v is not permanent", x.err)
			}
		})
	}
}

// encryptedPDF claims the standard security handler with keys that no empty password opens.
func encryptedPDF() []byte {
	return writePDF(pdfSpec{pages: [][]pdfText{paragraphPage(11, "secret")},
		trailer: "/ID [<0102030405060708090a0b0c0d0e0f10> <0102030405060708090a0b0c0d0e0f10>] " +
			"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <" + strings.Repeat("5a", 32) + "> /U <" + strings.Repeat("a5", 32) + "> >>"})
}

// BenchmarkPDF measures the readers alone: pages per second of CPU, in this process.
func BenchmarkPDF(b *testing.B) {
	const pages = 100
	content := writePDF(numberedPages(pages))
	inProcess(b, Default(), "a.pdf", "", writePDF(numberedPages(1))) // start the engine
	before := cpuSeconds()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		if x := inProcess(b, Default(), "a.pdf", "", content); len(x.pages) != pages {
			b.Fatal(x.err)
		}
		n++
	}
	b.ReportMetric(float64(n*pages)/(cpuSeconds()-before), "pages/cpu-s")
}
