package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"airfield/internal/cli"
)

const repository = "../.."

// written are the pages that people write and read.
func written(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != repository):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".md") || strings.Contains(filepath.ToSlash(path), "/examples/documents/") || strings.Contains(filepath.ToSlash(path), "/examples/generate/"):
			return nil
		}
		text, err := os.ReadFile(path)
		pages[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestLinksLeadToSomething(t *testing.T) {
	seen := 0
	for path, text := range written(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d links were found", seen)
	}
}

var (
	block   = regexp.MustCompile("(?s)```sh\n(.*?)```")
	comment = regexp.MustCompile(`(^|\s)#.*`)
	quoted  = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// Every command line in a guide is one of a command that exists, with flags that it has.
func TestGuidesShowCommandsThatExist(t *testing.T) {
	common, sections := map[string]bool{}, map[string]string{}
	for i, section := range strings.Split(cli.Reference(), "\n## ") {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
		if i == 0 {
			for _, f := range flags(section) {
				common[f] = true
			}
		}
	}
	seen := 0
	for path, text := range written(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			for _, line := range strings.Split(strings.ReplaceAll(m[1], "\\\n", " "), "\n") {
				words := strings.Fields(quoted.ReplaceAllString(comment.ReplaceAllString(line, ""), "X"))
				if len(words) < 2 || filepath.Base(words[0]) != "airfield" {
					continue
				}
				seen++
				name := "airfield " + words[1]
				if len(words) > 2 && sections[name+" "+words[2]] != "" {
					name += " " + words[2]
				}
				section, ok := sections[name]
				if !ok {
					t.Errorf("%s: there is no command %q", path, name)
				}
				for _, f := range flags(line) {
					if !common[f] && !strings.Contains(section, "`"+f) {
						t.Errorf("%s: %s has no flag %s", path, name, f)
					}
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d command lines were found", seen)
	}
}

var long = regexp.MustCompile(`(?:^|[\s\x60])(--[a-z-]+)`)

func flags(text string) (names []string) {
	for _, m := range long.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

var testCommand = regexp.MustCompile(`(?m)^go test (\./\S+) -run '([^']+)'`)

// Every test that the guarantees name is there, in the package that they name.
func TestGuaranteesNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs/guides/guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, m := range testCommand.FindAllStringSubmatch(string(text), -1) {
		files, err := filepath.Glob(filepath.Join(repository, m[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Errorf("%s has no tests", m[1])
		}
		var code strings.Builder
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
		for name := range strings.SplitSeq(m[2], "|") {
			if seen++; !strings.Contains(code.String(), "\nfunc "+name+"(") {
				t.Errorf("there is no %s in %s", name, m[1])
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d tests were found", seen)
	}
}
