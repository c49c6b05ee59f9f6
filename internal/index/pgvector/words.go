package pgvector

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// levels are how often a chunk must hold a term to have a lexeme for it: PostgreSQL says whether a lexeme is there, not
// how often, so that a term that is there three times is there as three lexemes. Between two levels the lower counts;
// to BM25, whose curve is flat by then, that is little.
var levels = []int{1, 2, 3, 4, 6, 9, 14}

// times stands between a term and how often it is there. The analyzer leaves no control characters in a term.
const times = "\x1f"

// lexeme is what stands in a text search vector where a term is there as often as a level says.
func lexeme(term string, level int) string {
	if level == 0 {
		return term
	}
	return term + times + strconv.Itoa(levels[level])
}

// termOf refuses what cannot stand in a text search vector.
func termOf(b []byte) (string, bool) {
	s := string(b)
	return s, utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// quote writes a lexeme as text search vectors and queries are written.
func quote(b *strings.Builder, lexeme string) {
	b.WriteByte('\'')
	for _, c := range []byte(lexeme) {
		if c == '\'' || c == '\\' {
			b.WriteByte(c)
		}
		b.WriteByte(c)
	}
	b.WriteByte('\'')
}

func quoted(lexemes ...string) string {
	var b strings.Builder
	for i, l := range lexemes {
		if i > 0 {
			b.WriteString(" | ")
		}
		quote(&b, l)
	}
	return b.String()
}
