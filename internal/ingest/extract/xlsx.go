package extract

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"airfield/internal/fault"
)

// Above this much XML a sheet or the table of texts is unpacked into the process's own directory, not into memory.
const sheetInMemory = 16 << 20

// readXLSX reads the sheets in order, each a heading with its tables. A sheet that cannot be read is reported and the
// others are read. Where f is given, rows below column names are its records.
func readXLSX(src *source, s *sink, f *recordFile) error {
	a, err := openArchive(src)
	if err != nil {
		return err
	}
	if err := a.properties(s); err != nil {
		return err
	}
	if s.res.Title == "" { // else the first sheet's name would be the title
		s.res.Title = strings.TrimSuffix(path.Base(src.Name), path.Ext(src.Name))
	}
	sheets, err := a.sheets()
	if err != nil {
		return err
	}
	book, err := a.workbook(sheets)
	if err != nil {
		return err
	}
	defer book.Close()
	for _, sh := range sheets {
		if sh.chart {
			continue
		}
		if sh.fault == nil || sh.parted {
			if err := readSheet(book, sh, s, f); err != nil {
				return err
			}
		}
		if sh.fault != nil {
			s.partial("the sheet %q could not be read to its end: %s", sh.name, sh.fault.Text)
		}
	}
	return nil
}

// sheet is one sheet of a workbook, looked through before its rows are read.
type sheet struct {
	name, part string
	chart      bool
	merged     []merged
	fault      *fault.Fault // what is wrong with it
	parted     bool         // its first rows can be read nevertheless
}

// sheets lists the workbook's sheets and looks through each: the reader of rows takes any error for a sheet's end.
func (a *archive) sheets() ([]*sheet, error) {
	main, err := a.mainPart("xl/workbook.xml")
	if err != nil {
		return nil, err
	}
	book, err := a.tree(main)
	if err != nil {
		return nil, err
	}
	if book == nil {
		return nil, damaged(a.src, "its main part %q is missing", main)
	}
	targets, err := a.relations(main)
	if err != nil {
		return nil, err
	}
	var out []*sheet
	list := book.child("sheets")
	if list == nil {
		return nil, nil
	}
	for _, e := range list.children {
		target := targets[e.attrs["rel:id"]]
		sh := &sheet{name: e.attrs["name"], part: target.part, chart: target.kind != "worksheet" && target.kind != ""}
		out = append(out, sh)
		if sh.chart {
			continue
		}
		if err := a.lookThrough(sh); err != nil {
			sh.fault = fault.As(err)
			if sh.fault.Code == CodeZipBomb {
				return nil, err
			}
			sh.parted = sh.part != "" && a.intact(sh.part)
		}
		slices.SortStableFunc(sh.merged, func(a, b merged) int { return a.top - b.top })
	}
	return out, nil
}

// lookThrough reads a sheet's XML for what is merged, and for whether it is whole.
func (a *archive) lookThrough(sh *sheet) error {
	r, err := a.open(sh.part)
	if err != nil {
		return err
	}
	if r == nil {
		return damaged(a.src, "its part %q is missing", sh.part)
	}
	defer r.Close()
	dec := xml.NewDecoder(r)
	for depth := 0; ; {
		t, err := dec.RawToken()
		switch {
		case err == io.EOF && depth == 0:
			return nil
		case err == io.EOF:
			return damaged(a.src, "entry %q ends in the middle of an element", sh.part)
		case err != nil:
			return a.xmlFault(sh.part, err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return damaged(a.src, "entry %q nests deeper than %d", sh.part, maxDepth)
			}
			if t.Name.Local == "mergeCell" && len(sh.merged) < maxMerged {
				if m, ok := parseMerged(attribute(t, "ref")); ok {
					sh.merged = append(sh.merged, m)
				}
			}
		}
	}
}

// intact reports an entry that unpacks to its end, whatever it holds.
func (a *archive) intact(name string) bool {
	r, err := a.open(name)
	if err != nil || r == nil {
		return false
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err == nil
}

// workbook opens a copy that holds only what the rows are made of: the library unpacks all that it is given into memory,
// and one damaged picture would cost the whole workbook.
func (a *archive) workbook(sheets []*sheet) (*excelize.File, error) {
	main, err := a.mainPart("xl/workbook.xml")
	if err != nil {
		return nil, err
	}
	targets, err := a.relations(main)
	if err != nil {
		return nil, err
	}
	keep := []string{"[Content_Types].xml", "_rels/.rels", main, path.Join(path.Dir(main), "_rels", path.Base(main)+".rels")}
	for _, r := range targets {
		if r.kind == "sharedStrings" || r.kind == "styles" || r.kind == "theme" {
			keep = append(keep, r.part)
		}
	}
	for _, sh := range sheets {
		if !sh.chart && (sh.fault == nil || sh.parted) {
			keep = append(keep, sh.part)
		}
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	copied := map[string]bool{}
	for _, name := range keep {
		f := a.parts[name]
		if f == nil || copied[name] {
			continue
		}
		copied[name] = true
		if err := z.Copy(f); err != nil {
			return nil, damaged(a.src, "entry %q cannot be read: %v", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("copy %q: %w", a.src.Name, err)
	}
	limit := a.src.Config.MaxArchiveBytes
	book, err := excelize.OpenReader(&packed, excelize.Options{UnzipSizeLimit: limit, UnzipXMLSizeLimit: min(sheetInMemory, limit),
		ShortDatePattern: "yyyy-mm-dd"})
	if err != nil {
		return nil, damaged(a.src, "it cannot be opened as a workbook: %v", err)
	}
	return book, nil
}

// readSheet reads the rows of one sheet; an error is the sink's.
func readSheet(book *excelize.File, sh *sheet, s *sink, f *recordFile) error {
	if err := s.add(Block{Kind: KindHeading, Level: 1, Text: sh.name, Anchor: sh.name}); err != nil {
		return err
	}
	rows, err := book.Rows(sh.name)
	if err != nil {
		s.partial("the sheet %q could not be read: %v", sh.name, err)
		return nil
	}
	defer rows.Close()
	g := &grid{sheet: sh, sink: s, above: map[int]string{}, records: f}
	for n := 1; rows.Next(); n++ {
		cells, broken := rows.Columns()
		if err := g.row(n, cells); err != nil {
			return err
		}
		if broken != nil {
			s.partial("the sheet %q could not be read after row %d: %v", sh.name, n, broken)
			return g.end()
		}
	}
	if err := rows.Error(); err != nil {
		s.partial("the sheet %q could not be read to its end: %v", sh.name, err)
	}
	return g.end()
}
