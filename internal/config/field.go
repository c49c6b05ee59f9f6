package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"airfield/internal/secret"
)

// Field is one key of airfield.yaml, found by walking the Go types, so that the strict check, the overrides from the
// environment, the JSON Schema, the reference page and the diff can never disagree about what exists.
type Field struct {
	Path  []string // "*" stands for a name that the user chooses
	Doc   string
	Type  reflect.Type
	Value reflect.Value // of the default; invalid below a "*"
}

// Dotted is the path as people write it: workflows.*.clearance.
func (f Field) Dotted() string { return strings.Join(f.Path, ".") }

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[secret.Value]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// leaf reports whether a type is written as a single value or a free-form tree, not as a mapping of known keys.
func leaf(t reflect.Type) bool {
	switch {
	case t == durationType, t == secretType, reflect.PointerTo(t).Implements(textType):
		return true
	case t.Kind() == reflect.Pointer:
		return leaf(t.Elem())
	case t.Kind() == reflect.Struct:
		return false
	case t.Kind() == reflect.Map, t.Kind() == reflect.Slice:
		return leaf(t.Elem()) || t.Elem().Kind() == reflect.Interface
	}
	return true
}

// member is one yaml key of a struct.
type member struct {
	name  string
	doc   string
	field reflect.StructField
}

// members lists the keys of a struct in the order they are written, inlined structs included.
func members(t reflect.Type) []member {
	var all []member
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case strings.Contains(options, "inline"):
			for _, m := range members(f.Type) {
				m.field.Index = append(append([]int{}, f.Index...), m.field.Index...)
				all = append(all, m)
			}
		case name != "":
			all = append(all, member{name: name, doc: f.Tag.Get("doc"), field: f})
		}
	}
	return all
}

// Fields lists every key, sections before what is in them.
func Fields(root any) []Field {
	var all []Field
	var walk func(path []string, doc string, t reflect.Type, v reflect.Value)
	walk = func(path []string, doc string, t reflect.Type, v reflect.Value) {
		if len(path) > 0 {
			all = append(all, Field{Path: append([]string{}, path...), Doc: doc, Type: t, Value: v})
		}
		if leaf(t) {
			return
		}
		switch t.Kind() {
		case reflect.Pointer:
			walkInto(walk, path, t.Elem(), reflect.Value{})
		case reflect.Struct:
			walkInto(walk, path, t, v)
		case reflect.Map, reflect.Slice:
			walk(append(path, "*"), "", t.Elem(), reflect.Value{})
		}
	}
	walk(nil, "", reflect.TypeOf(root), reflect.ValueOf(root))
	return all
}

func walkInto(walk func([]string, string, reflect.Type, reflect.Value), path []string, t reflect.Type, v reflect.Value) {
	for _, m := range members(t) {
		child := reflect.Value{}
		if v.IsValid() {
			child = v.FieldByIndex(m.field.Index)
		}
		walk(append(path, m.name), m.doc, m.field.Type, child)
	}
}
