package extract

import (
	"slices"
	"unicode"
)

// logical puts right-to-left text, which the PDF engine gives in the order it is seen, into the order it is read.
// Numbers and words of other scripts within it keep their own order.
func logical(text string) string {
	var right, left int
	for _, r := range text {
		switch {
		case isRTL(r):
			right++
		case unicode.IsLetter(r):
			left++
		}
	}
	if right == 0 {
		return text
	}
	runes := []rune(text)
	if right >= left {
		mirror(runes)
		eachRun(runes, func(r rune) bool { return !isRTL(r) && (unicode.IsLetter(r) || unicode.IsDigit(r)) }, mirror)
	} else {
		eachRun(runes, isRTL, mirror)
	}
	return string(runes)
}

func isRTL(r rune) bool {
	return r >= 0x0590 && unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko)
}

// eachRun calls do with every stretch that begins and ends with a rune of the kind and has at most one other rune, a
// space or a mark, between two of them.
func eachRun(runes []rune, kind func(rune) bool, do func([]rune)) {
	for i := 0; i < len(runes); i++ {
		if !kind(runes[i]) {
			continue
		}
		end := i + 1
		for j := end; j < len(runes) && j <= end+1; j++ {
			if kind(runes[j]) {
				end = j + 1
			} else if isRTL(runes[j]) || unicode.IsLetter(runes[j]) {
				break
			}
		}
		do(runes[i:end])
		i = end - 1
	}
}

// mirror reverses the runes and turns brackets around.
func mirror(runes []rune) {
	slices.Reverse(runes)
	for i, r := range runes {
		switch r {
		case '(':
			runes[i] = ')'
		case ')':
			runes[i] = '('
		case '[':
			runes[i] = ']'
		case ']':
			runes[i] = '['
		case '«':
			runes[i] = '»'
		case '»':
			runes[i] = '«'
		}
	}
}
