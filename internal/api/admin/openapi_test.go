package admin

import (
	"regexp"
	"slices"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// A field that huma passes over, such as one of an embedded type that is not exported, leaves an operation without what
// its path names.
func TestEveryOperationReadsWhatItsPathNames(t *testing.T) {
	named := regexp.MustCompile(`\{(\w+)\}`)
	for path, item := range OpenAPI().Paths {
		for _, operation := range []*huma.Operation{item.Get, item.Post, item.Delete, item.Put, item.Patch} {
			if operation == nil {
				continue
			}
			for _, name := range named.FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(operation.Parameters, func(p *huma.Param) bool { return p.In == "path" && p.Name == name[1] }) {
					t.Errorf("%s %s does not read %s", operation.Method, path, name[0])
				}
			}
		}
	}
}
