package redact

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// longestBase64 is how long a string without spaces may be before it is taken for encoded bytes.
const longestBase64 = 512

// JSON appends body to dst with placeholders inside its strings, and in whatever stands between them that is not JSON. The
// value of a field that is called password, or another name for a secret, is replaced as a whole.
func (p *Pass) JSON(dst, body []byte) []byte {
	secret := false // the field that a value comes for
	at := 0
	for {
		n := bytes.IndexByte(body[at:], '"')
		if n < 0 {
			return p.between(dst, body[at:])
		}
		dst = append(p.between(dst, body[at:at+n]), '"')
		start := at + n + 1
		if n > 0 && secret && bytes.ContainsAny(body[at:at+n], "{[,") {
			secret = false // its value was no string
		}
		end, escaped := endOfString(body, start)
		raw := body[start:end]
		at = end
		if end < len(body) {
			at++
		}
		next := at
		for next < len(body) && (body[next] == ' ' || body[next] == '\n' || body[next] == '\r' || body[next] == '\t') {
			next++
		}
		switch {
		case next < len(body) && body[next] == ':':
			secret = p.rules.on[Secret] && named(raw)
			dst = append(dst, raw...)
		case secret && len(raw) >= 4 && !reference(raw) && p.rules.placeholderAt(raw, 0) != len(raw) && !p.rules.allows(raw):
			secret = false
			dst = p.placeholder(dst, Secret, raw)
		default:
			secret = false
			dst = p.quoted(dst, raw, escaped)
		}
		dst = append(dst, body[end:at]...)
	}
}

// shortest is the length of the shortest text in which something can be: a@b.io.
const shortest = 6

// between appends what stands between two strings. In JSON that is never a text; a body that is none may be one.
func (p *Pass) between(dst, b []byte) []byte {
	if len(b) >= shortest {
		for _, c := range b {
			if !structure[c] {
				return p.Text(dst, b)
			}
		}
	}
	return append(dst, b...)
}

// structure are the bytes of JSON outside of strings.
var structure = func() (is [256]bool) {
	for _, c := range []byte(" \t\r\n{}[],:-+.eE0123456789truefalsn") {
		is[c] = true
	}
	return is
}()

// endOfString returns where a string that begins at i has its closing quote, and whether it has escapes.
func endOfString(b []byte, i int) (end int, escaped bool) {
	for quote := -1; ; {
		if quote < i { // it was escaped, or none was looked for
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				return len(b), true
			}
			quote = i + n
		}
		slash := bytes.IndexByte(b[i:quote], '\\')
		if slash < 0 {
			return quote, escaped
		}
		escaped = true
		i = min(len(b), i+slash+2)
	}
}

// quoted appends the inside of a string.
func (p *Pass) quoted(dst, raw []byte, escaped bool) []byte {
	if encoded(raw) {
		return append(dst, raw...)
	}
	if !escaped {
		return p.Text(dst, raw)
	}
	p.plain = p.plain[:0]
	for i := 0; i < len(raw); {
		n := bytes.IndexByte(raw[i:], '\\')
		if n < 0 {
			p.plain = append(p.plain, raw[i:]...)
			break
		}
		p.plain = append(p.plain, raw[i:i+n]...)
		i += n
		var c [utf8.UTFMax]byte
		size, next := unescape(raw, i, &c)
		p.plain = append(p.plain, c[:size]...)
		i = next
	}
	p.search(p.plain)
	if len(p.spans) == 0 {
		return append(dst, raw...)
	}
	// Only what is replaced is written anew: the places are found again in the string as it is written.
	i, plain := 0, 0
	reach := func(place int) (from, to int) {
		from = i
		for plain < place && i < len(raw) {
			if raw[i] != '\\' {
				i++
				plain++
				continue
			}
			var c [utf8.UTFMax]byte
			size, next := unescape(raw, i, &c)
			plain += size
			i = next
		}
		return from, i
	}
	for _, s := range p.spans {
		from, to := reach(s.start)
		dst = append(dst, raw[from:to]...)
		dst = p.placeholder(dst, s.class, p.plain[s.start:s.end])
		reach(s.end)
	}
	return append(dst, raw[i:]...)
}

// encoded reports whether a string is encoded bytes: base64, alone or as the data of an address.
func encoded(raw []byte) bool {
	if len(raw) < longestBase64 {
		return false
	}
	if bytes.HasPrefix(raw, []byte("data:")) {
		comma := bytes.IndexByte(raw[:256], ',')
		if comma < 0 || !bytes.HasSuffix(raw[:comma], []byte(";base64")) {
			return false
		}
		raw = raw[comma+1:]
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if !alnum(c) && c != '+' && c != '/' && c != '=' {
			if c == '\\' && i+1 < len(raw) && (raw[i+1] == 'n' || raw[i+1] == 'r' || raw[i+1] == '/') {
				i++
				continue
			}
			return false
		}
	}
	return true
}

// unescape reads the escape at i: the bytes that it stands for, and where it ends.
func unescape(raw []byte, i int, c *[utf8.UTFMax]byte) (size, next int) {
	if i+1 >= len(raw) {
		c[0] = '\\'
		return 1, len(raw)
	}
	switch e := raw[i+1]; e {
	case 'n':
		c[0] = '\n'
	case 't':
		c[0] = '\t'
	case 'r':
		c[0] = '\r'
	case 'b':
		c[0] = '\b'
	case 'f':
		c[0] = '\f'
	case 'u':
		r := hex4(raw, i+2)
		next = min(len(raw), i+6)
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if next+1 < len(raw) && raw[next] == '\\' && raw[next+1] == 'u' {
				low = hex4(raw, next+2)
			}
			if whole := utf16.DecodeRune(r, low); whole != utf8.RuneError {
				r, next = whole, min(len(raw), next+6)
			}
		}
		return utf8.EncodeRune(c[:], r), next
	default:
		c[0] = e
	}
	return 1, i + 2
}

func hex4(raw []byte, i int) rune {
	if i+4 > len(raw) {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(raw[i:i+4]), 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
