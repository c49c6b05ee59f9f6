package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Problem is one thing wrong with a file, with its place.
type Problem struct {
	File   string
	Line   int
	Column int
	Key    string // the path of keys, dotted
	Text   string
}

func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Key != "" {
		return where + ": " + p.Key + ": " + p.Text
	}
	return where + ": " + p.Text
}

// inspect finds, in the parsed file, every key that no part of Airfield reads and every value that is not of its key's
// type.
func inspect(file string, node ast.Node, t reflect.Type, path []string) []Problem {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		return inspect(file, n.Value, t, path)
	case *ast.TagNode:
		return inspect(file, n.Value, t, path)
	}
	if node == nil {
		return nil
	}
	if leaf(t) {
		return wrongValue(file, node, t, path)
	}
	var problems []Problem
	switch t.Kind() {
	case reflect.Struct:
		known := members(t)
		for _, entry := range entries(node) {
			key := entry.Key.String()
			m, ok := find(known, key)
			if !ok {
				problems = append(problems, at(file, entry.Key.GetToken(), path, key, unknownText(key, known)))
				continue
			}
			problems = append(problems, inspect(file, entry.Value, m.field.Type, append(path, key))...)
		}
	case reflect.Map:
		for _, entry := range entries(node) {
			key := entry.Key.String()
			problems = append(problems, inspect(file, entry.Value, t.Elem(), append(path, key))...)
		}
	case reflect.Slice:
		if list, ok := node.(*ast.SequenceNode); ok {
			for i, v := range list.Values {
				problems = append(problems, inspect(file, v, t.Elem(), append(path, fmt.Sprint(i)))...)
			}
		}
	}
	return problems
}

// wrongValue decodes one value by itself, so that what is wrong has a place.
func wrongValue(file string, node ast.Node, t reflect.Type, path []string) []Problem {
	if node.Type() == ast.AliasType {
		return nil // what it stands for is inspected where it is written
	}
	err := yaml.NodeToValue(node, reflect.New(t).Interface())
	if err == nil {
		return nil
	}
	text := err.Error()
	var positioned yaml.Error
	if errors.As(err, &positioned) {
		text = positioned.GetMessage()
	}
	switch {
	case t == durationType:
		text = "is not a duration such as 30s or 5m"
	case strings.HasPrefix(text, "cannot unmarshal"):
		text = "must be " + typeName(t)
	}
	return []Problem{at(file, node.GetToken(), path, "", text)}
}

func entries(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func find(known []member, key string) (member, bool) {
	for _, m := range known {
		if m.name == key {
			return m, true
		}
	}
	return member{}, false
}

func at(file string, tok *token.Token, path []string, key, text string) Problem {
	p := Problem{File: file, Key: strings.Trim(strings.Join(path, ".")+"."+key, "."), Text: text}
	if tok != nil && tok.Position != nil {
		p.Line, p.Column = tok.Position.Line, tok.Position.Column
	}
	return p
}

func unknownText(key string, known []member) string {
	best, distance := "", 1+len(key)/2
	names := make([]string, len(known))
	for i, m := range known {
		names[i] = m.name
		if d := editDistance(key, m.name); d < distance {
			best, distance = m.name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("there is no such key; did you mean %q?", best)
	}
	return "there is no such key; here there can be: " + strings.Join(names, ", ")
}

// editDistance is Levenshtein's: insertions, deletions and replacements of bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
