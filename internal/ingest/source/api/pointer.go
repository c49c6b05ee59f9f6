package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// pointer is a place in a JSON value (RFC 6901).
type pointer []string

func parsePointer(text string) pointer {
	if text == "" {
		return nil
	}
	if !strings.HasPrefix(text, "/") {
		return pointer{text} // a name at the top
	}
	parts := strings.Split(text[1:], "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts
}

// in finds the place in a value; nothing where it is not there. Only what lies on the way is read.
func (p pointer) in(raw json.RawMessage) (json.RawMessage, bool) {
	for _, part := range p {
		raw = bytes.TrimSpace(raw)
		if len(raw) == 0 {
			return nil, false
		}
		switch raw[0] {
		case '{':
			var object map[string]json.RawMessage
			if json.Unmarshal(raw, &object) != nil {
				return nil, false
			}
			value, ok := object[part]
			if !ok {
				return nil, false
			}
			raw = value
		case '[':
			var list []json.RawMessage
			i, err := strconv.Atoi(part)
			if err != nil || json.Unmarshal(raw, &list) != nil || i < 0 || i >= len(list) {
				return nil, false
			}
			raw = list[i]
		default:
			return nil, false
		}
	}
	return raw, true
}

// scalar is a text or a number as text; "" for null, for what is not there, and for what is neither.
func (p pointer) scalar(raw json.RawMessage) string {
	value, ok := p.in(raw)
	if !ok {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// truth reports whether something is there that is not false, null, 0 or empty.
func (p pointer) truth(raw json.RawMessage) bool {
	value, ok := p.in(raw)
	if !ok {
		return false
	}
	switch strings.TrimSpace(string(value)) {
	case "false", "null", "0", `""`, "[]", "{}":
		return false
	}
	return true
}

// canonical writes a record in one form: names in order, nothing between. The order in which a server writes is no change.
func canonical(raw json.RawMessage) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, fmt.Errorf("it is no object")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// later reports whether b is a later moment, or a larger number, than a.
func later(a, b string) bool {
	if a == "" || b == "" {
		return b != ""
	}
	if x, err := time.Parse(time.RFC3339Nano, a); err == nil {
		if y, err := time.Parse(time.RFC3339Nano, b); err == nil {
			return y.After(x)
		}
	}
	if len(a) < 64 && len(b) < 64 {
		x, okX := new(big.Rat).SetString(plainNumber(a))
		y, okY := new(big.Rat).SetString(plainNumber(b))
		if okX && okY {
			return y.Cmp(x) > 0
		}
	}
	return b > a
}

// plainNumber is a number without an exponent, which could make a short text a long number.
func plainNumber(s string) string {
	if strings.Trim(s, "-.0123456789") != "" {
		return ""
	}
	return s
}
