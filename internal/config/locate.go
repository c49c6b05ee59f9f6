package config

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// locate gives the errors of the checks, which begin with a dotted key, the line and column of that key in the file, or
// of the innermost section of it that the file has.
func locate(file string, text []byte, err error) error {
	var body ast.Node
	if tree, parseErr := parser.ParseBytes(text, 0); parseErr == nil && len(tree.Docs) > 0 {
		body = tree.Docs[0].Body
	}
	var problems Problems
	for _, one := range unjoin(err) {
		key, rest := splitKey(one.Error())
		p := Problem{File: file, Key: key, Text: rest}
		if tok := place(body, strings.Split(key, ".")); tok != nil && tok.Position != nil {
			p.Line, p.Column = tok.Position.Line, tok.Position.Column
		}
		problems = append(problems, p)
	}
	return problems
}

// splitKey takes the key off the front of "section.key: what is wrong" or "section.key what is wrong".
func splitKey(text string) (key, rest string) {
	end := strings.IndexAny(text, ": ")
	if end <= 0 {
		return "", text
	}
	return strings.NewReplacer("[", ".", "]", "").Replace(text[:end]), strings.TrimLeft(text[end:], ": ")
}

func place(node ast.Node, path []string) *token.Token {
	if node == nil || reflect.ValueOf(node).IsNil() {
		return nil
	}
	var found *token.Token
	for _, entry := range entries(node) {
		name := entry.Key.String()
		// A name may hold dots itself (gpt-4.1-mini), so the longest match wins.
		for n := len(path); n > 0; n-- {
			if strings.Trim(name, `"'`) != strings.Join(path[:n], ".") {
				continue
			}
			found = entry.Key.GetToken()
			if n < len(path) {
				if deeper := place(entry.Value, path[n:]); deeper != nil {
					found = deeper
				}
			}
			return found
		}
	}
	if list, ok := node.(*ast.SequenceNode); ok && len(path) > 0 {
		for i, v := range list.Values {
			if path[0] == strconv.Itoa(i) {
				found = v.GetToken()
				if deeper := place(v, path[1:]); deeper != nil {
					found = deeper
				}
			}
		}
	}
	return found
}
