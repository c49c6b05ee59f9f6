package builtin

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
)

// word is one word or number of a text.
type word struct {
	folded     string // lower case, without accents; numbers without thousands separators
	start, end int    // bytes in the text
	number     bool   // begins with a digit
	capital    bool   // begins with a capital letter
}

// words cuts a text into words: runs of letters and digits, where a point or comma between digits belongs to the number.
// Scripts that do not separate words give one word for each pair of characters.
func words(text string, each func(word)) {
	var buf [64]byte
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		if !inWord(r) {
			i += size
			continue
		}
		if unspaced(r) {
			end := i + size
			next, n := utf8.DecodeRuneInString(text[end:])
			if n > 0 && unspaced(next) {
				each(word{folded: text[i : end+n], start: i, end: end + n})
			} else {
				each(word{folded: text[i:end], start: i, end: end})
			}
			i = end
			continue
		}
		w := word{start: i, number: isDigit(r), capital: unicode.IsUpper(r)}
		out, plain := buf[:0], true
		for i < len(text) {
			r, size = rune(text[i]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRuneInString(text[i:])
			}
			if (r == '.' || r == ',') && i > w.start && isDigit(rune(text[i-1])) && i+1 < len(text) && isDigit(rune(text[i+1])) {
				if r == '.' || !thousands(text[i+1:]) {
					out = append(out, '.')
				}
				plain = plain && r == '.'
				i++
				continue
			}
			if !inWord(r) || unspaced(r) {
				break
			}
			switch {
			case r < utf8.RuneSelf:
				if 'A' <= r && r <= 'Z' {
					r += 'a' - 'A'
					plain = false
				}
				out = append(out, byte(r))
			default:
				out = fold(out, r)
				plain = false
			}
			i += size
		}
		w.end = i
		if plain {
			w.folded = text[w.start:w.end]
		} else {
			w.folded = string(out)
		}
		if w.folded != "" {
			each(w)
		}
	}
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// thousands reports whether what follows a comma is a group of exactly three digits.
func thousands(s string) bool {
	n := 0
	for n < len(s) && isDigit(rune(s[n])) {
		n++
	}
	return n == 3
}

func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r)
}

func unspaced(r rune) bool {
	return r > 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// fold appends the lower-case letter without its accent, so that a search without accents finds the word with them.
func fold(out []byte, r rune) []byte {
	if unicode.Is(unicode.Mn, r) {
		return out // an accent written as a character of its own
	}
	switch r = unicode.ToLower(r); r {
	case 'à', 'á', 'â', 'ã', 'ä', 'å', 'ā', 'ă', 'ą':
		return append(out, 'a')
	case 'ç', 'ć', 'ĉ', 'ċ', 'č':
		return append(out, 'c')
	case 'ď', 'đ', 'ð':
		return append(out, 'd')
	case 'è', 'é', 'ê', 'ë', 'ē', 'ĕ', 'ė', 'ę', 'ě':
		return append(out, 'e')
	case 'ĝ', 'ğ', 'ġ', 'ģ':
		return append(out, 'g')
	case 'ì', 'í', 'î', 'ï', 'ĩ', 'ī', 'ĭ', 'į', 'ı':
		return append(out, 'i')
	case 'ĺ', 'ļ', 'ľ', 'ł':
		return append(out, 'l')
	case 'ñ', 'ń', 'ņ', 'ň':
		return append(out, 'n')
	case 'ò', 'ó', 'ô', 'õ', 'ö', 'ō', 'ŏ', 'ő', 'ø':
		return append(out, 'o')
	case 'ŕ', 'ŗ', 'ř':
		return append(out, 'r')
	case 'ś', 'ŝ', 'ş', 'š', 'ș':
		return append(out, 's')
	case 'ţ', 'ť', 'ț':
		return append(out, 't')
	case 'ù', 'ú', 'û', 'ü', 'ũ', 'ū', 'ŭ', 'ů', 'ű', 'ų':
		return append(out, 'u')
	case 'ý', 'ÿ', 'ŷ':
		return append(out, 'y')
	case 'ź', 'ż', 'ž':
		return append(out, 'z')
	case 'ß':
		return append(out, "ss"...)
	case 'æ':
		return append(out, "ae"...)
	case 'œ':
		return append(out, "oe"...)
	case 'þ':
		return append(out, "th"...)
	}
	return utf8.AppendRune(out, r)
}

// stem reduces a folded word to its English stem. Words of other languages lose little by it: what inflection does to
// them is left to the features of parts of words.
func stem(folded string) string {
	if len(folded) < 4 || len(folded) > 40 || folded[0] < 'a' || folded[0] > 'z' {
		return folded
	}
	env := snowballstem.NewEnv(folded)
	english.Stem(env)
	return strings.Clone(env.Current())
}
