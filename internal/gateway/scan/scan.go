// Package scan walks JSON in place: it checks every byte and builds nothing. The gateway reads requests with it and
// the providers read usage from answers, both on the way of every call.
package scan

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
)

// MaxDepth is how deep values may be nested.
const MaxDepth = 256

// Error says where JSON stops being JSON.
type Error struct {
	Offset int // in bytes from the start of what was scanned
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// Valid checks that b is one JSON value with nothing after it.
func Valid(b []byte) error {
	end, err := value(b, space(b, 0), 0)
	if err == nil && space(b, end) != len(b) {
		err = &Error{space(b, end), "something after the end of the JSON value"}
	}
	return err
}

// Prefix returns the JSON value at the start of b, whatever follows it.
func Prefix(b []byte) ([]byte, error) {
	start := space(b, 0)
	end, err := value(b, start, 0)
	if err != nil {
		return nil, err
	}
	return b[start:end], nil
}

// Kind is the first byte of a value, which tells its type: one of { [ " t f n - and the digits; 0 for nothing.
func Kind(value []byte) byte {
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

// Text returns the contents of a JSON string, or false for any other value.
func Text(value []byte) (string, bool) {
	if Kind(value) != '"' || len(value) < 2 {
		return "", false
	}
	return string(unescape(value[1 : len(value)-1])), true
}

// Int returns a JSON number that is a whole one, or false for any other value. 3.0 and 1e3 are whole.
func Int(value []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return n, true
	}
	if k := Kind(value); k != '-' && (k < '0' || k > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if n := int64(f); err == nil && f >= -1<<53 && f <= 1<<53 && float64(n) == f {
		return n, true
	}
	return 0, false
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// value checks the value that begins at i and returns its end.
func value(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, &Error{i, "the JSON ends too early"}
	}
	switch c := b[i]; {
	case c == '"':
		return str(b, i)
	case c == '{' || c == '[':
		return container(b, i, depth+1)
	case c == '-' || (c >= '0' && c <= '9'):
		return number(b, i)
	case c == 't':
		return literal(b, i, "true")
	case c == 'f':
		return literal(b, i, "false")
	case c == 'n':
		return literal(b, i, "null")
	}
	return i, &Error{i, fmt.Sprintf("%q where a JSON value should be", b[i])}
}

func container(b []byte, i, depth int) (int, error) {
	if depth > MaxDepth {
		return i, &Error{i, fmt.Sprintf("JSON nested deeper than %d", MaxDepth)}
	}
	isObject, closing := b[i] == '{', byte(']')
	if isObject {
		closing = '}'
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == closing {
		return i + 1, nil
	}
	for {
		var err error
		if isObject {
			if _, i, err = key(b, i); err != nil {
				return i, err
			}
		}
		if i, err = value(b, i, depth); err != nil {
			return i, err
		}
		var more bool
		if i, more, err = separator(b, i, closing); err != nil || !more {
			return i, err
		}
	}
}

// key checks an object's key and its colon; it returns the key without quotes and where the value begins.
func key(b []byte, i int) (name []byte, next int, err error) {
	if i >= len(b) {
		return nil, i, &Error{i, "the JSON ends too early"}
	}
	if b[i] != '"' {
		return nil, i, &Error{i, fmt.Sprintf("%q where a quoted key should be", b[i])}
	}
	end, err := str(b, i)
	if err != nil {
		return nil, end, err
	}
	colon := space(b, end)
	if colon >= len(b) {
		return nil, colon, &Error{colon, "the JSON ends too early"}
	}
	if b[colon] != ':' {
		return nil, colon, &Error{colon, fmt.Sprintf("%q where a colon should be", b[colon])}
	}
	return b[i+1 : end-1], space(b, colon+1), nil
}

// separator steps over a comma, or the closing bracket.
func separator(b []byte, i int, closing byte) (next int, more bool, err error) {
	i = space(b, i)
	switch {
	case i >= len(b):
		return i, false, &Error{i, "the JSON ends too early"}
	case b[i] == closing:
		return i + 1, false, nil
	case b[i] == ',':
		return space(b, i+1), true, nil
	}
	return i, false, &Error{i, fmt.Sprintf("%q where a comma or %q should be", b[i], closing)}
}

func str(b []byte, i int) (int, error) {
	start := i
	for i++; ; {
		if i = plain(b, i); i >= len(b) {
			return start, &Error{start, "a string without an end"}
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c != '\\':
			return i, &Error{i, "a control character inside a string"}
		case i+1 >= len(b):
			return start, &Error{start, "a string without an end"}
		}
		switch b[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if i+6 > len(b) || !hex4(b[i+2:i+6]) {
				return i, &Error{i, "a broken \\u escape"}
			}
			i += 6
		default:
			return i, &Error{i, "an unknown escape"}
		}
	}
}

// plain returns the next place from i with a quote, a backslash or a control character, looking at eight bytes at once.
func plain(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// A byte's top bit is set where the byte is zero, or below 0x20; a false alarm can only follow a true one.
		found := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & tops
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			return i
		}
	}
	return i
}

func hex4(b []byte) bool {
	for _, c := range b {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

func literal(b []byte, i int, word string) (int, error) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, &Error{i, "an unknown word where a JSON value should be"}
	}
	return i + len(word), nil
}

func number(b []byte, i int) (int, error) {
	start := i
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	first := i
	if !digits() || (b[first] == '0' && i > first+1) {
		return start, &Error{start, "a malformed number"}
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return start, &Error{start, "a malformed number"}
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return start, &Error{start, "a malformed number"}
		}
	}
	return i, nil
}
