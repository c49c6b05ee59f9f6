package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"airfield/internal/fault"
)

// code is one place in the source that makes a fault.
type code struct {
	name, text, hint string
	kind             fault.Kind // empty where it depends on what happened
}

// faults reads every fault that the product's source makes with a code that stands there. The kinds and the codes that are
// constants are looked up by their names.
func faults(dir string) ([]code, error) {
	var files []*ast.File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	constants, kinds := map[string]string{}, map[string]fault.Kind{}
	for _, f := range files {
		readConstants(f, constants, kinds)
	}
	seen := map[code]bool{}
	for _, f := range files {
		hinted := map[*ast.CallExpr]string{} // what Hinted said of a call of New, which is met after it
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				readCall(n, hinted, constants, kinds, seen)
			case *ast.CompositeLit:
				if text(n.Type, nil) == "fault.Fault" {
					readLiteral(n, constants, kinds, seen)
				}
			}
			return true
		})
	}
	all := make([]code, 0, len(seen))
	for c := range seen {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b code) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind), cmp.Compare(a.text, b.text), cmp.Compare(a.hint, b.hint))
	})
	return all, nil
}

// readConstants keeps the constants named Code…, and those of the type fault.Kind.
func readConstants(f *ast.File, constants map[string]string, kinds map[string]fault.Kind) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.ValueSpec)
			for i, name := range spec.Names {
				if i >= len(spec.Values) {
					continue
				}
				value, ok := literal(spec.Values[i])
				switch {
				case !ok:
				case f.Name.Name == "fault" && text(spec.Type, nil) == "Kind":
					kinds["fault."+name.Name] = fault.Kind(value)
				case strings.HasPrefix(name.Name, "Code"):
					constants[name.Name], constants[f.Name.Name+"."+name.Name] = value, value
				}
			}
		}
	}
}

// readCall reads fault.New(kind, code, text, …).Hinted(hint, …), with At anywhere in it.
func readCall(call *ast.CallExpr, hinted map[*ast.CallExpr]string, constants map[string]string, kinds map[string]fault.Kind, seen map[code]bool) {
	if method, ok := call.Fun.(*ast.SelectorExpr); ok && (method.Sel.Name == "Hinted" || method.Sel.Name == "At") {
		if inner, ok := method.X.(*ast.CallExpr); ok {
			hinted[inner] = hinted[call]
			if method.Sel.Name == "Hinted" && len(call.Args) > 0 {
				if hint, ok := literal(call.Args[0]); ok {
					hinted[inner] = pattern(hint)
				}
			}
		}
		return
	}
	if text(call.Fun, nil) != "fault.New" || len(call.Args) < 3 {
		return
	}
	c := code{name: text(call.Args[1], constants), kind: kinds[text(call.Args[0], nil)], hint: hinted[call]}
	if t, ok := literal(call.Args[2]); ok {
		c.text = pattern(t)
	}
	if c.name != "" {
		seen[c] = true
	}
}

func readLiteral(l *ast.CompositeLit, constants map[string]string, kinds map[string]fault.Kind, seen map[code]bool) {
	var c code
	for _, e := range l.Elts {
		field, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		value, _ := literal(field.Value)
		if call, ok := field.Value.(*ast.CallExpr); ok && text(call.Fun, nil) == "fmt.Sprintf" {
			value, _ = literal(call.Args[0])
		}
		switch text(field.Key, nil) {
		case "Kind":
			c.kind = kinds[text(field.Value, nil)]
		case "Code":
			c.name = text(field.Value, constants)
		case "Text":
			c.text = pattern(value)
		case "Hint":
			c.hint = pattern(value)
		}
	}
	if c.name != "" {
		seen[c] = true
	}
}

// text is a name as it is written, or the value of a literal or of a known constant. With constants, other names are
// empty: they are variables.
func text(e ast.Expr, constants map[string]string) string {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = text(e.X, nil) + "." + e.Sel.Name
	default:
		value, _ := literal(e)
		return value
	}
	if constants != nil {
		return constants[name]
	}
	return name
}

func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			value, err := strconv.Unquote(e.Value)
			return value, err == nil
		}
	case *ast.BinaryExpr:
		left, ok := literal(e.X)
		right, also := literal(e.Y)
		return left + right, ok && also
	}
	return "", false
}

var verb = regexp.MustCompile(`%%|%[-+#0-9.]*[a-zA-Z]`)

// pattern is a format with its holes shown as …; the cause at the end, which is for the log, is left out.
func pattern(format string) string {
	format = strings.TrimSuffix(format, ": %w")
	return verb.ReplaceAllStringFunc(format, func(v string) string {
		if v == "%%" {
			return "%"
		}
		return "…"
	})
}

func errorsPage(codes []code) []byte {
	var b bytes.Buffer
	b.WriteString(`# Errors

Generated by ` + "`make generate`" + ` from the source. Every error that a caller can act on has a **kind**, which decides the HTTP status and the exit code of [commands](cli.md), and
a **code**, which is stable and meant for scripts. Texts and hints are for people and may change; … stands for what differs from case to case.
Codes that a provider or a file's content decides are not in the list.

| kind | HTTP status |
|---|---|
`)
	for _, k := range []fault.Kind{fault.Invalid, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Conflict, fault.TooLarge, fault.Limited, fault.Cancelled, fault.Internal, fault.Upstream, fault.Unavailable, fault.Timeout} {
		fmt.Fprintf(&b, "| %s | %d |\n", k, k.Status())
	}
	b.WriteString("\n| code | kind | what it says | what to do |\n|---|---|---|---|\n")
	for _, c := range codes {
		kind := string(c.kind)
		if kind == "" {
			kind = "varies"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.name, kind, cell(c.text), cell(c.hint))
	}
	return b.Bytes()
}
