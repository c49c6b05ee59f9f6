package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Canonical appends a JSON value to dst in a form that does not depend on spaces or on the order of keys. An object with
// the same key twice has no such form: nobody could say what it means.
func Canonical(dst, b []byte) ([]byte, error) {
	if err := Valid(b); err != nil {
		return dst, err
	}
	if !utf8.Valid(b) {
		return dst, errors.New("it is not UTF-8")
	}
	return canonical(dst, b[space(b, 0):])
}

func canonical(dst, value []byte) ([]byte, error) {
	var err error
	switch Kind(value) {
	case '{':
		type pair struct{ key, value []byte }
		var few [16]pair
		pairs := few[:0]
		m := Object(value)
		for m.Next() {
			pairs = append(pairs, pair{m.Key, m.Value})
		}
		if m.Err() != nil {
			return dst, m.Err()
		}
		slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
		dst = append(dst, '{')
		for i, p := range pairs {
			if i > 0 {
				if bytes.Equal(pairs[i-1].key, p.key) {
					return dst, fmt.Errorf("the key %q is there twice", p.key)
				}
				dst = append(dst, ',')
			}
			if dst, err = quoted(dst, p.key); err != nil {
				return dst, err
			}
			dst = append(dst, ':')
			if dst, err = canonical(dst, p.value); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case '[':
		dst = append(dst, '[')
		a := Array(value)
		for first := true; a.Next(); first = false {
			if !first {
				dst = append(dst, ',')
			}
			if dst, err = canonical(dst, a.Value); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), a.Err()
	}
	return append(dst, bytes.TrimRight(value, " \t\r\n")...), nil
}

// quoted appends a key as JSON writes it.
func quoted(dst, key []byte) ([]byte, error) {
	for _, c := range key {
		if c < ' ' || c == '"' || c == '\\' {
			b, err := json.Marshal(string(key))
			return append(dst, b...), err
		}
	}
	return append(append(append(dst, '"'), key...), '"'), nil
}
