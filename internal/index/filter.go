package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"airfield/internal/fault"
)

// Filter selects documents by their attributes, in the shape of hosted vector stores: a comparison has a type, a key
// and a value, a compound ("and", "or") has filters. The zero value selects everything.
//
//	eq, ne          the attribute equals the value, or does not; of a list, any element. A missing attribute is ne.
//	gt gte lt lte   numbers only; anything else, or a missing attribute, does not match
//	in, nin         eq to any of the values, or to none
//
// Values of different types are never equal.
type Filter struct {
	Type    Op       `json:"type"`
	Key     string   `json:"key,omitempty"`
	Value   any      `json:"value,omitempty"` // string, float64, bool; a list of these for in and nin
	Filters []Filter `json:"filters,omitempty"`
}

// Op is what a filter does.
type Op string

const (
	Eq  Op = "eq"
	Ne  Op = "ne"
	Gt  Op = "gt"
	Gte Op = "gte"
	Lt  Op = "lt"
	Lte Op = "lte"
	In  Op = "in"
	Nin Op = "nin"
	And Op = "and"
	Or  Op = "or"
)

const (
	maxFilterDepth  = 8
	maxFilterNodes  = 256
	maxFilterValues = 1024
)

// Empty reports whether the filter selects everything.
func (f Filter) Empty() bool {
	return f.Type == "" && f.Key == "" && f.Value == nil && f.Filters == nil
}

// UnmarshalJSON reads the wire shape, refusing fields that do not belong, and normalises the values. null is the empty
// filter. What it accepts passes Check.
func (f *Filter) UnmarshalJSON(b []byte) error {
	*f = Filter{}
	if string(bytes.TrimSpace(b)) == "null" {
		return nil
	}
	type plain Filter
	type wire struct {
		plain
		Filters []json.RawMessage `json:"filters"`
	}
	nodes := 0
	var read func(b []byte, at string, depth int) (Filter, error)
	read = func(b []byte, at string, depth int) (Filter, error) {
		if nodes++; depth > maxFilterDepth || nodes > maxFilterNodes {
			return Filter{}, invalid(at, "a filter may be %d deep and have %d parts", maxFilterDepth, maxFilterNodes)
		}
		var w wire
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&w); err != nil {
			return Filter{}, invalid(at, "not a filter: %s", err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return Filter{}, invalid(at, "not a filter: something follows it")
		}
		out := Filter(w.plain)
		for i, raw := range w.Filters {
			part, err := read(raw, fmt.Sprintf("%s.filters[%d]", at, i), depth+1)
			if err != nil {
				return Filter{}, err
			}
			out.Filters = append(out.Filters, part)
		}
		return out, nil
	}
	tree, err := read(b, "filter", 1)
	if err != nil {
		return err
	}
	tree, err = tree.Normal()
	if err == nil {
		*f = tree
	}
	return err
}

// MarshalJSON writes the wire shape, null for the empty filter.
func (f Filter) MarshalJSON() ([]byte, error) {
	if f.Empty() {
		return []byte("null"), nil
	}
	type plain Filter
	return json.Marshal(plain(f))
}

// Check refuses a filter that is too large, malformed or compares what cannot be compared, with the path of the
// offending part.
func (f Filter) Check() error {
	_, err := f.Normal()
	return err
}

// Normal is the checked filter with its values in their few types: string, float64, bool, []any of these.
func (f Filter) Normal() (Filter, error) {
	if f.Empty() {
		return f, nil
	}
	return f.normal("filter", 1, new(int))
}

func (f Filter) normal(at string, depth int, nodes *int) (Filter, error) {
	if *nodes++; depth > maxFilterDepth || *nodes > maxFilterNodes {
		return f, invalid(at, "a filter may be %d deep and have %d parts", maxFilterDepth, maxFilterNodes)
	}
	switch f.Type {
	case And, Or:
		if f.Key != "" || f.Value != nil {
			return f, invalid(at, "%q takes filters, not a key and a value", f.Type)
		}
		if len(f.Filters) == 0 {
			return f, invalid(at+".filters", "%q needs at least one filter", f.Type)
		}
		parts := make([]Filter, len(f.Filters))
		for i, p := range f.Filters {
			var err error
			if parts[i], err = p.normal(fmt.Sprintf("%s.filters[%d]", at, i), depth+1, nodes); err != nil {
				return f, err
			}
		}
		f.Filters = parts
		return f, nil
	case Eq, Ne, Gt, Gte, Lt, Lte, In, Nin:
	case "":
		return f, invalid(at+".type", "a filter needs a type")
	default:
		return f, invalid(at+".type", "%q is not a filter type: eq, ne, gt, gte, lt, lte, in, nin, and, or", f.Type)
	}
	if f.Filters != nil {
		return f, invalid(at+".filters", "%q takes a key and a value, not filters", f.Type)
	}
	if f.Key == "" || len(f.Key) > maxKeyBytes {
		return f, invalid(at+".key", "a key has 1 to %d bytes", maxKeyBytes)
	}
	var err error
	f.Value, err = f.value(at + ".value")
	return f, err
}

// value returns the normalised value of a comparison.
func (f Filter) value(at string) (any, error) {
	if f.Type == In || f.Type == Nin {
		list, ok := asList(f.Value)
		if !ok || len(list) > maxFilterValues {
			return nil, invalid(at, "%q takes a list of at most %d values", f.Type, maxFilterValues)
		}
		out := make([]any, len(list))
		for i, v := range list {
			if out[i], ok = scalar(v); !ok {
				return nil, invalid(fmt.Sprintf("%s[%d]", at, i), "a value is a string of at most %d bytes, a number or true or false", maxValueBytes)
			}
		}
		return out, nil
	}
	v, ok := scalar(f.Value)
	if !ok {
		return nil, invalid(at, "a value is a string of at most %d bytes, a number or true or false", maxValueBytes)
	}
	if _, number := v.(float64); !number && f.Type != Eq && f.Type != Ne {
		return nil, invalid(at, "%q compares numbers", f.Type)
	}
	return v, nil
}

func invalid(at, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, "invalid_filter", "%s: "+format, append([]any{at}, args...)...).At(at)
}

func asList(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out, true
	case []float64:
		out := make([]any, len(v))
		for i, n := range v {
			out[i] = n
		}
		return out, true
	}
	return nil, false
}

// scalar brings a value into one of the three types that are compared.
func scalar(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		return v, len(v) <= maxValueBytes
	case bool:
		return v, true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case float32:
		return scalar(float64(v))
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return nil, false
}
