package prompt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/fault"
	"airfield/internal/template"
)

// read makes a prompt of JSON.
func read(t testing.TB, text string) *Prompt {
	t.Helper()
	var p Prompt
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func messages(content string, variables string) string {
	b, _ := json.Marshal(content)
	return `{"messages":[{"role":"system","content":` + string(b) + `}],"variables":` + variables + `}`
}

func TestValuesAreTextAndNothingElse(t *testing.T) {
	const every = `{"s":{"type":"string"},"n":{"type":"number"},"i":{"type":"integer"},"b":{"type":"boolean"},"l":{"type":"list"},"o":{"type":"object"},
		"d":{"type":"string","default":"def"},"e":{"type":"string","required":false}}`
	const given = `{"s":"{{n}} {{/x}} <b>&\"'\n{{{","n":1.50,"i":3,"b":true,"l":[{"name":"a","price":0.10},{"name":"b","price":2}],"o":{"k":{"deep":"x"},"z":null}}`
	for name, c := range map[string]struct{ template, want string }{
		"a string as it is, with braces and all": {"[{{s}}]", "[{{n}} {{/x}} <b>&\"'\n{{{]"},
		"with three braces it is the same":       {"[{{{s}}}{{&s}}]", "[{{n}} {{/x}} <b>&\"'\n{{{{{n}} {{/x}} <b>&\"'\n{{{]"},
		"numbers as they were written":           {"{{n}} {{i}}", "1.50 3"},
		"a condition":                            {"{{#b}}yes{{/b}}{{^b}}no{{/b}}{{^e}} none{{/e}}", "yes none"},
		"a default, and nothing":                 {"{{d}}[{{e}}]", "def[]"},
		"a list":                                 {"{{#l}}{{name}}={{price}};{{/l}}", "a=0.10;b=2;"},
		"a list as JSON":                         {"{{l}}", `[{"name":"a","price":0.10},{"name":"b","price":2}]`},
		"an object by its fields":                {"{{o.k.deep}}{{#o}}{{#k}}{{deep}}{{/k}}{{/o}}[{{o.z}}]", "xx[]"},
		"an object as JSON":                      {"{{o}}", `{"k":{"deep":"x"},"z":null}`},
		"other delimiters":                       {"{{=<% %>=}}{{n}} <%n%>", "{{n}} 1.50"},
		"a comment":                              {"a{{! not said }}b", "ab"},
		"lines of sections leave none":           {"a\n{{#b}}\nb\n{{/b}}\nc\n", "a\nb\nc\n"},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := Draft("p", read(t, messages(c.template, every)), json.RawMessage(given))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]PromptMessage{{"system", c.want}}, made.Messages); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAWrongVariableIsNamed(t *testing.T) {
	const declared = `{"name":{"type":"string","max_length":3,"enum":["ab","é€ü"]},"n":{"type":"integer","required":false},"l":{"type":"list","max_length":1,"required":false},"o":{"type":"object","required":false},"x":{"type":"number","enum":[1,2.5],"required":false}}`
	for given, want := range map[string]struct{ code, field string }{
		``:                          {"variable_missing", "name"},
		`{}`:                        {"variable_missing", "name"},
		`{"name":null}`:             {"variable_type", "name"},
		`{"name":1}`:                {"variable_type", "name"},
		`{"name":"abcd"}`:           {"variable_too_long", "name"},
		`{"name":"é€ü"}`:            {"", ""},
		`{"name":"abc"}`:            {"variable_not_allowed", "name"},
		`{"name":"ab","n":1.5}`:     {"variable_type", "n"},
		`{"name":"ab","n":"1"}`:     {"variable_type", "n"},
		`{"name":"ab","n":1e400}`:   {"variable_type", "n"},
		`{"name":"ab","n":3.0}`:     {"", ""},
		`{"name":"ab","n":null}`:    {"", ""},
		`{"name":"ab","l":[1,2]}`:   {"variable_too_long", "l"},
		`{"name":"ab","l":{}}`:      {"variable_type", "l"},
		`{"name":"ab","o":[]}`:      {"variable_type", "o"},
		`{"name":"ab","x":2.50}`:    {"", ""},
		`{"name":"ab","x":3}`:       {"variable_not_allowed", "x"},
		`{"name":"ab","nmae":"x"}`:  {"variable_unknown", "nmae"},
		`{"name":"ab","name":"ab"}`: {"duplicate_field", "name"},
		`[]`:                        {"variables_invalid", ""},
		`"name"`:                    {"variables_invalid", ""},
	} {
		_, err := Draft("p", read(t, messages("{{name}}", declared)), json.RawMessage(given))
		var code, field string
		if err != nil {
			f := fault.As(err)
			code, field = f.Code, strings.TrimPrefix(strings.TrimPrefix(f.Field, "prompt.variables"), ".")
			if f.Kind != fault.Invalid || !strings.Contains(f.Text, field) {
				t.Errorf("%s: %v", given, err)
			}
		}
		if code != want.code || field != want.field {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func TestAPromptThatCouldNotBeRenderedIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"messages":[]}`: "no messages",
		`{"messages":[{"role":"tool","content":"x"}]}`:                              `the role "tool"`,
		messages("{{x}}", `{}`):                                                     "there is no variable x",
		messages("{{#x}}a", `{"x":{"type":"list"}}`):                                "message 1",
		messages("{{x", `{"x":{"type":"list"}}`):                                    "message 1",
		messages("{{>secret}}", `{}`):                                               "no parts from elsewhere",
		messages("{{#l}}{{>secret}}{{/l}}", `{"l":{"type":"list"}}`):                "no parts from elsewhere",
		messages("{{.}}", `{}`):                                                     "outside of a section",
		messages("{{#b}}{{y}}{{/b}}", `{"b":{"type":"boolean"}}`):                   "there is no variable y",
		messages("{{#o}}{{anything}}{{.}}{{/o}}", `{"o":{"type":"object"}}`):        "",
		messages("", `{"a b":{"type":"string"}}`):                                   "cannot be a variable's name",
		messages("", `{"a":{"type":"text"}}`):                                       "there are string, number",
		messages("", `{"a":{"type":"number","max_length":3}}`):                      "max_length",
		messages("", `{"a":{"type":"number","default":"x"}}`):                       "the default of a",
		messages("", `{"a":{"type":"string","required":true,"default":"x"}}`):       "never be used",
		messages("", `{"a":{"type":"list","enum":[[1]]}}`):                          "enum",
		`{"messages":[{"role":"user","content":"x"}],"parameters":{"messages":[]}}`: "place of their own",
		`{"messages":[{"role":"user","content":"x"}],"parameters":{"stream":true}}`: "caller's to say",
	} {
		_, err := compile(read(t, text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSectionsWithinSectionsAreBounded(t *testing.T) {
	p := read(t, messages("{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}", `{"l":{"type":"list"}}`))
	given := `{"l":[` + strings.Repeat("1,", 5000) + `1]}`
	if _, err := Draft("p", p, json.RawMessage(given)); err == nil || fault.As(err).Code != "variables_too_many" {
		t.Errorf("%v", err)
	}
	p = read(t, messages("{{#l}}"+strings.Repeat("x", 2000)+"{{/l}}", `{"l":{"type":"list"}}`))
	if _, err := Draft("p", p, json.RawMessage(given)); err == nil || fault.As(err).Code != "prompt_too_large" {
		t.Errorf("%v", err)
	}
}

func TestSectionsDoNotStandDeepWithinOneAnother(t *testing.T) {
	nested := func(n int) *Prompt {
		text := strings.Repeat("{{#a}}", n) + strings.Repeat("{{/a}}", n)
		return &Prompt{Variables: map[string]Variable{"a": {Type: List}}, Messages: []PromptMessage{{Role: "user", Content: text}}}
	}
	if _, err := compile(nested(template.MaxNested)); err != nil {
		t.Error(err)
	}
	for _, n := range []int{template.MaxNested + 1, 5000, 80_000} {
		if _, err := compile(nested(n)); fault.As(err).Kind != fault.Invalid {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestTheSameContentHasTheSameHash(t *testing.T) {
	hash := func(text string) string {
		p := read(t, text)
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		_, hash, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	one := hash(`{"messages":[{"role":"user","content":"<x>"}],"parameters":{"a":{"y":1,"x":[1, 2]},"b":0.20}}`)
	if other := hash(`{"parameters":{"b":0.20,"a":{"x":[1,2],"y":1}},"variables":{},"messages":[{"content":"\u003cx>","role":"user"}]}`); other != one {
		t.Error("another spelling is another version")
	}
	if other := hash(`{"messages":[{"role":"user","content":"<x> "}],"parameters":{"a":{"y":1,"x":[1, 2]},"b":0.20}}`); other == one {
		t.Error("another content is the same version")
	}
}

func FuzzTemplates(f *testing.F) {
	for _, s := range []string{"{{a}}", "{{#a}}{{.}}{{/a}}", "{{=| |=}}|a|", "{{{a}}}", "{{&a}}{{!c}}", "{{#a.b}}{{^a}}{{/a}}{{/a.b}}", "{{", "{{}}", "{{#}}{{/}}", "{{{}}"} {
		f.Add(s, "{{a}}")
	}
	f.Fuzz(func(t *testing.T, template, value string) {
		for _, kind := range []string{String, List, Object} {
			given := map[string]any{String: value, List: []any{value}, Object: map[string]any{"b": value}}[kind]
			variables, err := json.Marshal(map[string]any{"a": given})
			if err != nil {
				t.Fatal(err)
			}
			p := &Prompt{Messages: []PromptMessage{{"user", template}, {"assistant", "fixed"}}, Variables: map[string]Variable{"a": {Type: kind}}}
			made, err := Draft("p", p, variables)
			if err != nil {
				continue
			}
			if len(made.Messages) != 2 || made.Messages[0].Role != "user" || made.Messages[1] != (PromptMessage{"assistant", "fixed"}) {
				t.Fatalf("%q with %q made %q", template, value, made.Messages)
			}
		}
	})
}
