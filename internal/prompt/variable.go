package prompt

import (
	"bytes"
	"encoding/json"

	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"airfield/internal/fault"
	"airfield/internal/template"
)

// The types of variables.
const (
	String  = "string"
	Number  = "number"
	Integer = "integer"
	Boolean = "boolean"
	List    = "list"
	Object  = "object"
)

var types = []string{String, Number, Integer, Boolean, List, Object}

// Variable is what a call gives for a name in the templates.
type Variable struct {
	Type        string            `json:"type" enum:"string,number,integer,boolean,list,object"`
	Description string            `json:"description,omitempty"`
	Required    *bool             `json:"required,omitempty" doc:"Whether a call must give it. Without a word it must, unless there is a default."`
	Default     json.RawMessage   `json:"default,omitempty" doc:"What it is where a call does not give it."`
	Enum        []json.RawMessage `json:"enum,omitempty" doc:"The only values that it may have."`
	MaxLength   int               `json:"max_length,omitempty" minimum:"0" doc:"Characters of a string, or items of a list."`
}

// must reports whether a call has to give it.
func (v *Variable) must() bool {
	if v.Required != nil {
		return *v.Required
	}
	return v.Default == nil
}

// normal checks a declaration and brings it into its one spelling.
func (v *Variable) normal(name string) (err error) {
	at := "variables." + name
	if !slices.Contains(types, v.Type) {
		return bad(at+".type", "the variable %s has the type %q; there are %s", name, short(v.Type), strings.Join(types, ", "))
	}
	if v.MaxLength < 0 || v.MaxLength > 0 && v.Type != String && v.Type != List {
		return bad(at+".max_length", "max_length of %s is for strings and lists, and not negative", name)
	}
	if isNull(v.Default) {
		v.Default = nil
	}
	if v.Required != nil && *v.Required && v.Default != nil {
		return bad(at+".default", "the variable %s is required: its default would never be used", name)
	}
	if len(v.Enum) > 0 && (v.Type == List || v.Type == Object) {
		return bad(at+".enum", "enum of %s is for strings, numbers and booleans", name)
	}
	bare := Variable{Type: v.Type, MaxLength: v.MaxLength}
	for i := range v.Enum {
		if _, err := bare.value(name, v.Enum[i]); err != nil {
			return bad(at+".enum", "enum of %s: %s", name, fault.As(err).Text)
		}
		if v.Enum[i], err = normalJSON(v.Enum[i]); err != nil {
			return bad(at+".enum", "enum of %s is not JSON: %v", name, err)
		}
	}
	if v.Default != nil {
		if _, err := v.value(name, v.Default); err != nil {
			return bad(at+".default", "the default of %s: %s", name, fault.As(err).Text)
		}
		if v.Default, err = normalJSON(v.Default); err != nil {
			return bad(at+".default", "the default of %s is not JSON: %v", name, err)
		}
	}
	return nil
}

func isNull(raw []byte) bool {
	return len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// value reads a variable's value from JSON into what a template can be filled with.
func (v *Variable) value(name string, raw []byte) (any, error) {
	read, err := decode(raw)
	if err != nil {
		return nil, wrong(name, "variable_type", "the variable %s is not JSON", name)
	}
	ok, length, unit := false, 0, "characters"
	switch is := read.(type) {
	case string:
		ok, length = v.Type == String, utf8.RuneCountInString(is)
	case json.Number:
		ok = v.Type == Number || v.Type == Integer && whole(is)
	case bool:
		ok = v.Type == Boolean
	case []any:
		ok, length, unit = v.Type == List, len(is), "items"
	case map[string]any:
		ok = v.Type == Object
	}
	if !ok {
		return nil, wrong(name, "variable_type", "the variable %s must be %s, not %s", name, articles[v.Type], kindOf(read))
	}
	if v.MaxLength > 0 && length > v.MaxLength {
		return nil, wrong(name, "variable_too_long", "the variable %s has %d %s; at most %d are allowed", name, length, unit, v.MaxLength)
	}
	if len(v.Enum) > 0 && !slices.ContainsFunc(v.Enum, func(e json.RawMessage) bool { return same(e, raw) }) {
		return nil, wrong(name, "variable_not_allowed", "the variable %s must be one of %s", name, bytes.Join(asBytes(v.Enum), []byte(", ")))
	}
	return template.Fill(read), nil
}

func wrong(name, code, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, code, format, args...).At("prompt.variables." + name)
}

var articles = map[string]string{String: "a string", Number: "a number", Integer: "a whole number", Boolean: "true or false", List: "a list", Object: "an object"}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return articles[String]
	case json.Number:
		return articles[Number]
	case bool:
		return articles[Boolean]
	case []any:
		return articles[List]
	case map[string]any:
		return articles[Object]
	}
	return "null"
}

// whole reports whether a number is one without a fraction, however it is written. One with a huge exponent is not looked at.
func whole(n json.Number) bool {
	if len(n) > 40 || strings.ContainsAny(string(n), "eE") {
		return false
	}
	r, ok := new(big.Rat).SetString(string(n))
	return ok && r.IsInt()
}

// same compares two JSON values of simple types: numbers by what they are, not by how they are written.
func same(a, b []byte) bool {
	x, errX := decode(a)
	y, errY := decode(b)
	if errX != nil || errY != nil {
		return false
	}
	m, numX := x.(json.Number)
	n, numY := y.(json.Number)
	if numX && numY {
		f, errF := m.Float64()
		g, errG := n.Float64()
		return errF == nil && errG == nil && f == g
	}
	return x == y
}

func asBytes(list []json.RawMessage) [][]byte {
	all := make([][]byte, len(list))
	for i := range list {
		all[i] = list[i]
	}
	return all
}
