package scan

import (
	"bytes"
	"encoding/json"
)

// Members walks the members of an object: for m := scan.Object(b); m.Next(); { m.Key, m.Value }.
type Members struct {
	Key    []byte // unescaped
	Value  []byte
	Offset int // of Value in what is walked
	KeyAt  int // of the key as it is written there, with its quotes
	KeyEnd int
	w      walker
}

// Object begins a walk over the object that b holds. What is not an object, or not only one, is an error at the end.
func Object(b []byte) Members { return Members{w: begin(b, '{', "an object")} }

// Next steps to the next member; false at the end or at an error.
func (m *Members) Next() bool {
	if !m.w.more() {
		return false
	}
	name, next, err := key(m.w.b, m.w.i)
	if err != nil {
		return m.w.fail(err)
	}
	m.KeyAt, m.KeyEnd = m.w.i, m.w.i+len(name)+2
	m.w.i = next
	if !m.w.take() {
		return false
	}
	m.Key, m.Offset, m.Value = unescape(name), m.w.from, m.w.b[m.w.from:m.w.to]
	return true
}

// Err says why the walk ended early, or nil.
func (m *Members) Err() error { return m.w.err }

// Items walks the values of an array.
type Items struct {
	Value  []byte
	Offset int // of Value in what is walked
	w      walker
}

// Array begins a walk over the array that b holds.
func Array(b []byte) Items { return Items{w: begin(b, '[', "an array")} }

// Next steps to the next value; false at the end or at an error.
func (a *Items) Next() bool {
	if !a.w.more() || !a.w.take() {
		return false
	}
	a.Offset, a.Value = a.w.from, a.w.b[a.w.from:a.w.to]
	return true
}

// Err says why the walk ended early, or nil.
func (a *Items) Err() error { return a.w.err }

// walker is what walking an object and an array have in common.
type walker struct {
	b        []byte
	i        int
	from, to int // of the value taken last
	closing  byte
	started  bool
	done     bool
	err      error
}

func begin(b []byte, opening byte, what string) walker {
	w := walker{b: b, i: space(b, 0), closing: opening + 2} // } and ] are two after { and [
	if w.i >= len(b) || b[w.i] != opening {
		w.fail(&Error{w.i, "not " + what})
	}
	w.i++
	return w
}

func (w *walker) fail(err error) bool {
	w.err, w.done = err, true
	return false
}

// more steps to where the next value or key begins, and reports whether there is one.
func (w *walker) more() bool {
	if w.done {
		return false
	}
	var another bool
	if !w.started {
		w.started = true
		w.i = space(w.b, w.i)
		another = w.i >= len(w.b) || w.b[w.i] != w.closing
		if !another {
			w.i++
		}
	} else {
		next, more, err := separator(w.b, w.i, w.closing)
		if err != nil {
			return w.fail(err)
		}
		w.i, another = next, more
	}
	if another {
		return true
	}
	w.done = true
	if end := space(w.b, w.i); end != len(w.b) {
		return w.fail(&Error{end, "something after the end of the JSON value"})
	}
	return false
}

func (w *walker) take() bool {
	end, err := value(w.b, w.i, 1)
	if err != nil {
		return w.fail(err)
	}
	w.from, w.to, w.i = w.i, end, end
	return true
}

// Strings calls each with the raw contents of every string in a value that was checked before, keys left out, and
// returns how many numbers it met.
func Strings(b []byte, each func(raw []byte)) (numbers int64) {
	switch k := Kind(b); {
	case k == '"':
		each(b[1 : len(b)-1])
	case k == '{':
		for m := Object(b); m.Next(); {
			numbers += Strings(m.Value, each)
		}
	case k == '[':
		for a := Array(b); a.Next(); {
			numbers += Strings(a.Value, each)
		}
	case k == '-' || k >= '0' && k <= '9':
		return 1
	}
	return numbers
}

// unescape returns the contents of a string that was checked before; without escapes it is the same slice.
func unescape(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	quoted := make([]byte, 0, len(raw)+2)
	quoted = append(append(append(quoted, '"'), raw...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return raw
	}
	return []byte(s)
}
