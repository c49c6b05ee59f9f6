package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"airfield/internal/api/anthropic"
	"airfield/internal/api/mcp"
	"airfield/internal/api/openai"
	"airfield/internal/config"
)

const source = `package door

const CodeLost = "thing_lost"

func f(k fault.Kind, code string) error {
	_ = fault.New(fault.NotFound, CodeLost, "the thing %q of %d is lost: %w", 1, 2, nil).Hinted("look | again in %s", "").At("thing")
	_ = fault.New(k, "thing_odd", "odd " + "thing")
	_ = fault.New(fault.NotFound, code, "a code that is not known here")
	return &fault.Fault{Kind: fault.NotFound, Code: "thing_gone", Text: fmt.Sprintf("%d%% is gone", 3), Hint: "wait"}
}
`

func TestFaultsAreReadFromTheSource(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"fault.go":     "package fault\n\ntype Kind string\n\nconst NotFound Kind = \"not_found\"\n",
		"door.go":      source,
		"door_test.go": `package door; var _ = fault.New(fault.NotFound, "of_a_test", "x")`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := faults(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []code{
		{"thing_gone", "…% is gone", "wait", "not_found"},
		{"thing_lost", "the thing … of … is lost", "look | again in …", "not_found"},
		{"thing_odd", "odd thing", "", ""},
	}
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, not %+v", got[i], want[i])
		}
	}
	if page := string(errorsPage(got)); !strings.Contains(page, "| `thing_lost` | not_found | the thing … of … is lost | look \\| again in … |\n| `thing_odd` | varies | odd thing |  |\n") {
		t.Error(page)
	}
}

func TestPagesSayNothingOfThisMachineAndHoldEveryRoute(t *testing.T) {
	first, err := pages("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AIRFIELD_CONFIG", "/somewhere/airfield.yaml")
	t.Setenv("AIRFIELD_URL", "http://somewhere:1")
	second, err := pages("../..")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for i, p := range first {
		all[p.name] = string(p.text)
		if !bytes.Equal(p.text, second[i].text) {
			t.Errorf("%s depends on the environment", p.name)
		}
		if bytes.Contains(p.text, []byte(here)) {
			t.Errorf("%s names this machine's folder", p.name)
		}
	}
	for _, r := range openai.Routes() {
		if !strings.Contains(all["api.md"], "`"+r.Method+" "+strings.ReplaceAll(r.Path, "...}", "}")+"`") {
			t.Errorf("api.md lacks %s %s", r.Method, r.Path)
		}
	}
	for _, tool := range mcp.Tools() {
		if !strings.Contains(all["api.md"], "`"+tool.Name+"`") {
			t.Errorf("api.md lacks the tool %s", tool.Name)
		}
	}
	for _, r := range anthropic.Routes() {
		if !strings.Contains(all["api.md"], "`"+r.Method+" "+strings.ReplaceAll(r.Path, "...}", "}")+"`") {
			t.Errorf("api.md lacks %s %s", r.Method, r.Path)
		}
	}
	for page, want := range map[string]string{
		"api.md":     "### POST /api/collections/{name}/documents\n\nUpload a document as the raw body. Roles: admin, operator, workflow. Sends `application/octet-stream`.",
		"cli.md":     "## airfield dlq replay\n",
		"metrics.md": "| `airfield_calls_total` | counter | `surface`, `outcome`, `workflow`, `model` |",
		"errors.md":  "| `port_busy` | conflict |",
	} {
		if !strings.Contains(all[page], want) {
			t.Errorf("%s lacks %q", page, want)
		}
	}
}

func TestCheckNamesWhatIsStale(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "internal", "fault"), os.DirFS("../../internal/fault")); err != nil {
		t.Fatal(err)
	}
	err := run(root, true)
	if err == nil || !strings.Contains(err.Error(), "cli.md") {
		t.Fatalf("nothing is there, and the check says %v", err)
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "docs", "reference", "cli.md"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true); err == nil || !strings.Contains(err.Error(), "cli.md") || strings.Contains(err.Error(), "api.md") {
		t.Fatalf("%v", err)
	}
}

var dotted = regexp.MustCompile(`\b[a-z_]+(\.[a-z_]+)+\b`)

func TestErrorsNameKeysThatExist(t *testing.T) {
	known, sections := map[string]bool{}, map[string]bool{}
	for _, f := range config.Fields(config.Default()) {
		known[f.Dotted()], sections[f.Path[0]] = true, true
	}
	codes, err := faults("../../internal")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, c := range codes {
		for _, key := range dotted.FindAllString(c.text+" "+c.hint, -1) {
			section, _, _ := strings.Cut(key, ".")
			if !sections[section] {
				continue
			}
			if named++; !known[key] {
				t.Errorf("the error %s speaks of %s, which is no key of airfield.yaml", c.name, key)
			}
		}
	}
	if named < 5 {
		t.Errorf("only %d keys were found in errors", named)
	}
}
