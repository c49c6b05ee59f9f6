package template

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// What a template is filled with. A list and an object are JSON where a template has their bare name, and null is nothing.
type (
	List   []any
	Object map[string]any
	Null   struct{}
)

func (l List) String() string   { return text([]any(l)) }
func (o Object) String() string { return text(map[string]any(o)) }
func (Null) String() string     { return "" }

// MarshalJSON writes null.
func (Null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// text writes JSON without the escapes that are for HTML.
func text(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// Fill turns decoded JSON into what templates show as people expect. Numbers, which must be json.Number, stay as they were
// written; 0 counts as nothing for a section, which it does only as a number of Go's.
func Fill(v any) any {
	switch v := v.(type) {
	case nil:
		return Null{}
	case json.Number:
		if f, err := v.Float64(); err == nil && f == 0 {
			return 0
		}
	case []any:
		l := make(List, len(v))
		for i := range v {
			l[i] = Fill(v[i])
		}
		return l
	case map[string]any:
		o := make(Object, len(v))
		for k := range v {
			o[k] = Fill(v[k])
		}
		return o
	}
	return v
}

// Items counts the items of all lists in a value.
func Items(v any) (n int) {
	switch v := v.(type) {
	case List:
		n = len(v)
		for _, item := range v {
			n += Items(item)
		}
	case Object:
		for _, item := range v {
			n += Items(item)
		}
	}
	return n
}
