package extract

import (
	"encoding/xml"
	"io"
	"path"
	"strconv"
	"strings"
)

// readDOCX reads the main part in order, with headings by style, lists by numbering, tables, and notes after the
// paragraph that refers to them.
func readDOCX(src *source, s *sink) error {
	a, err := openArchive(src)
	if err != nil {
		return err
	}
	main, err := a.mainPart("word/document.xml")
	if err != nil {
		return err
	}
	if err := a.properties(s); err != nil {
		return err
	}
	dir := path.Dir(main)
	styles, err := a.tree(dir + "/styles.xml")
	if err != nil {
		return err
	}
	numbers, err := a.tree(dir + "/numbering.xml")
	if err != nil {
		return err
	}
	w := &docxWalk{archive: a, sink: s, styles: readStyles(styles), numbering: readNumbering(numbers)}
	for _, kind := range []string{"footnote", "endnote"} {
		notes, err := w.notes(dir+"/"+kind+"s.xml", kind)
		if err != nil {
			return err
		}
		w.note = append(w.note, notes)
	}
	body, err := a.open(main)
	if err != nil {
		return err
	}
	if body == nil {
		return damaged(src, "its main part %q is missing", main)
	}
	defer body.Close()
	w.dec, w.part = xml.NewDecoder(body), main
	if err := w.blocks(); err != nil {
		return err
	}
	return w.endList()
}

// mainPart follows the package's relation to its main part, which most programs call usual.
func (a *archive) mainPart(usual string) (string, error) {
	relations, err := a.tree("_rels/.rels")
	if err != nil {
		return "", err
	}
	if relations != nil {
		for _, r := range relations.children {
			if strings.HasSuffix(r.attrs["Type"], "/officeDocument") {
				return path.Clean(strings.TrimPrefix(r.attrs["Target"], "/")), nil
			}
		}
	}
	return usual, nil
}

func (a *archive) properties(s *sink) error {
	core, err := a.tree("docProps/core.xml")
	if err != nil || core == nil {
		return err
	}
	for _, p := range core.children {
		switch p.name {
		case "title":
			s.res.Title = p.text
		case "creator":
			s.meta("author", p.text)
		case "created", "modified", "subject", "keywords", "description":
			s.meta(p.name, p.text)
		}
	}
	return nil
}

// docxWalk reads one part as a stream of elements.
type docxWalk struct {
	archive   *archive
	sink      *sink
	styles    map[string]style
	numbering *numbering
	note      []map[string]string // footnotes, endnotes: id to text
	dec       *xml.Decoder
	part      string
	depth     int
	list      []string // lines of the list being read
	pending   []string // notes the current paragraph refers to
	noted     int
}

// paragraph is what one w:p amounts to.
type paragraph struct {
	text    strings.Builder
	style   string
	outline int // 1 to 9, 0 when unset
	numID   string
	level   int
	boxes   []Block // text boxes anchored in it
}

func (w *docxWalk) token() (xml.Token, error) {
	t, err := w.dec.Token()
	if err != nil && err != io.EOF {
		return nil, w.archive.xmlFault(w.part, err)
	}
	return t, err
}

// skipped are elements whose text is not part of the document: deletions, field codes, the fallback copy of a shape.
func skipped(name string) bool {
	switch name {
	case "del", "moveFrom", "instrText", "delText", "Fallback", "sectPr", "rPr", "tblPr", "tcPr", "trPr", "rPrChange", "pPrChange":
		return true
	}
	return false
}

// blocks reads elements until the part ends and adds paragraphs and tables as it meets them.
func (w *docxWalk) blocks() error {
	for {
		t, err := w.token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		start, is := t.(xml.StartElement)
		if !is {
			continue
		}
		switch name := start.Name.Local; {
		case name == "p":
			p, err := w.paragraph()
			if err != nil {
				return err
			}
			if err := w.addParagraph(p); err != nil {
				return err
			}
		case name == "tbl":
			b, err := w.table()
			if err != nil {
				return err
			}
			if err := w.endList(); err != nil {
				return err
			}
			if err := w.sink.add(b); err != nil {
				return err
			}
			if err := w.addNotes(); err != nil {
				return err
			}
		case skipped(name):
			if err := w.skip(); err != nil {
				return err
			}
		}
	}
}

func (w *docxWalk) skip() error {
	if err := w.dec.Skip(); err != nil {
		return w.archive.xmlFault(w.part, err)
	}
	return nil
}

