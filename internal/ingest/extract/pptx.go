package extract

import (
	"path"
	"strings"

	"airfield/internal/fault"
)

// readPPTX reads the slides in the order they are shown: a slide is a page, its title a heading, then its text, tables
// and diagrams, then the speaker's notes. A slide that cannot be read is reported and the others are read.
func readPPTX(src *source, s *sink) error {
	a, err := openArchive(src)
	if err != nil {
		return err
	}
	main, err := a.mainPart("ppt/presentation.xml")
	if err != nil {
		return err
	}
	if err := a.properties(s); err != nil {
		return err
	}
	deck, err := a.tree(main)
	if err != nil {
		return err
	}
	if deck == nil {
		return damaged(src, "its main part %q is missing", main)
	}
	targets, err := a.relations(main)
	if err != nil {
		return err
	}
	var slides []string
	if list := deck.child("sldIdLst"); list != nil {
		for _, id := range list.children {
			slides = append(slides, targets[id.attrs["rel:id"]].part)
		}
	}
	s.res.Pages = len(slides)
	for i, part := range slides {
		if i == src.Config.MaxPages {
			s.partial("the slides after slide %d of %d were left out", i, len(slides))
			break
		}
		if err := s.turn(i + 1); err != nil {
			return err
		}
		w := &slideWalk{archive: a, part: part}
		if err := w.slide(); err != nil {
			f := fault.As(err)
			if f.Code == CodeZipBomb {
				return err
			}
			s.partial("slide %d could not be read: %s", i+1, f.Text)
		}
		for _, b := range w.blocks {
			if err := s.add(b); err != nil {
				return err
			}
		}
		if err := s.endPage(); err != nil {
			return err
		}
	}
	return nil
}

// relation is where one part of a package refers to another.
type relation struct{ kind, part string }

// relations are those of a part by their ids, targets as names in the archive.
func (a *archive) relations(part string) (map[string]relation, error) {
	dir := path.Dir(part)
	found, err := a.tree(path.Join(dir, "_rels", path.Base(part)+".rels"))
	if err != nil || found == nil {
		return nil, err
	}
	out := map[string]relation{}
	for _, r := range found.children {
		target := r.attrs["Target"]
		if r.attrs["TargetMode"] == "External" || target == "" {
			continue
		}
		if !strings.HasPrefix(target, "/") {
			target = path.Join(dir, target)
		}
		out[r.attrs["Id"]] = relation{kind: path.Base(r.attrs["Type"]), part: path.Clean(strings.TrimPrefix(target, "/"))}
	}
	return out, nil
}

// slideWalk reads one slide into blocks.
type slideWalk struct {
	archive *archive
	part    string
	targets map[string]relation
	title   *Block
	blocks  []Block // without the title until the slide is read
}

func (w *slideWalk) slide() error {
	slide, err := w.archive.tree(w.part)
	if err != nil {
		return err
	}
	if slide == nil {
		return damaged(w.archive.src, "its part %q is missing", w.part)
	}
	if w.targets, err = w.archive.relations(w.part); err != nil {
		return err
	}
	err = w.shapes(slide.child("cSld").child("spTree"), 0)
	// The title leads, wherever it stands on the slide.
	if w.title != nil {
		w.blocks = append([]Block{*w.title}, w.blocks...)
	}
	if err != nil {
		return err
	}
	return w.notes()
}

