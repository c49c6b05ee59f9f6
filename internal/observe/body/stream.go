package body

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A stream says a text in small pieces, and what must be taken out may be cut into several of them. So the pieces are put
// together first; where something is found in the whole that is in none of its pieces, the whole text, without it, is
// kept in the first piece and the others are empty.

// told are the fields in which streams say text, piece by piece.
var told = []string{"content", "text", "delta", "arguments", "partial_json", "refusal", "thinking", "reasoning", "reasoning_content", "input"}

// said is a piece of a text: where its string is in the stream, with its quotes.
type said struct{ from, to int }

// redactStream is what a stream is without secrets, cut in pieces or not.
func redactStream(r Redactor, b []byte) []byte {
	texts := map[string][]said{}
	var order []string
	for at := 0; at < len(b); {
		end := len(b)
		if n := bytes.IndexByte(b[at:], '\n'); n >= 0 {
			end = at + n
		}
		if line := b[at:end]; bytes.HasPrefix(line, []byte("data:")) {
			walk(b[:end], space(b[:end], at+len("data:")), "", 0, func(key string, from, to int) {
				if texts[key] == nil {
					order = append(order, key)
				}
				texts[key] = append(texts[key], said{from, to})
			})
		}
		at = end + 1
	}
	var edits []edit
	for _, key := range order {
		edits = append(edits, together(r, b, texts[key])...)
	}
	if len(edits) == 0 {
		return r.JSON(nil, b)
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, b[at:e.from]...), e.with...)
		at = e.to
	}
	return r.JSON(nil, append(out, b[at:]...))
}

type edit struct {
	said
	with []byte
}

// together returns what must change so that a text holds nothing that is only seen in the whole of it.
func together(r Redactor, b []byte, pieces []said) (edits []edit) {
	if len(pieces) < 2 {
		return nil
	}
	var whole strings.Builder
	var apart []byte
	for _, p := range pieces {
		var s string
		if json.Unmarshal(b[p.from:p.to], &s) != nil {
			return nil // no string after all: it is redacted as it is
		}
		whole.WriteString(s)
		apart = append(apart, plain(r, s)...)
	}
	clean := plain(r, whole.String())
	if clean == string(apart) {
		return nil
	}
	for i, p := range pieces {
		with := []byte(`""`)
		if i == 0 {
			with, _ = json.Marshal(clean) // a string is never refused
		}
		edits = append(edits, edit{p, with})
	}
	return edits
}

// plain redacts a text.
func plain(r Redactor, s string) string {
	quoted, _ := json.Marshal(s)
	var clean string
	if json.Unmarshal(r.JSON(nil, quoted), &clean) != nil {
		return ""
	}
	return clean
}

const deepest = 32

// walk calls visit for each string of the value at i that is a piece of a text. The key says of which: the names and the
// numbers of the choice, the item, the part in which it stands. It returns the end of the value, or -1.
func walk(b []byte, i int, key string, depth int, visit func(key string, from, to int)) int {
	end := value(b, i)
	if end < 0 || depth > deepest || i >= len(b) || b[i] != '{' && b[i] != '[' {
		return end
	}
	closing := byte('}')
	if b[i] == '[' {
		closing = ']'
	}
	if closing == '}' {
		members(b, i, func(name string, from, to int) {
			if strings.HasSuffix(name, "index") {
				key += " " + name + "=" + string(b[from:to])
			}
		})
		members(b, i, func(name string, from, to int) {
			if b[from] == '"' {
				if slices.Contains(told, name) {
					visit(key+" "+name, from, to)
				}
				return
			}
			walk(b, from, key+" "+name, depth+1, visit)
		})
		return end
	}
	for at := space(b, i+1); at < end && b[at] != closing; {
		next := walk(b, at, key, depth+1, visit)
		if next <= at {
			break
		}
		if at = space(b, next); at < end && b[at] == ',' {
			at = space(b, at+1)
		}
	}
	return end
}

// members calls each for the members of the object at i, as far as they can be read.
func members(b []byte, i int, each func(name string, from, to int)) {
	for at := space(b, i+1); ; at = space(b, at+1) {
		end := text(b, at)
		if end < 0 {
			return
		}
		name := string(b[at+1 : end-1])
		from := space(b, space(b, end)+1)
		to := value(b, from)
		if to <= from {
			return
		}
		each(name, from, to)
		if at = space(b, to); at >= len(b) || b[at] != ',' {
			return
		}
	}
}
