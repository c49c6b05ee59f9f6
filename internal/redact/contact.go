package redact

import (
	"bytes"
	"slices"
)

// fileEndings look like the last part of a host and are none: picture@2x.png.
var fileEndings = [][]byte{[]byte("png"), []byte("jpg"), []byte("jpeg"), []byte("gif"), []byte("svg"), []byte("webp"), []byte("css"), []byte("js"), []byte("ts"), []byte("json"), []byte("yaml"), []byte("yml"), []byte("html"), []byte("txt")}

func fileEnding(label []byte) bool {
	return slices.ContainsFunc(fileEndings, func(e []byte) bool { return bytes.EqualFold(e, label) })
}

// email finds an address by the @ at i.
func (f *finder) email(i int) {
	b := f.b
	start := i
	for start > f.done && i-start < 65 && (chars[b[start-1]]&(letter|figure|under) != 0 || bytes.IndexByte([]byte(".+%'"), b[start-1]) >= 0) {
		start--
	}
	for start < i && !alnum(b[start]) && b[start] != '_' {
		start++
	}
	if start == i || i-start > 64 || b[i-1] == '.' || bytes.Contains(b[start:i], []byte("..")) {
		return
	}
	end := f.host(i + 1)
	if end == 0 || string(b[start:i]) == "git" && end < len(b) && b[end] == ':' { // git@github.com:owner/name
		return
	}
	f.take(start, end, Email)
}

// host returns the end of the name of a host at i: labels with dots between, the last one of letters; 0 for none.
func (f *finder) host(i int) int {
	b := f.b
	end, labels := 0, 0
	for from := i; from < len(b) && from-i < 255; {
		to := f.span(from, 64, letter|figure|under)
		label := b[from:to]
		for len(label) > 0 && !alnum(label[len(label)-1]) {
			label = label[:len(label)-1]
		}
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || bytes.IndexByte(label, '_') >= 0 {
			break
		}
		labels++
		if at := from + len(label); labels > 1 && top(label) {
			end = at
		}
		if len(label) < to-from || to >= len(b) || b[to] != '.' {
			break
		}
		from = to + 1
	}
	return end
}

// top reports whether a label can be the last one of a host.
func top(label []byte) bool {
	if len(label) < 2 || len(label) > 24 || fileEnding(label) {
		return false
	}
	if bytes.HasPrefix(label, []byte("xn--")) {
		return true
	}
	for _, c := range label {
		if chars[c]&letter == 0 {
			return false
		}
	}
	return true
}

// phone finds a telephone number in its international form by the + at i.
func (f *finder) phone(i int) {
	b := f.b
	if i > f.done && (alnum(b[i-1]) || b[i-1] == '+' || b[i-1] == '_') || i+9 > len(b) || b[i+1] < '1' || b[i+1] > '9' {
		return
	}
	var digits [15]byte
	n, at, end, groups, open := 0, i+1, 0, 1, 0
	for at < len(b) && at-i < 32 {
		c := b[at]
		if chars[c]&figure != 0 {
			if n == len(digits) {
				break
			}
			digits[n] = c
			n++
			at++
			if open == 0 && (at >= len(b) || chars[b[at]]&figure == 0) && f.dialled(digits[:n], groups) {
				end = at // as far as the groups make one
			}
			continue
		}
		gap := at
		for gap < len(b) && gap-at < 3 && bytes.IndexByte([]byte(" -./()"), b[gap]) >= 0 {
			switch b[gap] {
			case '(':
				open++
			case ')':
				open--
			}
			gap++
		}
		if gap == at || gap >= len(b) || chars[b[gap]]&figure == 0 || open < 0 || open > 1 {
			break
		}
		groups++
		at = gap
	}
	if end == 0 || !f.ends(end) || end+1 < len(b) && b[end] == ':' && chars[b[end+1]]&figure != 0 {
		return
	}
	f.take(i, end, Phone)
}

// dialled reports whether digits are a country's code and a number of a length that it gives out.
func (f *finder) dialled(d []byte, groups int) bool {
	code := countryCode(d)
	n := len(d)
	if code == 0 || n < 9 || n < 10 && groups == 1 {
		return false
	}
	if d[0] == '1' && (n != 11 || d[1] < '2' || d[4] < '2') || d[0] == '7' && n != 11 {
		return false
	}
	different := 0
	var seen [10]bool
	for _, c := range d[code:] {
		if !seen[c-'0'] {
			seen[c-'0'] = true
			different++
		}
	}
	return different >= 3
}

// countryCode returns how many digits of a number are the code of its country; 0 where there is no such country.
func countryCode(d []byte) int {
	if len(d) < 3 {
		return 0
	}
	if d[0] == '1' || d[0] == '7' {
		return 1
	}
	switch two := string(d[:2]); two {
	case "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58",
		"60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98":
		return 2
	case "21", "22", "23", "24", "25", "26", "29", "35", "37", "38", "42", "50", "59", "67", "68", "69", "80", "85", "87", "88", "96", "97", "99":
		return 3
	}
	return 0
}
