package extract

import (
	"slices"
	"strconv"
	"strings"
)

// A quoted cell that does not end within this much is a stray quote, not a cell.
const (
	maxCellLines = 200
	maxCellBytes = 1 << 20
)

// csvRow is one row: its cells, the line it starts on, and whether its quotes were broken.
type csvRow struct {
	cells  []string
	line   int
	broken bool
}

// readCSV makes a record of every row after the header row: "column: value" lines. Rows that do not fit are kept and
// reported; nothing is left out.
func readCSV(text string, tabs bool, s *sink) error {
	columns, head, err := eachRow(text, tabs, s, func(columns []string, row csvRow) error {
		return s.add(Block{Kind: KindRecord, Text: record(columns, row.cells), Anchor: anchor(row)})
	})
	if err != nil || head.line == 0 {
		return err
	}
	// A header alone is still text to be found.
	return s.add(Block{Kind: KindRecord, Text: strings.Join(columns, ", "), Anchor: anchor(head)})
}

// eachRow calls each with every row after the header row. Where there is none, it returns the columns and the header row.
func eachRow(text string, tabs bool, s *sink, each func(columns []string, row csvRow) error) (columns []string, head csvRow, err error) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	delimiter := byte('\t')
	if !tabs {
		delimiter = sniffDelimiter(text)
	}
	rows := csvReader{lines: strings.Split(text, "\n"), delimiter: delimiter}
	for {
		row, ok := rows.next()
		if !ok {
			return columns, head, nil
		}
		if row.broken {
			s.warn("line %d: a quote is not closed; the line was split at every delimiter", row.line)
		}
		if columns == nil {
			columns = header(row.cells)
			if columns != nil {
				head = row
				continue
			}
			for i := range row.cells {
				columns = append(columns, "column "+strconv.Itoa(i+1))
			}
		}
		if len(row.cells) != len(columns) {
			s.warn("line %d: %d cells where the header has %d", row.line, len(row.cells), len(columns))
		}
		head = csvRow{}
		if err := each(columns, row); err != nil {
			return nil, head, err
		}
	}
}

func anchor(row csvRow) string { return "line " + strconv.Itoa(row.line) }

func record(columns, cells []string) string {
	var out []string
	for i, c := range cells {
		if c = strings.TrimSpace(c); c == "" {
			continue
		}
		name := "column " + strconv.Itoa(i+1)
		if i < len(columns) {
			name = columns[i]
		}
		out = append(out, name+": "+c)
	}
	return strings.Join(out, "\n")
}

// header takes the first row for column names unless it looks like values: numbers, repeats or mostly nothing.
func header(cells []string) []string {
	var named int
	seen := map[string]bool{}
	columns := make([]string, len(cells))
	for i, c := range cells {
		c = strings.Join(strings.Fields(c), " ")
		if _, err := strconv.ParseFloat(strings.Trim(c, "$€£% "), 64); err == nil || len(c) > 200 || c != "" && seen[c] {
			return nil
		}
		if c != "" {
			named++
			seen[c] = true
		} else {
			c = "column " + strconv.Itoa(i+1)
		}
		columns[i] = c
	}
	if named == 0 || named*2 < len(cells) {
		return nil
	}
	return columns
}

// sniffDelimiter takes the delimiter that splits the first rows most evenly, and into the most cells.
func sniffDelimiter(text string) byte {
	best, bestScore := byte(','), 0
	sample := text[:min(len(text), headBytes)]
	for _, d := range []byte{',', ';', '\t', '|'} {
		rows := csvReader{lines: strings.Split(sample, "\n"), delimiter: d}
		counts := map[int]int{}
		for range 20 {
			row, ok := rows.next()
			if !ok {
				break
			}
			counts[len(row.cells)]++
		}
		score := 0
		for cells, n := range counts {
			if cells > 1 {
				score = max(score, n*100+min(cells, 99))
			}
		}
		if score > bestScore {
			best, bestScore = d, score
		}
	}
	return best
}

// csvReader reads RFC 4180 with any delimiter. Unlike encoding/csv, a stray quote costs one line, not the rest of the
// file: an unclosed cell is given up after maxCellLines and its first line is taken as it stands.
type csvReader struct {
	lines     []string
	at        int
	delimiter byte
}

func (r *csvReader) ended() bool {
	for r.at < len(r.lines) && strings.TrimSpace(r.lines[r.at]) == "" {
		r.at++
	}
	return r.at >= len(r.lines)
}

func (r *csvReader) next() (csvRow, bool) {
	if r.ended() {
		return csvRow{}, false
	}
	start := r.at
	if cells, used, ok := r.parse(start); ok {
		r.at += used
		return csvRow{cells: cells, line: start + 1}, true
	}
	r.at++
	line := strings.Split(r.lines[start], string(r.delimiter))
	return csvRow{cells: line, line: start + 1, broken: true}, true
}

// parse reads one row from line i on and returns how many lines it took.
func (r *csvReader) parse(i int) (cells []string, used int, ok bool) {
	line, used := r.lines[i], 1
	var size int
	for {
		if !strings.HasPrefix(strings.TrimLeft(line, " "), `"`) {
			cell, rest, more := strings.Cut(line, string(r.delimiter))
			cells = append(cells, cell)
			if !more {
				return cells, used, true
			}
			line = rest
			continue
		}
		var cell strings.Builder
		line = strings.TrimLeft(line, " ")[1:]
		for {
			end := strings.IndexByte(line, '"')
			if end < 0 {
				cell.WriteString(line)
				size += len(line) + 1
				if i+used >= len(r.lines) || used >= maxCellLines || size > maxCellBytes {
					return nil, 0, false
				}
				cell.WriteByte('\n')
				line = r.lines[i+used]
				used++
				continue
			}
			cell.WriteString(line[:end])
			line = line[end+1:]
			if !strings.HasPrefix(line, `"`) {
				break
			}
			cell.WriteByte('"')
			line = line[1:]
		}
		// Text between the closing quote and the delimiter belongs to the cell in files that did not escape quotes.
		after, rest, more := strings.Cut(line, string(r.delimiter))
		cells = append(cells, cell.String()+strings.TrimRight(after, " "))
		if !more {
			return slices.Clip(cells), used, true
		}
		line = rest
	}
}
