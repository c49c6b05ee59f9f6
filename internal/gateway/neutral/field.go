package neutral

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"airfield/internal/fault"
	"airfield/internal/gateway/scan"
)

// Fields is a JSON object that is read field by field. The first error stays; what was not asked for is left over in the
// end. A field of null is one that is not there.
type Fields struct {
	at   string // where the object stands; empty for the whole request
	left map[string]json.RawMessage
	Err  error // a fault of kind Invalid with the field
}

// ReadFields takes an object apart.
func ReadFields(at string, b []byte) *Fields {
	f := &Fields{at: at}
	if err := json.Unmarshal(b, &f.left); err != nil || f.left == nil {
		f.Err = wrong(at, "an object")
	}
	return f
}

// Raw takes a field as it stands; nil where it is not there.
func (f *Fields) Raw(name string) json.RawMessage {
	v := f.left[name]
	delete(f.left, name)
	if string(v) == "null" {
		return nil
	}
	return v
}

// Into takes a field into a value and reports whether it was there.
func (f *Fields) Into(name string, v any) bool {
	raw := f.Raw(name)
	if raw == nil {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil && f.Err == nil {
		f.Err = wrong(f.where(name), wanted(err, v))
	}
	return f.Err == nil
}

// Text takes a field that is a text.
func (f *Fields) Text(name string) (s string) {
	f.Into(name, &s)
	return s
}

// Int takes a field that is a whole number, not below 0; 3.0 is one.
func (f *Fields) Int(name string) (n int64, ok bool) {
	raw := f.Raw(name)
	if raw == nil {
		return 0, false
	}
	if n, ok = scan.Int(raw); (!ok || n < 0) && f.Err == nil {
		f.Err = wrong(f.where(name), "a whole number, not below 0")
	}
	return n, f.Err == nil
}

// Skip leaves fields out that change nothing.
func (f *Fields) Skip(names ...string) {
	for _, name := range names {
		delete(f.left, name)
	}
}

// Left names the fields that nobody took, in order.
func (f *Fields) Left() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(f.left)) {
		if string(f.left[name]) != "null" {
			names = append(names, name)
		}
	}
	return names
}

func (f *Fields) where(name string) string {
	if f.at == "" {
		return name
	}
	return f.at + "." + name
}

func wrong(at, want string) error {
	if at == "" {
		return fault.New(fault.Invalid, "invalid_field", "the request must be %s", want)
	}
	return fault.New(fault.Invalid, "invalid_field", "%s must be %s", at, want).At(at)
}

func wanted(err error, v any) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return "of its documented form: " + kind.Field + " is not a " + kind.Type.String()
	}
	switch v.(type) {
	case *string:
		return "a string"
	case *bool, **bool:
		return "true or false"
	case **float64:
		return "a number"
	}
	return "of its documented form"
}

// Invalid is the error of a field that cannot be what it is.
func Invalid(at, format string, args ...any) error {
	return fault.New(fault.Invalid, "invalid_field", at+" "+format, args...).At(at)
}

// Encode writes JSON as people write it: without escapes for web pages.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
