package internal

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floors is the plan of the house. A package imports only from floors below its own; packages on one floor never
// import one another. A folder below a part (bucket/file, ingest/chunk) belongs to the part.
var floors = [][]string{
	{"id", "fault", "money", "place"},
	{"llm", "caller"},
	{"secret", "telemetry", "redact", "template"},
	{"redis", "aws", "gcs"},
	{"db", "bucket", "cache", "journal", "limit", "notify", "fetch"},
	{"jobs", "index"},
	{"access"},
	{"environment", "prompt", "cost", "observe", "gateway", "ingest", "retrieve", "response", "batch"},
	{"preflight"},
	{"api"},
	{"config"},
	{"app"},
	{"cli"},
}

// backends may be imported by app alone, besides their own tests: what talks to one product stays in one folder. Azure
// speaks OpenAI's API, and stands on it.
var backends = []string{"bucket/file", "bucket/s3", "bucket/gcs", "index/embedded", "index/pgvector", "gateway/provider/openai", "gateway/provider/azure", "gateway/provider/anthropic", "gateway/provider/gemini", "gateway/provider/bedrock", "gateway/provider/builtin"}

// words may import nothing but the standard library and floors below.
const wordFloors = 2

func floorOf(part string) int {
	for i, names := range floors {
		for _, name := range names {
			if name == part {
				return i
			}
		}
	}
	return -1
}

func TestImportRule(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || path == "floors_test.go" {
			return err
		}
		seen++
		test := strings.HasSuffix(path, "_test.go")
		part, _, _ := strings.Cut(filepath.ToSlash(path), "/")
		folder := filepath.ToSlash(filepath.Dir(path))
		floor := floorOf(part)
		if floor < 0 {
			t.Errorf("%s: the part %q has no floor in floors_test.go", path, part)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			local, ours := strings.CutPrefix(imported, "airfield/internal/")
			if !ours {
				if floor < wordFloors && !test && strings.Contains(imported, ".") {
					t.Errorf("%s: words import the standard library only, not %s", path, imported)
				}
				continue
			}
			other, _, _ := strings.Cut(local, "/")
			if other != part && floorOf(other) >= floor && !(test && floorOf(other) <= floorOf("preflight")) {
				t.Errorf("%s (floor %d) imports %s (floor %d)", path, floor, local, floorOf(other))
			}
			for _, backend := range backends {
				if local == backend && part != "app" && !test && !strings.HasPrefix(folder, backend) && (folder != "gateway/provider/azure" || backend != "gateway/provider/openai") {
					t.Errorf("%s imports the backend %s; only app may", path, backend)
				}
			}
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Fatalf("read %d files: %v", seen, err)
	}
}
