package extract

import (
	"slices"
	"strings"
	"unicode"
)

// rightToLeft reports a line that is mostly of a right-to-left script.
func rightToLeft(text string) bool {
	var right, left int
	for _, r := range text {
		switch {
		case isRTL(r):
			right++
		case unicode.IsLetter(r):
			left++
		}
	}
	return right > 0 && right >= left
}

func isRTL(r rune) bool {
	return r >= 0x0590 && unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko)
}

// logical puts right-to-left text into the order it is read. The PDF engine gives the letters of each word in that
// order, but the words of a line in the order they are seen. Within a right-to-left line, words of other scripts and
// numbers keep the order they have among themselves.
func logical(text string) string {
	if strings.IndexFunc(text, isRTL) < 0 {
		return text
	}
	words := strings.Fields(text)
	right := func(w string) bool { return strings.IndexFunc(w, isRTL) >= 0 }
	if !rightToLeft(text) {
		reverseRuns(words, right)
		return strings.Join(words, " ")
	}
	slices.Reverse(words)
	reverseRuns(words, func(w string) bool {
		return !right(w) && strings.IndexFunc(w, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) >= 0
	})
	return strings.Join(words, " ")
}

// reverseRuns reverses every stretch of words of the kind.
func reverseRuns(words []string, kind func(string) bool) {
	for i := 0; i < len(words); i++ {
		end := i
		for end < len(words) && kind(words[end]) {
			end++
		}
		if end > i {
			slices.Reverse(words[i:end])
			i = end
		}
	}
}
