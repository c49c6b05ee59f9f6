package extract

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/saintfish/chardet"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"
)

// decode turns bytes of any charset into UTF-8: a byte order mark decides, then valid UTF-8, then UTF-16 without a
// mark, then statistics, then Windows-1252, in which every byte has a meaning.
func decode(raw []byte) string {
	switch {
	case bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")):
		return string(bytes.ToValidUTF8(raw[3:], []byte("\uFFFD")))
	case bytes.HasPrefix(raw, []byte("\xff\xfe")), bytes.HasPrefix(raw, []byte("\xfe\xff")):
		return decodeUTF16(raw, unicode.LittleEndian)
	case utf8.Valid(raw):
		return string(raw)
	}
	if order, yes := unmarkedUTF16(raw); yes {
		return decodeUTF16(raw, order)
	}
	if mostlyUTF8(raw) {
		return string(bytes.ToValidUTF8(raw, []byte("\uFFFD")))
	}
	label := "windows-1252"
	if best, err := chardet.NewTextDetector().DetectBest(raw[:min(len(raw), headBytes)]); err == nil && best.Confidence >= 50 {
		// The statistics call Windows-1252 by the name of its subset.
		if best.Charset != "ISO-8859-1" {
			label = best.Charset
		}
	}
	return decodeAs(raw, label)
}

func decodeAs(raw []byte, label string) string {
	encoding, _ := charset.Lookup(label)
	if encoding == nil {
		return string(bytes.ToValidUTF8(raw, []byte("\uFFFD")))
	}
	out, err := encoding.NewDecoder().Bytes(raw)
	if err != nil {
		return string(bytes.ToValidUTF8(raw, []byte("\uFFFD")))
	}
	return string(out)
}

func decodeUTF16(raw []byte, order unicode.Endianness) string {
	out, err := unicode.UTF16(order, unicode.UseBOM).NewDecoder().Bytes(raw)
	if err != nil {
		return string(bytes.ToValidUTF8(out, []byte("\uFFFD")))
	}
	return string(out)
}

// unmarkedUTF16 looks for the zero bytes that Latin text leaves in every other place.
func unmarkedUTF16(raw []byte) (unicode.Endianness, bool) {
	head := raw[:min(len(raw), 4096)&^1]
	var even, odd int
	for i := 0; i < len(head); i += 2 {
		if head[i] == 0 {
			even++
		}
		if head[i+1] == 0 {
			odd++
		}
	}
	half := len(head) / 2
	switch {
	case half < 2:
		return unicode.LittleEndian, false
	case odd > half*6/10 && even < half/10:
		return unicode.LittleEndian, true
	case even > half*6/10 && odd < half/10:
		return unicode.BigEndian, true
	}
	return unicode.LittleEndian, false
}

// mostlyUTF8 reports text that is UTF-8 but for a few broken places, as logs cut in the middle are.
func mostlyUTF8(raw []byte) bool {
	var multi, broken int
	for i := 0; i < len(raw); {
		if raw[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			broken++
		} else {
			multi++
		}
		i += n
	}
	return multi > 10*broken
}

// clean makes text fit to be stored: valid UTF-8, no control characters, ligatures as letters, one kind of space.
func clean(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if strings.IndexFunc(text, unclean) >= 0 {
		text = ligatures.Replace(strings.ReplaceAll(text, "\r\n", "\n"))
		text = strings.Map(cleaned, text)
	}
	return strings.TrimSpace(text)
}

var ligatures = strings.NewReplacer("ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "st", "ﬆ", "st")

func unclean(r rune) bool { return cleaned(r) != r || r >= '\ufb00' && r <= '\ufb06' }

func cleaned(r rune) rune {
	switch {
	case r >= ' ' && r < 0x7f, r == '\n':
		return r
	case r == '\t':
		return ' '
	case r == '\r', r == '\u2028', r == '\u2029', r == '\u0085', r == '\v', r == '\f':
		return '\n'
	case r < ' ', r >= 0x7f && r < 0xa0:
		return -1
	case r == '\u00a0', r >= '\u2000' && r <= '\u200a', r == '\u202f', r == '\u205f', r == '\u3000':
		return ' '
	case r == '\u00ad', r == '\u200b', r == '\u2060', r == '\ufeff', r >= '\ufffe' && r <= '\uffff':
		return -1
	}
	return r
}
