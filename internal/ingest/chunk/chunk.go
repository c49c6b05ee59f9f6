// Package chunk cuts a document's blocks into the pieces that are embedded and found: within headings, near a target
// size, with ids that stay when the text around them changes. Pure functions; the ingest feature calls them.
package chunk

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// The kinds of a block, which are extract's.
const (
	KindHeading = "heading"
	KindText    = "text"
	KindTable   = "table"
	KindCode    = "code"
	KindRecord  = "record"
	KindList    = "list"
)

// Block is one piece of a document in reading order. It has the fields of extract.Block in the same order, so that
// chunk.Block(b) converts one.
type Block struct {
	Kind   string `json:"kind"`
	Text   string `json:"text"`
	Level  int    `json:"level,omitempty"`
	Page   int    `json:"page,omitempty"`
	Header int    `json:"header,omitempty"`
	Anchor string `json:"anchor,omitempty"`
	Title  string `json:"title,omitempty"`
	Key    string `json:"key,omitempty"`
	Whole  bool   `json:"whole,omitempty"`
}

// Chunk is one piece. Text ends with Join(blocks)[Start:End]; what precedes that is a repeated table header, a record's title, or overlap.
type Chunk struct {
	ID       string   // "chk_…", of document, heading path, words and occurrence: pages and position are not part of it
	Ordinal  int      // from 0, in reading order
	Text     string   // its headings first, where the chunk is the first under them
	Heading  []string // the path of headings it stands under, the document's title first
	PageFrom int      // from 1; 0 where the format has no pages
	PageTo   int
	Start    int    // byte offset in Join(blocks)
	End      int    // byte offset in Join(blocks), exclusive
	Tokens   int    // estimated, of Text
	Kind     string // of its blocks, headings not counted; "text" when they differ
	Anchor   string // of its first block that has one, else of its heading
}

// Split cuts the blocks. The same input gives the same chunks, and a change of the input changes the chunks around it:
// see cuts for how far. cfg must have passed Check.
func Split(cfg Config, documentID, title string, blocks []Block) []Chunk {
	d := document{config: cfg, id: documentID, blocks: blocks, seen: map[[sha256.Size]byte]int{}}
	d.join()
	for _, s := range d.sections(title) {
		d.emit(s)
	}
	return d.chunks
}

// Join is the document's text that Start and End point into: the blocks' texts with an empty line between them, or a
// space where a paragraph runs on over a page break.
func Join(blocks []Block) string {
	d := document{blocks: blocks}
	d.join()
	return d.text
}

// document is the work on one document.
type document struct {
	config Config
	id     string
	blocks []Block
	text   string
	starts []int // of each block in text
	chunks []Chunk
	seen   map[[sha256.Size]byte]int
}

func (d *document) join() {
	var out strings.Builder
	d.starts = make([]int, len(d.blocks))
	for i, b := range d.blocks {
		switch {
		case i == 0:
		case runsOn(d.blocks[i-1], b):
			out.WriteByte(' ')
		default:
			out.WriteString("\n\n")
		}
		d.starts[i] = out.Len()
		out.WriteString(b.Text)
	}
	d.text = out.String()
}

// runsOn reports whether b goes on with a's paragraph on the next page.
func runsOn(a, b Block) bool {
	if a.Kind != KindText || b.Kind != KindText || a.Page == 0 || b.Page <= a.Page {
		return false
	}
	text := strings.TrimRight(a.Text, " \n\t\"'”’)]")
	return text != "" && !strings.ContainsAny(text[len(text)-1:], ".!?:;")
}

// emit makes the chunks of one section.
func (d *document) emit(s section) {
	if len(s.units) == 0 {
		return
	}
	from := 0
	find, config := cuts, d.config
	switch {
	case s.record != nil:
		config.Max -= repeatedTokens(d.config, s.record.Title)
	case d.config.Strategy == Tokens:
		find = fixedCuts
	}
	for _, to := range append(find(config, s.units), len(s.units)) {
		d.chunk(s, from, to)
		from = to
	}
}

// chunk makes a chunk of the units from up to to.
func (d *document) chunk(s section, from, to int) {
	units := s.units[from:to]
	c := Chunk{Ordinal: len(d.chunks), Heading: s.path, Start: units[0].start, End: units[len(units)-1].end, Kind: kindOf(units),
		PageFrom: d.blocks[units[0].block].Page, PageTo: d.blocks[units[len(units)-1].last].Page}
	if len(units[0].path) > 0 {
		c.Heading = units[0].path
	}
	first := from
	for tokens := 0; first > 0 && tokens+s.units[first-1].tokens <= d.config.Overlap; first-- {
		tokens += s.units[first-1].tokens
	}
	c.Text = d.text[s.units[first].start:c.End]
	if h := s.units[first].header; h.end > 0 && h.end <= s.units[first].start {
		c.Text = d.text[h.start:h.end] + "\n" + c.Text
	}
	if s.record != nil && from > 0 && repeatedTokens(d.config, s.record.Title) > 0 {
		c.Text = s.record.Title + "\n" + c.Text
	}
	for _, u := range units {
		if c.Anchor = d.blocks[u.block].Anchor; c.Anchor != "" {
			break
		}
	}
	if c.Anchor == "" {
		c.Anchor = s.anchor
	}
	c.Tokens = EstimateTokens(c.Text)
	c.ID = d.chunkID(c, s.record)
	d.chunks = append(d.chunks, c)
}

// repeatedTokens is the size of a record's title where it is repeated: one that takes much of every chunk says less than the text
// it displaces.
func repeatedTokens(cfg Config, title string) int {
	if n := EstimateTokens(title); n <= cfg.Tokens/4 {
		return n
	}
	return 0
}

func kindOf(units []unit) string {
	kind := ""
	for _, u := range units {
		switch {
		case u.kind == KindHeading || u.kind == kind:
		case kind == "":
			kind = u.kind
		default:
			return KindText
		}
	}
	if kind == "" {
		return KindHeading
	}
	return kind
}

// idAlphabet is that of package id, so that a chunk's id has the shape of any other.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// chunkID hashes the words, not the spaces between them: a line that breaks elsewhere is no change.
func (d *document) chunkID(c Chunk, record *Block) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n%q\n", d.id, c.Heading)
	if record != nil && record.Key != "" { // records of the same words stay apart, in whatever order they come
		fmt.Fprintf(h, "record %q\n", record.Key)
	}
	for word := range strings.FieldsSeq(c.Text) {
		fmt.Fprintf(h, "%s ", word)
	}
	var key [sha256.Size]byte
	h.Sum(key[:0])
	n := d.seen[key]
	d.seen[key]++
	if n > 0 {
		fmt.Fprintf(h, "\n%d", n)
		h.Sum(key[:0])
	}
	return "chk_" + base32.NewEncoding(idAlphabet).WithPadding(base32.NoPadding).EncodeToString(key[:16])
}
