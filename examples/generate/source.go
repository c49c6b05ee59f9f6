package main

import "strings"

type kind int

const (
	title kind = iota
	heading
	paragraph
	item
	table
	pageBreak
)

// part is one piece of a source: a line, or the rows of a table.
type part struct {
	kind kind
	text string
	rows [][]string
}

// parse reads a source: "# " is the title, "## " a heading, "- " an item, "| a | b |" a row, "---" a new page; every other line
// is a paragraph.
func parse(text string) (parts []part) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line == "---":
			parts = append(parts, part{kind: pageBreak})
		case strings.HasPrefix(line, "## "):
			parts = append(parts, part{kind: heading, text: line[3:]})
		case strings.HasPrefix(line, "# "):
			parts = append(parts, part{kind: title, text: line[2:]})
		case strings.HasPrefix(line, "- "):
			parts = append(parts, part{kind: item, text: line[2:]})
		case strings.HasPrefix(line, "| "):
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			if n := len(parts); n > 0 && parts[n-1].kind == table {
				parts[n-1].rows = append(parts[n-1].rows, cells)
				continue
			}
			parts = append(parts, part{kind: table, rows: [][]string{cells}})
		default:
			parts = append(parts, part{kind: paragraph, text: line})
		}
	}
	return parts
}
