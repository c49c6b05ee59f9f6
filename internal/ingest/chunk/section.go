package chunk

import "strings"

// section is what is cut together: what stands under one heading path, or the whole document.
type section struct {
	path   []string
	anchor string
	units  []unit
	record *Block // it is all of: its title is repeated in each of its chunks
}

// record is the section of block i, which is a chunk of its own unless it is too long for one.
func (d *document) record(o *outline, i int) section {
	b := &d.blocks[i]
	s := section{path: o.path(), anchor: b.Anchor, units: d.units(i, i), record: b}
	if n := len(s.path); b.Title != "" && (n == 0 || s.path[n-1] != b.Title) {
		s.path = append(s.path, b.Title)
	}
	return s
}

// alone reports a block that is never in a chunk with others.
func (d *document) alone(b Block) bool {
	return b.Kind == KindRecord && (b.Whole || d.config.Strategy == Record)
}

// outline is the path of headings at a place of the document.
type outline struct {
	title string
	stack []rank
}

type rank struct {
	level int
	text  string
}

func (o *outline) path() []string {
	var p []string
	if o.title != "" {
		p = append(p, o.title)
	}
	for i, r := range o.stack {
		if i == 0 && r.text == o.title {
			continue
		}
		p = append(p, r.text)
	}
	return p
}

// enter goes under a heading and returns its level.
func (o *outline) enter(b Block) int {
	level := max(b.Level, 1)
	for len(o.stack) > 0 && o.stack[len(o.stack)-1].level >= level {
		o.stack = o.stack[:len(o.stack)-1]
	}
	o.stack = append(o.stack, rank{level, strings.Join(strings.Fields(b.Text), " ")})
	return level
}

// through is the last block of the paragraph that begins at block i: it may run on over pages.
func (d *document) through(i int) int {
	for i+1 < len(d.blocks) && runsOn(d.blocks[i], d.blocks[i+1]) {
		i++
	}
	return i
}

// sections follows the headings. A heading with nothing under it but a deeper heading is kept with that one. By the
// strategy tables, a table is a section of its own under the same headings.
func (d *document) sections(title string) []section {
	if s := d.config.Strategy; s != Headings && s != Tables && s != Record {
		return d.whole(title)
	}
	var out []section
	o := outline{title: title}
	current := section{path: o.path()}
	bare := 0 // the level of the current section's last heading while it has no body
	end := func() {
		if len(current.units) > 0 {
			out = append(out, current)
		}
	}
	table := false
	for i := 0; i < len(d.blocks); i++ {
		b := d.blocks[i]
		if strings.TrimSpace(b.Text) == "" {
			continue
		}
		if d.alone(b) {
			if bare == 0 { // else its headings say the same
				end()
			}
			out = append(out, d.record(&o, i))
			current, bare, table = section{path: o.path(), anchor: current.anchor}, 0, false
			continue
		}
		if b.Kind != KindHeading {
			if is := b.Kind == KindTable; d.config.Strategy == Tables && is != table && bare == 0 {
				end()
				current = section{path: current.path, anchor: current.anchor}
			}
			table = b.Kind == KindTable
			last := d.through(i)
			current.units = append(current.units, d.units(i, last)...)
			bare, i = 0, last
			continue
		}
		level := o.enter(b)
		if bare == 0 || level <= bare {
			end()
			current = section{}
		}
		current.path, bare = o.path(), level
		if b.Anchor != "" {
			current.anchor = b.Anchor
		}
		current.units = append(current.units, d.units(i, i)...)
	}
	end()
	return out
}

// whole is the document as one section; a chunk stands under the headings at its start.
func (d *document) whole(title string) []section {
	var out []section
	o := outline{title: title}
	all := section{path: o.path()}
	path := all.path
	for i := 0; i < len(d.blocks); i++ {
		b := d.blocks[i]
		if strings.TrimSpace(b.Text) == "" {
			continue
		}
		if d.alone(b) {
			n := len(all.units)
			for n > 0 && all.units[n-1].kind == KindHeading { // the records' paths say the same
				n--
			}
			if all.units = all.units[:n]; n > 0 {
				out = append(out, all)
			}
			out = append(out, d.record(&o, i))
			all = section{path: path}
			continue
		}
		last := d.through(i)
		if b.Kind == KindHeading {
			o.enter(b)
			path = o.path()
			if n := len(all.units); n > 0 && all.units[n-1].kind != KindHeading {
				all.units[n-1].ends = true
			}
		}
		from := len(all.units)
		all.units = append(all.units, d.units(i, last)...)
		for j := range all.units[from:] {
			all.units[from+j].path = path
		}
		i = last
	}
	if len(all.units) > 0 {
		out = append(out, all)
	}
	return out
}
