// Command generate writes docs/reference from the code, so that the pages cannot say anything else than what is built.
// `make generate` runs it; with -check it writes nothing and fails if a page is not current.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"airfield/internal/api/admin"
	"airfield/internal/api/anthropic"
	"airfield/internal/api/mcp"
	"airfield/internal/api/openai"
	"airfield/internal/app"
	"airfield/internal/cli"
	"airfield/internal/config"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if a page is not current")
	root := flag.String("root", ".", "the repository")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	pages, err := pages(root)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "docs", "reference")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var stale []error
	for _, p := range pages {
		path := filepath.Join(dir, p.name)
		old, err := os.ReadFile(path)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case err == nil && bytes.Equal(old, p.text):
		case check:
			stale = append(stale, fmt.Errorf("%s is not current: run make generate", path))
		default:
			if err := os.WriteFile(path, p.text, 0o644); err != nil {
				return err
			}
		}
	}
	return errors.Join(stale...)
}

// page is one file of docs/reference.
type page struct {
	name string
	text []byte
}

func pages(root string) ([]page, error) {
	schema, err := json.MarshalIndent(config.Schema(), "", "  ")
	if err != nil {
		return nil, err
	}
	figures, err := app.Figures()
	if err != nil {
		return nil, err
	}
	codes, err := faults(filepath.Join(root, "internal"))
	if err != nil {
		return nil, err
	}
	return []page{
		{"configuration.md", []byte(config.Reference())},
		{"airfield.schema.json", append(schema, '\n')},
		{"api.md", apiPage(openai.Routes(), anthropic.Routes(), mcp.Tools(), admin.OpenAPI())},
		{"cli.md", []byte(cli.Reference())},
		{"metrics.md", metricsPage(figures)},
		{"errors.md", errorsPage(codes)},
	}, nil
}
