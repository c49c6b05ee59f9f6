package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// sentences cuts running text after full stops, question and exclamation marks that end a sentence.
func sentences(text string, s span) (out []span) {
	start := s.start
	for i := s.start; i < s.end; {
		r, n := utf8.DecodeRuneInString(text[i:s.end])
		i += n
		switch r {
		case '。', '！', '？':
		case '.', '!', '?', '…':
			for i < s.end {
				r, n := utf8.DecodeRuneInString(text[i:s.end])
				if !strings.ContainsRune(`.!?"')]”’»`, r) {
					break
				}
				i += n
			}
			if !endsSentence(text[start:i], text[i:s.end], r) {
				continue
			}
		default:
			continue
		}
		if piece := trim(text, span{start, i}); piece.start < piece.end {
			out = append(out, piece)
		}
		start = i
	}
	if piece := trim(text, span{start, s.end}); piece.start < piece.end {
		out = append(out, piece)
	}
	return out
}

// endsSentence looks at what is before and after the mark.
func endsSentence(before, after string, mark rune) bool {
	if after == "" {
		return true
	}
	r, _ := utf8.DecodeRuneInString(after)
	if !unicode.IsSpace(r) {
		return false
	}
	next, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(after, unicode.IsSpace))
	if unicode.IsLower(next) {
		return false
	}
	if mark != '.' {
		return true
	}
	word := before[strings.LastIndexAny(before, " \n\t(")+1:]
	word = strings.ToLower(strings.TrimRight(word, `.!?"')]”’»`))
	if utf8.RuneCountInString(word) == 1 && !unicode.IsDigit([]rune(word)[0]) {
		return false // an initial
	}
	switch word {
	case "e.g", "i.e", "mr", "mrs", "ms", "dr", "prof", "no", "nos", "vs", "etc", "fig", "sec", "art", "st", "approx", "cf", "al", "vol", "pp", "u.s":
		return false
	}
	// "1." at the start of a line numbers what follows.
	return strings.Trim(word, "0123456789") != "" || strings.TrimSpace(before) != word+"."
}
