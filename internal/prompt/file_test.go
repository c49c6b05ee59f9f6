package prompt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAFileThatWasWrittenIsReadAsTheSamePrompt(t *testing.T) {
	p := read(t, `{"description":"d: #x","model":"chat","locked":true,
		"messages":[{"role":"system","content":"one\n  two {{s}}\n\nthree\n"},{"role":"user","content":" - \"quoted\": {{l}}"},{"role":"assistant","content":"trailing \nspace\t\n\n"},{"role":"user","content":"\r\nx"},{"role":"user","content":"  first line is indented\nx"}],
		"parameters":{"temperature":0.20,"seed":12345678901234567890,"n":3,"stop":["yes","1"],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},"none":null},
		"variables":{"s":{"type":"string","enum":["yes","no",""],"default":"no","max_length":3},"l":{"type":"list","required":false,"default":[1,"x",null,{"a":0.5}]},"o":{"type":"object","required":true}}}`)
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	text, err := p.YAML()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.prompt.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(p, &f.Prompt); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
}

func TestAWrongFileIsRefusedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"a mistyped key":     {"x.prompt.yaml", "mesages: []\n", `unknown field "mesages"`},
		"no YAML":            {"x.prompt.yaml", "messages: [\n", "x.prompt.yaml"},
		"the wrong kind":     {"x.prompt.yaml", "messages: x\n", "messages"},
		"a key twice":        {"x.prompt.yaml", "model: a\nmodel: b\n", "[2:1]"},
		"a template's fault": {"x.prompt.yaml", "messages: [{role: user, content: '{{x}}'}]\n", "there is no variable x"},
		"a name":             {"X y.prompt.yaml", "messages: [{role: user, content: x}]\n", "cannot be a prompt's name"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("%v", err)
			}
		})
	}
}
