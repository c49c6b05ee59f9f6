package extract

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// writeXLSX makes a workbook by the library's writer; without fill it says hello.
func writeXLSX(t testing.TB, fill func(*testBook)) []byte {
	t.Helper()
	b := &testBook{t: t, file: excelize.NewFile()}
	if fill == nil {
		fill = func(b *testBook) { b.rows("Sheet1", []any{"Hello"}) }
	}
	fill(b)
	var out bytes.Buffer
	b.check(b.file.Write(&out))
	return out.Bytes()
}

type testBook struct {
	t    testing.TB
	file *excelize.File
}

func (b *testBook) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// rows writes a sheet, a row for each slice; nil leaves a row empty.
func (b *testBook) rows(sheet string, rows ...[]any) {
	b.t.Helper()
	_, err := b.file.NewSheet(sheet)
	b.check(err)
	for i, row := range rows {
		b.check(b.file.SetSheetRow(sheet, fmt.Sprintf("A%d", i+1), &row))
	}
}

// changeParts rewrites a zip with some of its parts changed; an empty text takes a part away.
func changeParts(t testing.TB, raw []byte, parts map[string]string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name] = string(content)
	}
	for name, text := range parts {
		if all[name] = text; text == "" {
			delete(all, name)
		}
	}
	return writeZip(t, all)
}

func TestXLSX(t *testing.T) {
	raw := writeXLSX(t, func(b *testBook) {
		b.check(b.file.SetSheetName("Sheet1", "Rates"))
		b.rows("Rates",
			[]any{"Berth rates 2024"},
			nil,
			[]any{"Quay", "Dues", nil, "Since"},
			[]any{nil, "low", "high"},
			[]any{"North", 7.5, 9, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)},
			[]any{nil, 8, nil, "open"},
			nil,
			[]any{"South", 1, 2, "open"},
			[]any{"Prices without tax."},
		)
		for _, m := range [][2]string{{"A1", "D1"}, {"B3", "C3"}, {"A5", "A6"}} {
			b.check(b.file.MergeCell("Rates", m[0], m[1]))
		}
		b.rows("Crews", []any{"Name", "2023", 2024}, []any{"Ada", 3, 4}, nil, []any{"First to call"}, []any{"Second to call"})
		b.check(b.file.SetCellFormula("Crews", "D2", "B2+C2"))
		b.rows("Figures", []any{1, 2}, []any{3, 4})
		b.rows("Names", []any{"Only", "Names"})
		b.rows("Empty")
		b.check(b.file.SetDocProps(&excelize.DocProperties{Creator: "R. Okafor", Title: "Tariff"}))
		b.check(b.file.AddChartSheet("Curve", &excelize.Chart{Type: excelize.Line, Series: []excelize.ChartSeries{{Name: "Crews!$A$1", Values: "Crews!$B$2:$C$2"}}}))
	})
	x := inProcess(t, Default(), "tariff.xlsx", "", raw)
	if x.err != nil || x.Title != "Tariff" || x.Metadata["author"] != "R. Okafor" || x.Partial || len(x.Warnings) > 0 {
		t.Fatalf("%v: %+v", x.err, x.Result)
	}
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindHeading, Text: "Rates", Level: 1, Anchor: "Rates"},
		{Kind: KindText, Text: "Berth rates 2024", Anchor: "Rates"},
		{Kind: KindTable, Text: "Quay | Dues | Dues | Since\n| low | high\nNorth | 7.5 | 9 | 2024-02-29\nNorth | 8 |  | open", Header: 2, Anchor: "Rates, row 5"},
		{Kind: KindTable, Text: "Quay | Dues | Dues | Since\n| low | high\nSouth | 1 | 2 | open\nPrices without tax.", Header: 2, Anchor: "Rates, row 8"},
		{Kind: KindHeading, Text: "Crews", Level: 1, Anchor: "Crews"},
		{Kind: KindTable, Text: "Name | 2023 | 2024\nAda | 3 | 4 |", Header: 1, Anchor: "Crews, row 2"},
		{Kind: KindList, Text: "First to call\nSecond to call", Anchor: "Crews"},
		{Kind: KindHeading, Text: "Figures", Level: 1, Anchor: "Figures"},
		{Kind: KindTable, Text: "1 | 2\n3 | 4", Anchor: "Figures, row 1"},
		{Kind: KindHeading, Text: "Names", Level: 1, Anchor: "Names"},
		{Kind: KindTable, Text: "Only | Names", Anchor: "Names, row 1"},
		{Kind: KindHeading, Text: "Empty", Level: 1, Anchor: "Empty"},
	})
}