// shapes takes the shapes of a tree or group in their order, which is the order a screen reader takes.
func (w *slideWalk) shapes(tree *node, depth int) error {
	if depth > maxDepth {
		return damaged(w.archive.src, "entry %q nests deeper than %d", w.part, maxDepth)
	}
	if tree == nil {
		return nil
	}
	for _, shape := range tree.children {
		switch shape.name {
		case "sp":
			w.shape(shape)
		case "grpSp":
			if err := w.shapes(shape, depth+1); err != nil {
				return err
			}
		case "graphicFrame":
			if err := w.frame(shape); err != nil {
				return err
			}
		case "AlternateContent":
			if err := w.shapes(shape.child("Choice"), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *slideWalk) shape(shape *node) {
	kind := ""
	holder := shape.child("nvSpPr").child("nvPr").child("ph")
	if holder != nil {
		kind = holder.attrs["type"]
	}
	lines := paragraphs(shape.child("txBody"), holder != nil)
	if len(lines) == 0 {
		return
	}
	switch kind {
	case "sldNum", "dt", "ftr", "hdr": // the same on every slide
	case "title", "ctrTitle":
		// A title of its own slide stands above the slides that follow it.
		level := 2
		if kind == "ctrTitle" {
			level = 1
		}
		title := Block{Kind: KindHeading, Level: level, Text: strings.Join(strings.Fields(strings.Join(lines, " ")), " ")}
		if w.title == nil {
			w.title = &title
			return
		}
		w.blocks = append(w.blocks, Block{Kind: KindList, Text: title.Text})
	default:
		w.blocks = append(w.blocks, Block{Kind: KindList, Text: strings.Join(lines, "\n")})
	}
}

// paragraphs are the lines of a text body. Those of a placeholder are points, indented by their level.
func paragraphs(body *node, points bool) (lines []string) {
	if body == nil {
		return nil
	}
	for _, p := range body.children {
		if p.name != "p" {
			continue
		}
		text := strings.TrimSpace(runs(p))
		if text == "" {
			continue
		}
		level := 0
		if pr := p.child("pPr"); pr != nil && len(pr.attrs["lvl"]) == 1 && pr.attrs["lvl"] <= "8" {
			level = int(pr.attrs["lvl"][0] - '0')
		}
		lines = append(lines, strings.Repeat("  ", max(level, 0))+text)
	}
	if points && len(lines) > 1 {
		for i, line := range lines {
			text := strings.TrimLeft(line, " ")
			lines[i] = line[:len(line)-len(text)] + "- " + text
		}
	}
	return lines
}

// runs is the text of one a:p.
func runs(p *node) string {
	var out strings.Builder
	for _, r := range p.children {
		switch r.name {
		case "r", "fld":
			if t := r.child("t"); t != nil {
				out.WriteString(t.text)
			}
		case "br":
			out.WriteByte(' ')
		}
	}
	return out.String()
}

// frame takes the table or the diagram of a graphic frame; a chart or another object has no text of its own here.
func (w *slideWalk) frame(frame *node) error {
	graphic := frame.child("graphic").child("graphicData")
	if t := graphic.child("tbl"); t != nil {
		w.blocks = append(w.blocks, slideTable(t))
		return nil
	}
	ids := graphic.child("relIds")
	if ids == nil {
		return nil
	}
	diagram := w.targets[ids.attrs["rel:dm"]]
	if diagram.kind != "diagramData" {
		return nil
	}
	found, err := w.archive.tree(diagram.part)
	if err != nil || found == nil {
		return err
	}
	points := found.child("ptLst")
	if points == nil {
		return nil
	}
	var lines []string
	for _, point := range points.children {
		if text := strings.Join(paragraphs(point.child("t"), false), " "); text != "" {
			lines = append(lines, "- "+text)
		}
	}
	w.blocks = append(w.blocks, Block{Kind: KindList, Text: strings.Join(lines, "\n")})
	return nil
}

// slideTable reads an a:tbl. A cell that is merged over rows says its text in each of them, so that every row is whole.
func slideTable(tbl *node) Block {
	var rows []string
	var above []string
	for _, tr := range tbl.children {
		if tr.name != "tr" {
			continue
		}
		var cells []string
		for _, tc := range tr.children {
			if tc.name != "tc" {
				continue
			}
			text := strings.Join(paragraphs(tc.child("txBody"), false), " ")
			if at := len(cells); on(tc.attrs["vMerge"]) && text == "" && at < len(above) {
				text = above[at]
			}
			cells = append(cells, text)
		}
		above = cells
		if row := tableRow(cells); row != "" {
			rows = append(rows, row)
		}
	}
	b := Block{Kind: KindTable, Text: strings.Join(rows, "\n")}
	// A table's first row is its header unless the table says that it has none.
	pr := tbl.child("tblPr")
	if len(rows) > 1 && strings.Contains(rows[0], " | ") && (pr == nil || pr.attrs["firstRow"] == "" || on(pr.attrs["firstRow"])) {
		b.Header = 1
	}
	return b
}

func on(value string) bool { return value == "1" || value == "true" }

// notes takes what the speaker wrote for the slide.
func (w *slideWalk) notes() error {
	for _, r := range w.targets {
		if r.kind != "notesSlide" {
			continue
		}
		notes, err := w.archive.tree(r.part)
		if err != nil || notes == nil {
			return err
		}
		tree := notes.child("cSld").child("spTree")
		if tree == nil {
			return nil
		}
		for _, shape := range tree.children {
			holder := shape.child("nvSpPr").child("nvPr").child("ph")
			if holder == nil || holder.attrs["type"] != "body" {
				continue
			}
			if text := strings.Join(paragraphs(shape.child("txBody"), false), "\n"); text != "" {
				w.blocks = append(w.blocks, Block{Kind: KindText, Text: "Notes: " + text})
			}
		}
		return nil
	}
	return nil
}
