package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// unit is what is never cut: a sentence, a row, a line, a record. Units are in order, do not overlap, and together hold
// every character that is not a space.
type unit struct {
	start, end  int // in the document's text
	tokens      int
	hash        uint64
	kind        string
	block, last int  // the blocks it comes from
	closes      bool // ends a block of a format without pages, where that is sure to be a paragraph's end
	sticks      bool // must not be cut off from the next: headings, header rows
	header      span // the header of the table it is a row of
	ends        bool // the last before a heading, where the document is one section
	path        []string
}

type span struct{ start, end int }

// units cuts the blocks first to last, which are one block or a paragraph that runs over pages.
func (d *document) units(first, last int) []unit {
	b := d.blocks[first]
	start, end := d.starts[first], d.starts[last]+len(d.blocks[last].Text)
	whole := span{start, end}
	var spans []span
	var header span
	limit := min(d.config.Tokens, pieceLimit(d.config, b.Kind == KindTable))
	switch b.Kind {
	case KindHeading:
		spans = []span{whole}
	case KindTable, KindList, KindCode:
		spans = lines(d.text, whole)
		if n := min(b.Header, len(spans)-1); b.Kind == KindTable && n > 0 {
			// A header that takes much of every piece says less than the rows it displaces.
			h := span{spans[0].start, spans[n-1].end}
			if EstimateTokens(d.text[h.start:h.end]) <= limit/4 {
				header = h
			}
		}
	case KindRecord:
		size := EstimateTokens(d.text[start:end])
		if d.alone(b) && size <= d.config.Max {
			limit = d.config.Max
		}
		if spans = []span{whole}; size > limit {
			spans = lines(d.text, whole)
		}
	default:
		if spans, limit = sentences(d.text, whole), limit/4; d.config.Strategy == Tokens {
			spans = fixedPieces(d.text, whole)
		}
	}
	var out []unit
	at := first
	for i, s := range spans {
		for _, piece := range d.pieces(s, limit) {
			text := d.text[piece.start:piece.end]
			u := unit{start: piece.start, end: piece.end, tokens: EstimateTokens(text), hash: hashWords(text), kind: b.Kind, header: header,
				sticks: b.Kind == KindHeading || b.Kind == KindTable && i < min(b.Header, len(spans)-1)}
			for at < last && d.starts[at+1] <= u.start {
				at++
			}
			u.block, u.last = at, at
			for u.last < last && d.starts[u.last+1] < u.end {
				u.last++
			}
			out = append(out, u)
		}
	}
	if n := len(out); n > 0 && b.Page == 0 {
		out[n-1].closes = true
	}
	return out
}

// pieces cuts a unit above the limit at its line ends, and what is still above it between words.
func (d *document) pieces(s span, limit int) []span {
	if EstimateTokens(d.text[s.start:s.end]) <= limit {
		if s = trim(d.text, s); s.start == s.end {
			return nil
		}
		return []span{s}
	}
	all := lines(d.text, s)
	if wrapped(all) {
		return wordPieces(d.text, s, d.config.Tokens/2)
	}
	var out []span
	for _, line := range all {
		if EstimateTokens(d.text[line.start:line.end]) <= limit {
			out = append(out, line)
		} else {
			out = append(out, wordPieces(d.text, line, d.config.Tokens/2)...)
		}
	}
	return out
}

// lines returns the lines that are not blank.
func lines(text string, s span) (out []span) {
	for at := s.start; at < s.end; {
		end := strings.IndexByte(text[at:s.end], '\n')
		if end < 0 {
			end = s.end
		} else {
			end += at
		}
		if line := trim(text, span{at, end}); line.start < line.end {
			out = append(out, line)
		}
		at = end + 1
	}
	return out
}

// wrapped reports lines that end where the margin was, as an editor breaks running text, and not where their author
// wanted: those ends move when a word is added.
func wrapped(lines []span) bool {
	longest, long := 0, 0
	for _, l := range lines {
		longest = max(longest, l.end-l.start)
	}
	for _, l := range lines {
		if (l.end-l.start)*10 >= longest*7 {
			long++
		}
	}
	return longest <= 120 && long*10 >= len(lines)*7
}

func trim(text string, s span) span {
	piece := text[s.start:s.end]
	left := strings.TrimLeftFunc(piece, unicode.IsSpace)
	s.start += len(piece) - len(left)
	s.end = s.start + len(strings.TrimRightFunc(left, unicode.IsSpace))
	return s
}

const (
	pieceMin  = 8  // tokens
	pieceMax  = 64 // tokens
	pieceOdds = 12 // one place in so many is a cut
	longWord  = 32 // characters; a longer run without spaces is cut between characters
)

// wordPieces cuts running text without sentences where the words say so, so that a change moves only the cuts near it.
func wordPieces(text string, s span, limit int) (out []span) {
	most := min(pieceMax, limit)
	fewest := min(pieceMin, most/2)
	start, tokens := s.start, 0
	for at := s.start; at < s.end; {
		end := atom(text, at, s.end)
		tokens += EstimateTokens(text[at:end])
		if tokens >= fewest && (hashWords(text[at:end])%pieceOdds == 0 || tokens >= most) {
			out = append(out, span{start, end})
			start, tokens = end, 0
		}
		at = end
	}
	if start < s.end {
		out = append(out, span{start, s.end})
	}
	kept := out[:0]
	for _, p := range out {
		if p = trim(text, p); p.start < p.end {
			kept = append(kept, p)
		}
	}
	return kept
}

// fixedPieces cuts text after so many tokens, between words.
func fixedPieces(text string, s span) (out []span) {
	start, tokens := s.start, 0
	for at := s.start; at < s.end; {
		end := atom(text, at, s.end)
		if tokens += EstimateTokens(text[at:end]); tokens >= pieceMin || end == s.end {
			if p := trim(text, span{start, end}); p.start < p.end {
				out = append(out, p)
			}
			start, tokens = end, 0
		}
		at = end
	}
	return out
}

// atom returns the end of the word at the offset with the spaces before it, or of four characters of a long one.
func atom(text string, at, end int) int {
	i := at
	for i < end {
		r, n := utf8.DecodeRuneInString(text[i:end])
		if !unicode.IsSpace(r) {
			break
		}
		i += n
	}
	fourth, count := end, 0
	for i < end {
		r, n := utf8.DecodeRuneInString(text[i:end])
		if unicode.IsSpace(r) {
			return i
		}
		i += n
		if count++; count == 4 {
			fourth = i
		}
		if count > longWord {
			return fourth
		}
	}
	return end
}

// hashWords hashes the words of a text, not the spaces between them (FNV-1a, finished so that all bits are good).
func hashWords(text string) uint64 {
	h := uint64(14695981039346656037)
	space := false
	for _, r := range text {
		if unicode.IsSpace(r) {
			space = true
			continue
		}
		if space {
			h = (h ^ ' ') * 1099511628211
			space = false
		}
		h = (h ^ uint64(r)) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