// paragraph reads up to the end of the w:p that was just opened.
func (w *docxWalk) paragraph() (*paragraph, error) {
	p := &paragraph{}
	for depth := 1; depth > 0; {
		t, err := w.token()
		if err == io.EOF {
			return p, damaged(w.archive.src, "entry %q ends in the middle of a paragraph", w.part)
		}
		if err != nil {
			return p, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			name := t.Name.Local
			if skipped(name) {
				if err := w.skip(); err != nil {
					return p, err
				}
				continue
			}
			taken, err := w.run(p, t)
			if err != nil {
				return p, err
			}
			if !taken {
				depth++
			}
		}
	}
	return p, nil
}

// run handles one element within a paragraph and reports whether it read it to its end.
func (w *docxWalk) run(p *paragraph, t xml.StartElement) (taken bool, err error) {
	switch t.Name.Local {
	case "t":
		var text string
		if err := w.dec.DecodeElement(&text, &t); err != nil {
			return true, w.archive.xmlFault(w.part, err)
		}
		p.text.WriteString(text)
		return true, nil
	case "tab":
		p.text.WriteByte(' ')
	case "br", "cr":
		p.text.WriteByte('\n')
	case "noBreakHyphen":
		p.text.WriteByte('-')
	case "pStyle":
		p.style = attribute(t, "val")
	case "outlineLvl":
		if n, err := strconv.Atoi(attribute(t, "val")); err == nil && n >= 0 && n < 9 {
			p.outline = n + 1
		}
	case "ilvl":
		p.level, _ = strconv.Atoi(attribute(t, "val"))
	case "numId":
		p.numID = attribute(t, "val")
	case "footnoteReference":
		w.refer(p, 0, attribute(t, "id"))
	case "endnoteReference":
		w.refer(p, 1, attribute(t, "id"))
	case "txbxContent":
		boxes, err := w.box()
		p.boxes = append(p.boxes, boxes...)
		return true, err
	}
	return false, nil
}

// box reads the paragraphs of a text box; they come after the paragraph it is anchored in.
func (w *docxWalk) box() (boxes []Block, err error) {
	texts, err := w.container()
	if text := strings.Join(texts, "\n"); text != "" {
		boxes = append(boxes, Block{Kind: KindText, Text: text})
	}
	return boxes, err
}

// container reads the paragraphs and tables within the element that was just opened, as texts.
func (w *docxWalk) container() (texts []string, err error) {
	if w.depth++; w.depth > maxDepth {
		return nil, damaged(w.archive.src, "entry %q nests deeper than %d", w.part, maxDepth)
	}
	defer func() { w.depth-- }()
	for depth := 1; depth > 0; {
		t, err := w.token()
		if err == io.EOF {
			return texts, damaged(w.archive.src, "entry %q ends in the middle of an element", w.part)
		}
		if err != nil {
			return texts, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			switch name := t.Name.Local; {
			case name == "p":
				p, err := w.paragraph()
				if err != nil {
					return texts, err
				}
				text := strings.TrimSpace(w.label(p) + p.text.String())
				for _, b := range p.boxes {
					text = strings.TrimSpace(text + " " + b.Text)
				}
				if text != "" {
					texts = append(texts, text)
				}
			case name == "tbl":
				b, err := w.table()
				if err != nil {
					return texts, err
				}
				if b.Text != "" {
					texts = append(texts, b.Text)
				}
			case skipped(name):
				if err := w.skip(); err != nil {
					return texts, err
				}
			default:
				depth++
			}
		}
	}
	return texts, nil
}

