package extract

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"
)

// A table ends as a block at a row whose hash says so, so that an inserted row moves only the end of the block it is in;
// the bounds are for what never says so.
const (
	tableRows     = 16
	tableRowsMost = 512
	tableBytes    = 32 << 10
	tableOdds     = 32
	maxMerged     = 20_000 // merged ranges of a sheet that are kept
	mergedSpan    = 1_000  // rows or columns of a range above which it is decoration
)

// merged is a range of cells that are shown as one, from 1.
type merged struct{ left, top, right, bottom int }

func parseMerged(ref string) (m merged, ok bool) {
	from, to, ok := strings.Cut(ref, ":")
	if !ok {
		return m, false
	}
	var err error
	if m.left, m.top, err = excelize.CellNameToCoordinates(from); err != nil {
		return m, false
	}
	if m.right, m.bottom, err = excelize.CellNameToCoordinates(to); err != nil {
		return m, false
	}
	return m, m.left <= m.right && m.top <= m.bottom && m.right-m.left < mergedSpan && m.bottom-m.top < mergedSpan
}

// grid makes tables of a sheet's rows: rows with one cell before a table are its captions, the first row of names is its
// header, an empty row ends it.
type grid struct {
	sheet   *sheet
	sink    *sink
	header  []string
	headed  int // the row of its first line
	rows    []string
	first   int // the number of rows[0]
	bytes   int
	lines   []string // rows of one cell
	inside  bool     // within a table
	opened  []merged // ranges that reach the current row
	next    int      // of the sheet's ranges, in the order of their tops
	above   map[int]string
	records *recordFile // takes the rows, where records are wanted
	columns []string    // their names

	names int // header rows that may still come: below a name that spans columns stand the columns' own
}

// row takes row n.
func (g *grid) row(n int, cells []string) error {
	own := 0
	for i, c := range cells {
		if cells[i] = strings.Join(strings.Fields(clean(c)), " "); cells[i] != "" {
			own++
		}
	}
	if own == 0 {
		g.inside = false
		return g.endLines()
	}
	cells, spans := g.fill(n, cells)
	switch {
	case !g.inside && own == 1:
		g.lines = append(g.lines, strings.Join(nonempty(cells), " "))
		if len(g.lines) >= tableRowsMost {
			return g.endLines()
		}
		return g.flush()
	case !g.inside:
		if err := g.endLines(); err != nil {
			return err
		}
		g.inside = true
		if spans || columnNames(cells) {
			if err := g.flush(); err != nil {
				return err
			}
			g.header, g.headed, g.names, g.columns = []string{tableRow(cells)}, n, 0, slices.Clone(cells)
			if spans {
				g.names = 1
			}
			return nil
		}
	case g.names > 0 && len(g.rows) == 0:
		g.names--
		if columnNames(cells) {
			g.header = append(g.header, tableRow(cells))
			g.columns = below(g.columns, cells)
			return nil
		}
	}
	if g.records != nil {
		return g.records.take(fmt.Sprintf("%s, row %d", g.sheet.name, n), g.records.row(g.columns, cells))
	}
	line := tableRow(cells)
	if len(g.rows) == 0 {
		g.first = n
	}
	g.rows = append(g.rows, line)
	g.bytes += len(line)
	h := fnv.New32a()
	h.Write([]byte(line))
	if len(g.rows) >= tableRows && h.Sum32()%tableOdds == 0 || len(g.rows) >= tableRowsMost || g.bytes >= tableBytes {
		return g.flush()
	}
	return nil
}

// below puts the names of columns under the names that span them.
func below(above, names []string) []string {
	for i, name := range names {
		for len(above) <= i {
			above = append(above, "")
		}
		above[i] = strings.TrimSpace(above[i] + " " + name)
	}
	return above
}

// columnNames reports a row of column names, which may be years.
func columnNames(cells []string) bool {
	names := make([]string, len(cells))
	for i, c := range cells {
		names[i] = year.ReplaceAllString(c, "year $0")
	}
	return header(names) != nil
}

func nonempty(cells []string) (out []string) {
	for _, c := range cells {
		if c != "" {
			out = append(out, c)
		}
	}
	return out
}

// fill repeats what is merged over rows in each of them, so that every row is whole, and a name over several columns
// above each of them. It reports whether the row has such names.
func (g *grid) fill(n int, cells []string) (filled []string, spans bool) {
	for g.next < len(g.sheet.merged) && g.sheet.merged[g.next].top <= n {
		g.opened = append(g.opened, g.sheet.merged[g.next])
		g.next++
	}
	own := len(nonempty(cells))
	kept := g.opened[:0]
	for _, m := range g.opened {
		if m.bottom < n {
			delete(g.above, m.left)
			continue
		}
		kept = append(kept, m)
		if m.top == n && m.left <= len(cells) {
			g.above[m.left] = cells[m.left-1]
		}
		text := g.above[m.left]
		if text == "" {
			continue
		}
		across := m.left
		if m.top == n && m.right > m.left && own > 1 && !g.inside {
			across, spans = m.right, true
		}
		for at := m.left; at <= across; at++ {
			for len(cells) < at {
				cells = append(cells, "")
			}
			if cells[at-1] == "" {
				cells[at-1] = text
			}
		}
	}
	g.opened = kept
	return cells, spans
}

// endLines delivers the table so far and the rows of one cell that were read: a caption, or a list.
func (g *grid) endLines() error {
	if err := g.flush(); err != nil {
		return err
	}
	lines := g.lines
	if g.lines = nil; len(lines) == 0 {
		return nil
	}
	g.header = nil
	kind := KindText
	if len(lines) > 1 {
		kind = KindList
	}
	return g.sink.add(Block{Kind: kind, Text: strings.Join(lines, "\n"), Anchor: g.sheet.name})
}

func (g *grid) flush() error {
	if len(g.rows) == 0 {
		return nil
	}
	b := Block{Kind: KindTable, Text: strings.Join(append(append([]string(nil), g.header...), g.rows...), "\n"), Header: len(g.header),
		Anchor: fmt.Sprintf("%s, row %d", g.sheet.name, g.first)}
	g.rows, g.bytes = nil, 0
	return g.sink.add(b)
}

// end delivers what is left. A header without rows is still text to be found.
func (g *grid) end() error {
	if len(g.rows) == 0 && g.inside && len(g.header) > 0 && g.records == nil {
		g.rows, g.header, g.first = g.header, nil, g.headed
	}
	return g.endLines()
}
