package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"airfield/internal/secret"
)

// Problems is the error of a file that cannot be used: everything that is wrong with it, not only the first thing.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// decodeStrict fills target, which holds the defaults, from the file's text.
func decodeStrict(file string, text []byte, target any) error {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return Problems{problemOf(file, err)}
	}
	var problems Problems
	for i, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			problems = append(problems, at(file, doc.Body.GetToken(), nil, "", "there is a second document in the file; airfield.yaml is one"))
			continue
		}
		if !isMapping(doc.Body) {
			return Problems{at(file, doc.Body.GetToken(), nil, "", "the file must hold keys and values")}
		}
		problems = append(problems, inspect(file, doc.Body, reflect.TypeOf(target).Elem(), nil)...)
		if err := yaml.NodeToValue(doc.Body, target); err != nil && len(problems) == 0 {
			problems = append(problems, problemOf(file, err))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

func problemOf(file string, err error) Problem {
	p := Problem{File: file, Text: err.Error()}
	var positioned yaml.Error
	if errors.As(err, &positioned) {
		p.Text = positioned.GetMessage()
		if tok := positioned.GetToken(); tok != nil && tok.Position != nil {
			p.Line, p.Column = tok.Position.Line, tok.Position.Column
		}
	}
	return p
}

// clientVariables belong to the commands that talk to a server, not to the file.
var clientVariables = map[string]bool{"AIRFIELD_URL": true, "AIRFIELD_KEY": true, "AIRFIELD_CONFIG": true}

// variable is the name of the environment variable that overrides a key: AIRFIELD_DATABASE_URL for database.url.
func variable(f Field) string {
	return "AIRFIELD_" + strings.ToUpper(strings.Join(f.Path, "_"))
}

// override applies the environment. Only keys outside of lists and maps can be overridden. A variable that begins like
// one of a section's keys and is none is worth a warning.
func override(target any, environ []string) (warnings []string, err error) {
	given := map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, "AIRFIELD_") && !clientVariables[name] {
			given[name] = value
		}
	}
	var problems Problems
	var sections []string
	for _, f := range Fields(reflect.ValueOf(target).Elem().Interface()) {
		value, ok := given[variable(f)]
		delete(given, variable(f))
		if len(f.Path) == 1 && f.Type.Kind() == reflect.Struct {
			sections = append(sections, variable(f)+"_")
		}
		if !ok || !leaf(f.Type) || !f.Value.IsValid() {
			continue
		}
		if err := set(settable(reflect.ValueOf(target).Elem(), f.Path), value); err != nil {
			problems = append(problems, Problem{File: variable(f), Key: f.Dotted(), Text: err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.ContainsFunc(sections, func(s string) bool { return strings.HasPrefix(name, s) }) {
			warnings = append(warnings, "the environment variable "+name+" is of no key, and does nothing")
		}
	}
	return warnings, nil
}

func settable(v reflect.Value, path []string) reflect.Value {
	for _, name := range path {
		m, _ := find(members(v.Type()), name)
		v = v.FieldByIndex(m.field.Index)
	}
	return v
}

func set(v reflect.Value, text string) error {
	if t, ok := v.Addr().Interface().(interface{ UnmarshalText([]byte) error }); ok {
		return t.UnmarshalText([]byte(text))
	}
	switch {
	case v.Type() == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s or 5m", text)
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case v.CanFloat():
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(n)
	default:
		return fmt.Errorf("this key cannot be set by an environment variable")
	}
	return nil
}

// resolveSecrets reads every secret of the configuration.
func resolveSecrets(v reflect.Value, dir string) error {
	switch {
	case v.Type() == secretType:
		if !v.CanSet() {
			return nil
		}
		return v.Addr().Interface().(*secret.Value).Resolve(dir)
	case v.Kind() == reflect.Pointer && !v.IsNil():
		return resolveSecrets(v.Elem(), dir)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if err := resolveSecrets(v.Field(i), dir); err != nil {
					return err
				}
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			if err := resolveSecrets(v.Index(i), dir); err != nil {
				return err
			}
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() != reflect.Interface:
		for _, key := range v.MapKeys() {
			copied := reflect.New(v.Type().Elem()).Elem()
			copied.Set(v.MapIndex(key))
			if err := resolveSecrets(copied, dir); err != nil {
				return err
			}
			v.SetMapIndex(key, copied)
		}
	}
	return nil
}

// Load reads the file, applies the environment, reads the secrets and checks the whole. The warnings are for people; the
// error is a Problems where the file is to blame.
func Load(path string) (*Config, []string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	return parse(path, text, os.Environ())
}

// Parse is Load for a text that is not (yet) a file; dir is where relative paths begin.
func parse(path string, text []byte, environ []string) (*Config, []string, error) {
	c := Default()
	if err := decodeStrict(path, text, &c); err != nil {
		return nil, nil, err
	}
	warnings, err := override(&c, environ)
	if err != nil {
		return nil, nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	if err := resolveSecrets(reflect.ValueOf(&c).Elem(), dir); err != nil {
		return nil, nil, Problems{{File: path, Text: err.Error()}}
	}
	c.resolvePaths(dir)
	checked, err := c.Check()
	warnings = append(warnings, checked...)
	if err != nil {
		return nil, warnings, locate(path, text, err)
	}
	return &c, warnings, nil
}
