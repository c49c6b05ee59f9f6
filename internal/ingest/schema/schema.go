// Package schema holds JSON against a JSON Schema and tells everything that is wrong, each with a pointer to its field. Metadata
// and records are held against what a collection says of them.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

const (
	maxWhat     = 300 // bytes of what is said of one failure
	maxPointer  = 200
	maxExponent = 308 // a number beyond is not computed with: it would not fit in memory
)

// Compile reads a JSON Schema of 2020-12; nil where there is none. References to anything outside it are refused.
func Compile(schema map[string]any) (*jsonschema.Schema, error) {
	if len(schema) == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("schema.json")
}

// Failure is one thing that is wrong with a value.
type Failure struct {
	Pointer string `json:"pointer" doc:"Where it is, as a JSON pointer; empty for the whole value."`
	What    string `json:"what" doc:"What is wrong with it."`
	Type    string `json:"type,omitempty" doc:"What it is: string, number, boolean, object, list or null; empty where it is missing."`
}

func (f Failure) String() string {
	at := f.Pointer
	if at == "" {
		at = "its top"
	}
	if f.Type != "" {
		at += " (" + f.Type + ")"
	}
	return at + ": " + f.What
}

// Check holds a value against the schema and returns what is wrong, most failures at the most, and how many more there are. The
// value is JSON as decoded with json.Number. What a value is appears in no failure: only its type does.
func Check(s *jsonschema.Schema, value any, most int) (failures []Failure, more int) {
	c := checker{value: value, most: most, printer: message.NewPrinter(language.English)}
	if at, ok := huge(value, nil); ok {
		c.add(at, "the number is too large to be looked at")
		return c.failures, 0
	}
	if s == nil {
		return nil, 0
	}
	err := s.Validate(value)
	var v *jsonschema.ValidationError
	switch {
	case err == nil:
	case errors.As(err, &v):
		c.walk(v)
		slices.SortStableFunc(c.failures, func(a, b Failure) int { return strings.Compare(a.Pointer, b.Pointer) })
	default:
		c.add(nil, err.Error())
	}
	return c.failures, c.more
}

type checker struct {
	value    any
	most     int
	more     int
	failures []Failure
	printer  *message.Printer
}

func (c *checker) walk(v *jsonschema.ValidationError) {
	at := v.InstanceLocation
	switch k := v.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			c.add(under(at, name), "is missing")
		}
		return
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			c.add(under(at, name), "is not among the fields that there may be")
		}
		return
	case *kind.AnyOf:
		c.alternatives(v)
		return
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			c.alternatives(v)
			return
		}
		c.add(at, "is of more than one of the forms of which it may have one")
		return
	case *kind.Type:
		c.add(at, "must be "+strings.ReplaceAll(strings.Join(k.Want, " or "), "array", "list"))
		return
	case *kind.Format:
		c.add(at, "is not a valid "+k.Want)
		return
	case *kind.Pattern:
		c.add(at, "does not match the pattern "+k.Want)
		return
	case *kind.FalseSchema:
		c.add(at, "must not be there")
		return
	}
	if len(v.Causes) == 0 {
		c.add(at, v.ErrorKind.LocalizedString(c.printer))
	}
	for _, cause := range v.Causes {
		c.walk(cause)
	}
}

// alternatives says one thing of a value that is of none of several forms: the failures of each form would say too much.
func (c *checker) alternatives(v *jsonschema.ValidationError) {
	what := "is of none of the forms that it may have"
	first := checker{value: c.value, most: 1, printer: c.printer}
	for _, cause := range v.Causes {
		first.walk(cause)
	}
	if len(first.failures) > 0 {
		what += "; of the first, " + first.failures[0].String()
	}
	c.add(v.InstanceLocation, what)
}

func (c *checker) add(at []string, what string) {
	if len(c.failures) >= c.most {
		c.more++
		return
	}
	pointer := Pointer(at)
	f := Failure{Pointer: bound(pointer, maxPointer), What: bound(what, maxWhat)}
	if value, ok := Find(c.value, pointer); ok {
		f.Type = TypeOf(value)
	}
	c.failures = append(c.failures, f)
}

func under(at []string, name string) []string {
	return append(append(make([]string, 0, len(at)+1), at...), name)
}

func bound(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// huge finds a number with an exponent that arithmetic without rounding must not be given.
func huge(v any, at []string) ([]string, bool) {
	switch v := v.(type) {
	case json.Number:
		_, exponent, _ := strings.Cut(strings.ToLower(string(v)), "e")
		n, err := strconv.Atoi(exponent)
		return at, len(v) > 1000 || exponent != "" && (err != nil || n > maxExponent || n < -maxExponent)
	case map[string]any:
		for name, inner := range v {
			if where, ok := huge(inner, append(at, name)); ok {
				return where, true
			}
		}
	case []any:
		for i, inner := range v {
			if where, ok := huge(inner, append(at, strconv.Itoa(i))); ok {
				return where, true
			}
		}
	}
	return nil, false
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")
var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// Pointer writes a path as a JSON pointer (RFC 6901).
func Pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteString("/")
		b.WriteString(escape.Replace(name))
	}
	return b.String()
}

// Reference is the JSON pointer that people mean: one that begins with a slash is one already, anything else is a field's name.
func Reference(text string) (string, error) {
	switch {
	case text == "" || text == "/":
		return "", fmt.Errorf("names no field: write its name, or a JSON pointer such as /address/city")
	case !strings.HasPrefix(text, "/"):
		return Pointer([]string{text}), nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] == '~' && (i+1 == len(text) || text[i+1] != '0' && text[i+1] != '1') {
			return "", fmt.Errorf("%q is not a JSON pointer: ~ must be followed by 0 or 1", text)
		}
	}
	return text, nil
}

// Find returns what a pointer points at.
func Find(value any, pointer string) (any, bool) {
	for pointer != "" {
		name, rest, more := strings.Cut(pointer[1:], "/")
		pointer = ""
		if more {
			pointer = "/" + rest
		}
		name = unescape.Replace(name)
		switch v := value.(type) {
		case map[string]any:
			inner, ok := v[name]
			if !ok {
				return nil, false
			}
			value = inner
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) || strconv.Itoa(i) != name {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

// TypeOf names the type of a decoded value.
func TypeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "number"
}
