package body

import "bytes"

// list finds the messages of a request: the elements of the array under messages or input. before and after are what
// stands around them; separators are part of neither, but of gaps, one after each element but the last.
type list struct {
	key           string
	lead          int // of before, what stands between the opening bracket and the first element
	before, after []byte
	items, gaps   [][]byte
}

// split cuts a request into its messages. False means that it has none, or is not read easily: then it is one piece.
// Nothing depends on a body being JSON: the pieces in their order are the body, whatever it is.
func split(b []byte) (l list, ok bool) {
	i := space(b, 0)
	if i >= len(b) || b[i] != '{' {
		return l, false
	}
	for i++; ; i++ {
		i = space(b, i)
		if i >= len(b) || b[i] != '"' {
			return l, false
		}
		end := text(b, i)
		if end < 0 {
			return l, false
		}
		key := b[i+1 : end-1]
		if i = space(b, end); i >= len(b) || b[i] != ':' {
			return l, false
		}
		i = space(b, i+1)
		if k := string(key); (k == "messages" || k == "input") && i < len(b) && b[i] == '[' {
			l.key = k
			return l, l.elements(b, i)
		}
		if i = value(b, i); i < 0 {
			return l, false
		}
		if i = space(b, i); i >= len(b) || b[i] != ',' {
			return l, false
		}
	}
}

// elements reads the array that begins at i.
func (l *list) elements(b []byte, i int) bool {
	start := space(b, i+1)
	l.before, l.lead = b[:start], start-i-1
	for {
		end := value(b, start)
		if end < 0 || end == start {
			return false
		}
		l.items = append(l.items, b[start:end])
		next := space(b, end)
		if next >= len(b) {
			return false
		}
		if b[next] == ']' {
			l.after = b[end:]
			return true
		}
		if b[next] != ',' {
			return false
		}
		start = space(b, next+1)
		l.gaps = append(l.gaps, b[end:start])
	}
}

// hole is where the elements stood in what is left of the request without them, after it was redacted.
func (l *list) hole(rest []byte) (int, bool) {
	i := space(rest, 0) + 1
	for i < len(rest) {
		i = space(rest, i)
		end := text(rest, i)
		if end < 0 {
			return 0, false
		}
		name := rest[i+1 : end-1]
		i = space(rest, space(rest, end)+1)
		if string(name) == l.key {
			if i >= len(rest) || rest[i] != '[' {
				return 0, false
			}
			at, end := i+1+l.lead, space(rest, i+1)
			return at, at <= end && end < len(rest) && rest[end] == ']'
		}
		if i = value(rest, i); i < 0 {
			return 0, false
		}
		i = space(rest, i) + 1
	}
	return 0, false
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// text returns the end of the string that begins at i, or -1.
func text(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		slashes := 0
		for b[i-1-slashes] == '\\' { // ends at the opening quote at the latest
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return -1
}

// value returns the end of the value that begins at i, or -1. It looks at nothing but quotes and brackets.
func value(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return text(b, i)
	case '{', '[':
		for depth := 0; i < len(b); {
			switch b[i] {
			case '"':
				if i = text(b, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	for i < len(b) && bytes.IndexByte(ends, b[i]) < 0 {
		i++
	}
	return i
}

var ends = []byte(",]} \n\t\r")
