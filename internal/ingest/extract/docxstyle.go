package extract

import (
	"strconv"
	"strings"
)

// style is what of a paragraph style matters: its rank as a heading and its numbering.
type style struct {
	level int
	numID string
	depth int
}

// readStyles resolves every paragraph style with what it inherits.
func readStyles(root *node) map[string]style {
	if root == nil {
		return nil
	}
	byID := map[string]*node{}
	for _, n := range root.children {
		if n.name == "style" {
			byID[n.attrs["styleId"]] = n
		}
	}
	styles := make(map[string]style, len(byID))
	for id := range byID {
		styles[id] = resolveStyle(byID, id, 0)
	}
	return styles
}

func resolveStyle(byID map[string]*node, id string, depth int) style {
	n := byID[id]
	if n == nil || depth > 20 { // a chain that long is a loop
		return style{}
	}
	st := resolveStyle(byID, n.val("basedOn"), depth+1)
	name := strings.ToLower(n.val("name"))
	if rank, found := strings.CutPrefix(name, "heading "); found {
		if level, err := strconv.Atoi(rank); err == nil && level > 0 && level < 10 {
			st.level = level
		}
	} else if name == "title" {
		st.level = 1
	}
	properties := n.child("pPr")
	if v := properties.val("outlineLvl"); v != "" {
		if level, err := strconv.Atoi(v); err == nil && level >= 0 && level < 9 {
			st.level = level + 1
		} else {
			st.level = 0 // 9 is body text
		}
	}
	if num := properties.child("numPr"); num != nil {
		if v := num.val("numId"); v != "" {
			st.numID = v
		}
		if v, err := strconv.Atoi(num.val("ilvl")); err == nil {
			st.depth = v
		}
	}
	return st
}

// numbering counts list items and numbered headings as Word does, so that "3.2" is in the text where a reader sees it.
type numbering struct {
	abstract map[string]string              // numId to abstractNumId
	levels   map[string]map[int]numberLevel // abstractNumId to its levels
	starts   map[string]map[int]int         // numId to overridden starts
	counts   map[string]*[9]int             // abstractNumId to counters
	begun    map[string]bool                // numIds met, for their overrides
}

type numberLevel struct {
	format  string // decimal, bullet, lowerLetter, …
	pattern string // "%1.%2."
	start   int
}

func readNumbering(root *node) *numbering {
	n := &numbering{abstract: map[string]string{}, levels: map[string]map[int]numberLevel{}, starts: map[string]map[int]int{},
		counts: map[string]*[9]int{}, begun: map[string]bool{}}
	if root == nil {
		return n
	}
	for _, c := range root.children {
		switch c.name {
		case "abstractNum":
			levels := map[int]numberLevel{}
			for _, l := range c.children {
				depth, err := strconv.Atoi(l.attrs["ilvl"])
				if l.name != "lvl" || err != nil {
					continue
				}
				level := numberLevel{format: l.val("numFmt"), pattern: l.val("lvlText"), start: 1}
				if start, err := strconv.Atoi(l.val("start")); err == nil {
					level.start = start
				}
				levels[depth] = level
			}
			n.levels[c.attrs["abstractNumId"]] = levels
		case "num":
			id := c.attrs["numId"]
			n.abstract[id] = c.val("abstractNumId")
			for _, o := range c.children {
				depth, err1 := strconv.Atoi(o.attrs["ilvl"])
				start, err2 := strconv.Atoi(o.val("startOverride"))
				if o.name == "lvlOverride" && err1 == nil && err2 == nil {
					if n.starts[id] == nil {
						n.starts[id] = map[int]int{}
					}
					n.starts[id][depth] = start
				}
			}
		}
	}
	return n
}

// next counts one paragraph of the list and returns its label with a space after it. Bullets are "- " in lists and
// nothing before headings.
func (n *numbering) next(numID string, depth int, bullets bool) string {
	if numID == "" || numID == "0" {
		return ""
	}
	abstract, known := n.abstract[numID]
	levels := n.levels[abstract]
	level, has := levels[depth]
	if !known || !has || level.format == "bullet" || level.format == "none" || level.pattern == "" {
		if bullets {
			return "- "
		}
		return ""
	}
	counts := n.counts[abstract]
	if counts == nil {
		counts = &[9]int{}
		n.counts[abstract] = counts
	}
	if !n.begun[numID] {
		n.begun[numID] = true
		for d, start := range n.starts[numID] {
			if d >= 0 && d < 9 {
				counts[d] = start - 1
				clear(counts[d+1:])
			}
		}
	}
	if counts[depth] == 0 {
		counts[depth] = level.start - 1
	}
	counts[depth]++
	clear(counts[depth+1:])
	label := level.pattern
	for d := range 9 {
		place := "%" + strconv.Itoa(d+1)
		if strings.Contains(label, place) {
			label = strings.ReplaceAll(label, place, ordinal(levels[d].format, max(counts[d], 1)))
		}
	}
	return strings.TrimSpace(label) + " "
}

// ordinal writes a number in the format of a list level.
func ordinal(format string, n int) string {
	switch format {
	case "lowerLetter", "upperLetter":
		letter := string(rune('a' + (n-1)%26))
		text := strings.Repeat(letter, min((n-1)/26+1, 10))
		if format == "upperLetter" {
			return strings.ToUpper(text)
		}
		return text
	case "lowerRoman":
		return strings.ToLower(roman(n))
	case "upperRoman":
		return roman(n)
	case "decimalZero":
		if n < 10 {
			return "0" + strconv.Itoa(n)
		}
	}
	return strconv.Itoa(n)
}

func roman(n int) string {
	if n > 3999 {
		return strconv.Itoa(n)
	}
	var out strings.Builder
	for _, r := range []struct {
		value int
		text  string
	}{{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"}, {40, "XL"}, {10, "X"},
		{9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"}} {
		for ; n >= r.value; n -= r.value {
			out.WriteString(r.text)
		}
	}
	return out.String()
}
