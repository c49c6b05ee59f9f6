package chunk

import "unicode"

// EstimateTokens estimates what the text costs a model, without a vocabulary: whole words up to seven letters are one
// token and longer ones one more for every four letters, three digits are one, a mark is one, other alphabets one for
// every two and a half letters, ideographs one each. It adds up over words.
func EstimateTokens(text string) int {
	var tokens, latin, digits, other int
	flush := func() {
		if latin > 0 {
			tokens += 1 + max(0, latin-7+3)/4
		}
		tokens += (digits+2)/3 + (other*2+4)/5
		latin, digits, other = 0, 0, 0
	}
	var last rune
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0xc0 && r < 0x250:
			if digits > 0 || other > 0 {
				flush()
			}
			latin++
		case r >= '0' && r <= '9':
			if latin > 0 || other > 0 {
				flush()
			}
			digits++
		case unicode.IsSpace(r):
			flush()
		case r >= 0x2e80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			flush()
			tokens++
		case unicode.IsLetter(r) || unicode.IsMark(r):
			if latin > 0 || digits > 0 {
				flush()
			}
			other++
		default:
			flush()
			if r != last { // "-----" is one token
				tokens++
			}
		}
		last = r
	}
	flush()
	return tokens
}