func attribute(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (w *docxWalk) refer(p *paragraph, kind int, id string) {
	if kind >= len(w.note) || w.note[kind][id] == "" {
		return
	}
	w.noted++
	mark := "[^" + strconv.Itoa(w.noted) + "]"
	p.text.WriteString(mark)
	w.pending = append(w.pending, mark+" "+w.note[kind][id])
}

func (w *docxWalk) addNotes() error {
	notes := w.pending
	w.pending = nil
	for _, n := range notes {
		if err := w.sink.add(Block{Kind: KindText, Text: n}); err != nil {
			return err
		}
	}
	return nil
}

func (w *docxWalk) addParagraph(p *paragraph) error {
	text := strings.TrimSpace(p.text.String())
	level := w.headingLevel(p)
	numID, depth := w.number(p)
	switch {
	case text == "":
	case level > 0:
		if err := w.endList(); err != nil {
			return err
		}
		text = w.numbering.next(numID, depth, false) + strings.Join(strings.Fields(text), " ")
		if err := w.sink.add(Block{Kind: KindHeading, Text: text, Level: level}); err != nil {
			return err
		}
	case numID != "" && numID != "0":
		w.list = append(w.list, strings.Repeat("  ", depth)+w.numbering.next(numID, depth, true)+text)
	default:
		if err := w.endList(); err != nil {
			return err
		}
		if err := w.sink.add(Block{Kind: KindText, Text: text}); err != nil {
			return err
		}
	}
	if len(w.pending) == 0 && len(p.boxes) == 0 {
		return nil
	}
	if err := w.endList(); err != nil {
		return err
	}
	for _, b := range p.boxes {
		if err := w.sink.add(b); err != nil {
			return err
		}
	}
	return w.addNotes()
}

func (w *docxWalk) endList() error {
	if len(w.list) == 0 {
		return nil
	}
	b := Block{Kind: KindList, Text: strings.Join(w.list, "\n")}
	w.list = nil
	return w.sink.add(b)
}

// label is the number or bullet of a paragraph that is not a list item of its own block, as in table cells.
func (w *docxWalk) label(p *paragraph) string {
	if id, depth := w.number(p); id != "" && id != "0" {
		return w.numbering.next(id, depth, true)
	}
	return ""
}

// number is the paragraph's own numbering, or its style's.
func (w *docxWalk) number(p *paragraph) (id string, depth int) {
	id, depth = p.numID, p.level
	if id == "" {
		if st := w.styles[p.style]; st.numID != "" {
			id, depth = st.numID, max(depth, st.depth)
		}
	}
	return id, min(max(depth, 0), 8)
}

func (w *docxWalk) headingLevel(p *paragraph) int {
	level := p.outline
	if level == 0 {
		level = w.styles[p.style].level
	}
	return min(level, 6)
}

// table reads up to the end of the w:tbl that was just opened. Rows marked as header, else the first, are its header.
func (w *docxWalk) table() (Block, error) {
	b := Block{Kind: KindTable}
	if w.depth++; w.depth > maxDepth {
		return b, damaged(w.archive.src, "entry %q nests deeper than %d", w.part, maxDepth)
	}
	defer func() { w.depth-- }()
	var rows, cells []string
	var marked bool
	for depth := 1; depth > 0; {
		t, err := w.token()
		if err == io.EOF {
			return b, damaged(w.archive.src, "entry %q ends in the middle of a table", w.part)
		}
		if err != nil {
			return b, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			depth--
			if t.Name.Local != "tr" {
				break
			}
			if row := tableRow(cells); row != "" {
				rows = append(rows, row)
				if marked && b.Header == len(rows)-1 {
					b.Header++
				}
			}
		case xml.StartElement:
			switch name := t.Name.Local; {
			case name == "tc":
				texts, err := w.container()
				if err != nil {
					return b, err
				}
				cells = append(cells, strings.Join(texts, " "))
			case name == "trPr":
				marked, err = w.headerRow()
				if err != nil {
					return b, err
				}
			case skipped(name):
				if err := w.skip(); err != nil {
					return b, err
				}
			default:
				if name == "tr" {
					cells, marked = nil, false
				}
				depth++
			}
		}
	}
	b.Text = strings.Join(rows, "\n")
	if b.Header == 0 && len(rows) > 1 && strings.Contains(rows[0], " | ") {
		b.Header = 1
	}
	if b.Header >= len(rows) {
		b.Header = 0
	}
	return b, nil
}

// headerRow reads the row properties that were just opened and reports whether they mark a header row.
func (w *docxWalk) headerRow() (marked bool, err error) {
	for depth := 1; depth > 0; {
		t, err := w.token()
		if err == io.EOF {
			return false, damaged(w.archive.src, "entry %q ends in the middle of a table", w.part)
		}
		if err != nil {
			return false, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			depth++
			if v := attribute(t, "val"); t.Name.Local == "tblHeader" && v != "0" && v != "false" {
				marked = true
			}
		}
	}
	return marked, nil
}

// notes reads the texts of a notes part by id.
func (w *docxWalk) notes(name, kind string) (map[string]string, error) {
	r, err := w.archive.open(name)
	if r == nil {
		return nil, err
	}
	defer r.Close()
	w.dec, w.part = xml.NewDecoder(r), name
	notes := map[string]string{}
	for {
		t, err := w.token()
		if err == io.EOF {
			return notes, nil
		}
		if err != nil {
			return nil, err
		}
		start, is := t.(xml.StartElement)
		if !is || start.Name.Local != kind {
			continue
		}
		separator := attribute(start, "type") != ""
		texts, err := w.container()
		if err != nil {
			return nil, err
		}
		if !separator {
			notes[attribute(start, "id")] = strings.Join(texts, " ")
		}
	}
}
