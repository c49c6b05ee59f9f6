package ingest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"airfield/internal/fault"
)

// SidecarSuffix ends the name of the file that tells a document's metadata: contract.pdf.meta.yaml for contract.pdf.
const SidecarSuffix = ".meta.yaml"

const maxSidecarBytes = 64 << 10

// ParseSidecar reads a metadata file: one flat mapping. Errors say in which line.
func ParseSidecar(raw []byte) (Metadata, error) {
	if len(raw) > maxSidecarBytes {
		return Metadata{}, badSidecar(0, "it has more than %d bytes", maxSidecarBytes)
	}
	file, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return Metadata{}, badSidecar(lineOf(err), "%s", yamlMessage(err))
	}
	if len(file.Docs) > 1 {
		return Metadata{}, badSidecar(0, "it holds %d YAML documents; one is allowed", len(file.Docs))
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType {
		return Metadata{}, nil
	}
	body := file.Docs[0].Body
	fields, ok := mapping(body)
	if !ok {
		return Metadata{}, badSidecar(body.GetToken().Position.Line, "it must be a mapping of fields, such as tier: internal")
	}
	var references referenceFinder
	ast.Walk(&references, body)
	if references.line > 0 {
		return Metadata{}, badSidecar(references.line, "anchors, aliases and merges are not allowed")
	}
	var m Metadata
	seen := map[string]bool{}
	for _, f := range fields {
		line := f.Key.GetToken().Position.Line
		one := map[string]any{}
		if err := yaml.NodeToValue(f, &one); err != nil {
			return Metadata{}, badSidecar(line, "%s", yamlMessage(err))
		}
		for key := range one {
			if seen[key] {
				return Metadata{}, badSidecar(line, "the field %s is there twice", key)
			}
			seen[key] = true
		}
		parsed, err := ParseMetadata(one)
		if err != nil {
			return Metadata{}, badSidecar(line, "%s", fault.As(err).Text)
		}
		m = parsed.Over(m)
	}
	if len(m.Fields) > maxFields {
		return Metadata{}, badSidecar(0, "it has more than %d fields", maxFields)
	}
	return m, nil
}

func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// referenceFinder finds what could make a small file large, or a field mean something else.
type referenceFinder struct{ line int }

func (f *referenceFinder) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		if t := n.GetToken(); f.line == 0 && t != nil {
			f.line = max(t.Position.Line, 1)
		}
	}
	return f
}

func badSidecar(line int, format string, args ...any) error {
	where := ""
	if line > 0 {
		where = fmt.Sprintf(" in line %d", line)
	}
	return fault.New(fault.Invalid, CodeMetadata, "the sidecar cannot be used%s: %s", where, fmt.Sprintf(format, args...))
}

func lineOf(err error) int {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return y.GetToken().Position.Line
	}
	return 0
}

func yamlMessage(err error) string {
	var y yaml.Error
	if errors.As(err, &y) {
		return y.GetMessage()
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
