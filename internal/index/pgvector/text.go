package pgvector

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// escape begins a text that PostgreSQL could not hold, NUL or what is not UTF-8, written in hexadecimal; and one that
// begins so itself, so that no two texts are kept as one.
const escape = "\x01"

func keep(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 && !strings.HasPrefix(s, escape) {
		return s
	}
	return escape + hex.EncodeToString([]byte(s))
}

func given(s string) string {
	if rest, escaped := strings.CutPrefix(s, escape); escaped {
		if b, err := hex.DecodeString(rest); err == nil {
			return string(b)
		}
	}
	return s
}

// kept are attributes as PostgreSQL can hold them.
func kept(attributes map[string]any) map[string]any {
	out := make(map[string]any, len(attributes))
	for key, value := range attributes {
		switch v := value.(type) {
		case string:
			value = keep(v)
		case []string:
			list := make([]string, len(v))
			for i, s := range v {
				list[i] = keep(s)
			}
			value = list
		}
		out[keep(key)] = value
	}
	return out
}