func TestALongSheetComesInTablesThatAnInsertedRowLeavesAlone(t *testing.T) {
	sheet := func(inserted bool) []byte {
		return writeXLSX(t, func(b *testBook) {
			w, err := b.file.NewStreamWriter("Sheet1")
			b.check(err)
			b.check(w.SetRow("A1", []any{"Ship", "Tons"}))
			at := 2
			for i := range 20_000 {
				if inserted && i == 700 {
					b.check(w.SetRow(fmt.Sprintf("A%d", at), []any{"New ship", 5}))
					at++
				}
				b.check(w.SetRow(fmt.Sprintf("A%d", at), []any{fmt.Sprintf("Ship %d", i), i * 3}))
				at++
			}
			b.check(w.Flush())
		})
	}
	before, after := inProcess(t, Default(), "a.xlsx", "", sheet(false)), inProcess(t, Default(), "a.xlsx", "", sheet(true))
	if before.err != nil || len(before.blocks) < 50 {
		t.Fatalf("%v: %d blocks", before.err, len(before.blocks))
	}
	rows := 0
	known := map[string]bool{}
	for _, b := range before.blocks[1:] {
		if !strings.HasPrefix(b.Text, "Ship | Tons\n") || b.Header != 1 {
			t.Fatalf("a table without its header: %q", b.Text)
		}
		rows += strings.Count(b.Text, "\n")
		known[b.Text] = true
	}
	if rows != 20_000 {
		t.Errorf("%d rows came out", rows)
	}
	fresh := 0
	for _, b := range after.blocks[1:] {
		if !known[b.Text] {
			fresh++
		}
	}
	if fresh == 0 || fresh > 2 {
		t.Errorf("one inserted row changed %d tables", fresh)
	}
}

func TestBadXLSX(t *testing.T) {
	two := writeXLSX(t, func(b *testBook) {
		b.rows("Sheet1", []any{"One", "Two"}, []any{"a", "b"})
		b.rows("Second", []any{"Three", "Four"}, []any{"c", "d"})
	})
	first := `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>kept</t></is></c><c r="B1"><v>1</v></c></row>`
	for _, c := range []struct {
		name    string
		content []byte
		code    string
		text    string
		warning string
	}{
		{"a sheet that ends in the middle keeps its first rows", changeParts(t, two, map[string]string{"xl/worksheets/sheet1.xml": first + `<row r="2"><c r="A2"><v>2`}), "", "Sheet1\nkept | 1\nSecond\nThree | Four\nc | d", `"Sheet1" could not be read to its end`},
		{"a sheet that is not there costs only that sheet", changeParts(t, two, map[string]string{"xl/worksheets/sheet1.xml": ""}), "", "Second\nThree | Four\nc | d", `"Sheet1" could not be read`},
		{"a row beyond the last row there can be", changeParts(t, two, map[string]string{"xl/worksheets/sheet1.xml": first + `<row r="99999999"><c><v>2</v></c></row></sheetData></worksheet>`}), "", "Sheet1\nkept | 1\nSecond\nThree | Four\nc | d", `"Sheet1" could not be read`},
		{"elements in elements without end", changeParts(t, two, map[string]string{"xl/worksheets/sheet1.xml": strings.Repeat("<row>", 100_000)}), "", "Sheet1\nSecond\nThree | Four\nc | d", "nests deeper"},
		{"a sheet that unpacks to far more than its size", changeParts(t, two, map[string]string{"xl/worksheets/sheet1.xml": first + strings.Repeat(" ", 30<<20)}), CodeZipBomb, "", ""},
		{"texts that are not well-formed", changeParts(t, two, map[string]string{"xl/sharedStrings.xml": "<sst><si>"}), "", "Sheet1\nSecond", "could not be read"},
		{"no workbook", changeParts(t, two, map[string]string{"xl/workbook.xml": ""}), CodeDamaged, "", ""},
		{"a workbook that is not well-formed", changeParts(t, two, map[string]string{"xl/workbook.xml": "<workbook><"}), CodeDamaged, "", ""},
		{"cut short", two[:len(two)/2], CodeDamaged, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := inProcess(t, Default(), "a.xlsx", "", c.content)
			if x.code() != c.code || x.text() != c.text || x.Partial != (c.warning != "") || !strings.Contains(strings.Join(x.Warnings, "\n"), c.warning) {
				t.Errorf("got %q (%v), %q, partial %v, %q", x.code(), x.err, x.text(), x.Partial, x.Warnings)
			}
		})
	}
}

func TestADamagedPictureCostsAWorkbookNothing(t *testing.T) {
	raw := changeParts(t, writeXLSX(t, nil), map[string]string{"xl/media/image1.png": strings.Repeat("picture ", 500)})
	at := bytes.Index(raw, []byte("xl/media/image1.png")) + len("xl/media/image1.png")
	copy(raw[at:], bytes.Repeat([]byte{0xff}, 8)) // its packed bytes
	x := inProcess(t, Default(), "a.xlsx", "", raw)
	if x.err != nil || x.Partial || x.text() != "Sheet1\nHello" {
		t.Errorf("%v: %q, %+v", x.err, x.text(), x.Result)
	}
}
