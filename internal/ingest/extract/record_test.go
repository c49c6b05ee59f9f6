package extract

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// parts is what a catalogue of parts says of its records.
func parts(change ...func(*Records)) *Records {
	r := &Records{
		Schema: map[string]any{"type": "object", "required": []any{"sku", "name"}, "properties": map[string]any{
			"sku": map[string]any{"type": "string", "pattern": "^[A-Z]-[0-9]+$"}, "name": map[string]any{"type": "string"}, "price": map[string]any{"type": "number", "minimum": 0},
			"stocked": map[string]any{"type": "boolean"}, "visibility": map[string]any{"type": "string"}, "made": map[string]any{"type": "string"}}},
		Title: "name", Key: []string{"sku"},
	}
	for _, fn := range change {
		fn(r)
	}
	return r
}

func readRecords(t testing.TB, r *Records, name, content string, change ...func(*request)) extracted {
	t.Helper()
	return inProcess(t, Default(), name, "", []byte(content), append([]func(*request){func(q *request) { q.Records = r }}, change...)...)
}

func skipping(r *Records) { r.OnInvalid = InvalidSkip }

func TestRecordsOfEveryFormatBecomeText(t *testing.T) {
	template := parts(func(r *Records) {
		r.Template = "## {{name}}\n{{sku}} costs {{price}}.{{#stocked}} In stock.{{/stocked}}\n{{#sizes}}\n- {{w}} by {{h}}\n{{/sizes}}"
	})
	book := string(writeXLSX(t, func(b *testBook) {
		b.rows("Sheet1", []any{"sku", "name", "price", "stocked"}, []any{"A-1", "Valve", 12.5, "true"}, []any{"B-2", "Pump"})
	}))
	for name, c := range map[string]struct {
		rules *Records
		file  string
		text  string
		want  []Block
	}{
		"an object, without a template": {parts(), "a.json", `{"sku":"A-1","sizes":[{"w":1,"h":2}],"name":"Valve","more":{"deep":true}}`,
			[]Block{{Text: "sku: A-1\nsizes[0].w: 1\nsizes[0].h: 2\nname: Valve\nmore.deep: true", Anchor: "$", Title: "Valve", Key: `["A-1"]`}}},
		"an object, by a template": {template, "a.json", `{"sku":"A-1","sizes":[{"w":1,"h":2},{"w":3,"h":4}],"name":"Valve","price":12.50,"stocked":true}`,
			[]Block{{Text: "## Valve\nA-1 costs 12.50. In stock.\n- 1 by 2\n- 3 by 4", Anchor: "$", Title: "Valve", Key: `["A-1"]`}}},
		"chosen fields": {parts(func(r *Records) { r.Text = []string{"name", "/more/deep", "nothing"} }), "a.json", `{"sku":"A-1","name":"Valve","more":{"deep":[1,2]}}`,
			[]Block{{Text: "name: Valve\nmore.deep: 1, 2", Anchor: "$", Title: "Valve", Key: `["A-1"]`}}},
		"an array": {template, "a.json", `[{"sku":"A-1","name":"Valve"}, {"sku":"B-2","name":"Pump","price":0}]`,
			[]Block{{Text: "## Valve\nA-1 costs .", Anchor: "$[0]", Title: "Valve", Key: `["A-1"]`}, {Text: "## Pump\nB-2 costs 0.", Anchor: "$[1]", Title: "Pump", Key: `["B-2"]`}}},
		"lines": {template, "a.ndjson", "{\"sku\":\"A-1\",\"name\":\"Valve\"}\n\n{\"sku\":\"B-2\",\"name\":\"Pump\"}\n",
			[]Block{{Text: "## Valve\nA-1 costs .", Anchor: "line 1", Title: "Valve", Key: `["A-1"]`}, {Text: "## Pump\nB-2 costs .", Anchor: "line 3", Title: "Pump", Key: `["B-2"]`}}},
		"lines under another name": {parts(func(r *Records) { r.Text = []string{"sku"} }), "a.json", "{\"sku\":\"A-1\",\"name\":\"Valve\"}\n{\"sku\":\"B-2\",\"name\":\"Pump\"}",
			[]Block{{Text: "sku: A-1", Anchor: "line 1", Title: "Valve", Key: `["A-1"]`}, {Text: "sku: B-2", Anchor: "line 2", Title: "Pump", Key: `["B-2"]`}}},
		"rows, whose cells are what the schema wants": {template, "a.csv", "sku;name;price;stocked\nA-1;Valve;12.50;TRUE\nB-2;\"Pump; big\";;false\n",
			[]Block{{Text: "## Valve\nA-1 costs 12.50. In stock.", Anchor: "line 2", Title: "Valve", Key: `["A-1"]`}, {Text: "## Pump; big\nB-2 costs .", Anchor: "line 3", Title: "Pump; big", Key: `["B-2"]`}}},
		"rows of a sheet": {template, "a.xlsx", book,
			[]Block{{Text: "## Valve\nA-1 costs 12.5. In stock.", Anchor: "Sheet1, row 2", Title: "Valve", Key: `["A-1"]`}, {Text: "## Pump\nB-2 costs .", Anchor: "Sheet1, row 3", Title: "Pump", Key: `["B-2"]`}}},
		"without a title the key is one": {parts(func(r *Records) { r.Title, r.Key = "", []string{"sku", "name"} }), "a.tsv", "sku\tname\nA-1\tValve\n",
			[]Block{{Text: "sku: A-1\nname: Valve", Anchor: "line 2", Title: "sku: A-1, name: Valve", Key: `["A-1","Valve"]`}}},
		"values are never a template": {template, "a.json", `{"sku":"A-1","name":"{{price}} {{>x}} {{#sku}}"}`,
			[]Block{{Text: "## {{price}} {{>x}} {{#sku}}\nA-1 costs .", Anchor: "$", Title: "{{price}} {{>x}} {{#sku}}", Key: `["A-1"]`}}},
	} {
		t.Run(name, func(t *testing.T) {
			if warnings, err := c.rules.Check(); err != nil {
				t.Fatal(warnings, err)
			}
			x := readRecords(t, c.rules, c.file, c.text)
			if x.err != nil {
				t.Fatal(x.err)
			}
			var got []Block
			for _, b := range x.blocks {
				if b.Kind == KindRecord {
					got = append(got, b)
				}
			}
			for i := range c.want {
				c.want[i].Kind, c.want[i].Whole = KindRecord, true
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v\nnot %+v", got, c.want)
			}
			if x.Records == nil || x.Records.Records != len(c.want) || x.Records.LeftOut != 0 {
				t.Errorf("%+v", x.Records)
			}
		})
	}
}

func TestARecordThatIsWrongFailsItsFileOrIsLeftOut(t *testing.T) {
	const text = "sku,name,price\nA-1,Valve,3\nA-2,Pipe,cheap\nbad,,4\nA-1,Valve again,1\n"
	x := readRecords(t, parts(), "a.csv", text)
	want := `3 of 4 records of "a.csv" are not as they must be: record 2 (line 3) at /price (string): must be number; record 3 (line 4) at /name: is missing; ` +
		`record 3 (line 4) at /sku (string): does not match the pattern ^[A-Z]-[0-9]+$; record 4 (line 5) at /sku: record 1 has this key already`
	if x.code() != CodeRecord || x.err.Error() != want || !Permanent(x.err) {
		t.Errorf("%v", x.err)
	}
	x = readRecords(t, parts(skipping), "a.csv", text)
	if x.err != nil || !x.Partial || len(x.blocks) != 1 || len(x.Warnings) != 1 || !strings.Contains(x.Warnings[0], "3 of 4 records were left out: record 2 (line 3) at /price") {
		t.Errorf("%v %+v", x.err, x.Result)
	}
	x = readRecords(t, parts(), "a.csv", text, func(q *request) { q.Preview = true })
	if x.err != nil || x.Records.Records != 4 || x.Records.LeftOut != 3 || len(x.Records.Failures) != 4 || x.Records.Failures[0].Pointer != "/price" || x.Records.Failures[0].Type != "string" {
		t.Errorf("%v %+v", x.err, x.Records)
	}
	for name, c := range map[string]struct{ file, text, want string }{
		"an array cut short":    {"a.json", `[{"sku":"A-1","name":"x"},{"sku`, "not valid JSON at line 1"},
		"an object cut short":   {"a.json", `{"sku":"A-1","name`, "not valid JSON at line 1"},
		"text after the array":  {"a.json", `[{"sku":"A-1","name":"x"}] x`, "not valid JSON"},
		"a line cut short":      {"a.jsonl", "{\"sku\":\"A-1\",\"name\":\"x\"}\n{\"sku\":", "record 2 (line 2) at its top: cannot be read as JSON"},
		"a scalar for a record": {"a.json", `[7]`, "record 1 ($[0]) at its top (number): must be an object"},
		"nothing":               {"a.json", `[]`, "holds no records"},
		"a header alone":        {"a.csv", "sku,name\n", "holds no records"},
		"a deep one":            {"a.json", `{"sku":"A-1","name":"x","d":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`, "nested deeper"},
		"a key that is a list":  {"a.json", `{"sku":["A-1"],"name":"x"}`, "/sku (list): must be string"},
	} {
		t.Run(name, func(t *testing.T) {
			x := readRecords(t, parts(), c.file, c.text)
			if x.err == nil || !strings.Contains(x.err.Error(), c.want) || len(x.err.Error()) > 2000 {
				t.Errorf("%v", x.err)
			}
		})
	}
	// With skip, what was read before a break is kept; what is all wrong fails.
	x = readRecords(t, parts(skipping), "a.json", `[{"sku":"A-1","name":"x"},{"sku`)
	if x.err != nil || !x.Partial || len(x.blocks) != 1 {
		t.Errorf("%v %+v", x.err, x.Result)
	}
	if x = readRecords(t, parts(skipping), "a.csv", "sku,name\nx,y\n"); x.code() != CodeRecord {
		t.Errorf("%v", x.err)
	}
	// A thousand failures are counted, and the first are told.
	x = readRecords(t, parts(), "a.csv", "sku,name\n"+strings.Repeat("x,y\n", 1000))
	if x.err == nil || !strings.Contains(x.err.Error(), "1000 of 1000 records") || !strings.HasSuffix(x.err.Error(), "and 980 more") || len(x.err.Error()) > 4000 {
		t.Errorf("%v", x.err)
	}
}

func TestRecordsGiveMetadata(t *testing.T) {
	rules := parts(func(r *Records) {
		r.Metadata = map[string]string{"tier": "visibility", "date": "made", "tags": "labels", "country": "/maker/country", "price": "price", "type": "kind"}
	})
	x := readRecords(t, rules, "7.json", `{"sku":"A-1","name":"Valve","visibility":"Confidential","made":"2026-03-01T10:00:00Z","labels":["a","b",3],"maker":{"country":"DK"},"price":2.5,"kind":7}`)
	want := map[string]any{"tier": "confidential", "date": "2026-03-01T10:00:00Z", "tags": []any{"a", "b", "3"}, "country": "DK", "price": 2.5, "type": "7"}
	if x.err != nil || !reflect.DeepEqual(x.Records.Metadata, want) || x.Title != "Valve" {
		t.Errorf("%v %q %v", x.err, x.Title, x.Records)
	}
	// Of several, the document has what all of them say, and the highest tier.
	x = readRecords(t, rules, "b.json", `[{"sku":"A-1","name":"a","visibility":"public","kind":"x","made":"2026-01-01"},{"sku":"A-2","name":"b","visibility":"restricted","kind":"x"},{"sku":"A-3","name":"c","visibility":"internal","kind":"x","made":"2026-01-01"}]`)
	if want = map[string]any{"tier": "restricted", "type": "x"}; x.err != nil || !reflect.DeepEqual(x.Records.Metadata, want) || x.Title != "b" {
		t.Errorf("%v %q %v", x.err, x.Title, x.Records)
	}
	for _, text := range []string{`{"sku":"A-1","name":"a"}`, `{"sku":"A-1","name":"a","visibility":"secret"}`, `{"sku":"A-1","name":"a","visibility":3}`, `{"sku":"A-1","name":"a","visibility":""}`,
		`[{"sku":"A-1","name":"a","visibility":"public"},{"sku":"A-2","name":"b"}]`} {
		if x := readRecords(t, rules, "a.json", text); x.code() != CodeRecord || !strings.Contains(x.err.Error(), "/visibility") {
			t.Errorf("%s: %v", text, x.err)
		}
	}
}

func TestRecordsThatCannotBeUsedAreRefusedWithTheirPlace(t *testing.T) {
	closed := func(r *Records) { r.Schema["additionalProperties"] = false }
	for want, change := range map[string]func(*Records){
		"template: line 2: ":      func(r *Records) { r.Template = "a\n{{#x}" },
		"has no closing tag":      func(r *Records) { r.Template = "{{#x}}" },
		"no parts from elsewhere": func(r *Records) { r.Template = "{{>x}}" },
		`template: line 3: {{nam}}: the schema has no field "nam"`: func(r *Records) { closed(r); r.Template = "{{name}}\n\n{{#nam}}x{{/nam}}" },
		`title: the schema has no field "titel"`:                   func(r *Records) { closed(r); r.Title = "titel" },
		`metadata.tier: the schema has no field "tier"`:            func(r *Records) { closed(r); r.Metadata = map[string]string{"tier": "/tier/x"} },
		"key.1: ":               func(r *Records) { r.Key = []string{"sku", "/a~9"} },
		"template and text":     func(r *Records) { r.Template, r.Text = "x", []string{"y"} },
		"on_invalid: there are": func(r *Records) { r.OnInvalid = "ignore" },
		"schema: ":              func(r *Records) { r.Schema = map[string]any{"type": 7} },
		"at most 65536":         func(r *Records) { r.Template = strings.Repeat("x", maxTemplateBytes+1) },
	} {
		if _, err := parts(change).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
	warnings, err := parts(func(r *Records) { r.Template = "{{nam.x}}" }).Check()
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], `says nothing of the fields "nam" (template: line 1: {{nam}})`) {
		t.Errorf("%v %v", warnings, err)
	}
}

func TestATemplateCannotMakeARecordWithoutBounds(t *testing.T) {
	items := strings.Repeat("1,", 5000) + "1"
	for template, want := range map[string]string{
		"{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}":         "too many items",
		"{{#l}}" + strings.Repeat("x", 300) + "{{/l}}": "more than 1048576 bytes",
		"{{#none}}x{{/none}}":                          "becomes no text",
	} {
		began := time.Now()
		x := readRecords(t, parts(func(r *Records) { r.Template = template }), "a.json", `{"sku":"A-1","name":"x","l":[`+items+`]}`)
		if x.code() != CodeRecord || !strings.Contains(x.err.Error(), want) || time.Since(began) > 5*time.Second {
			t.Errorf("%v after %s", x.err, time.Since(began))
		}
	}
}

func TestRecordsPassThroughTheProcess(t *testing.T) {
	e := newExtractor(t, testConfig("serve"))
	var b strings.Builder
	b.WriteString("sku,name\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "A-%d,Part %d\n", i, i)
	}
	path := file(t, "a.csv", []byte(b.String()))
	blocks := 0
	result, err := e.ExtractRecords(t.Context(), path, "a.csv", "", parts(), func(p Page) error { blocks += len(p.Blocks); return nil })
	if err != nil || blocks != 3000 || result.Records.Records != 3000 {
		t.Fatalf("%v: %d blocks, %+v", err, blocks, result.Records)
	}
	// Records that are told otherwise are read otherwise by the same process, and none at all as they are.
	if _, err := e.ExtractRecords(t.Context(), path, "a.csv", "", parts(func(r *Records) { r.Key = []string{"id"} }), func(Page) error { return nil }); err == nil {
		t.Error("no key was missed")
	}
	x := extractFile(t, e, path, "a.csv")
	if x.err != nil || x.Records != nil || x.blocks[0].Whole {
		t.Errorf("%v %+v", x.err, x.blocks[0])
	}
	// Other files are what they are.
	md := file(t, "a.md", []byte("# Title\n\nText."))
	if result, err := e.ExtractRecords(t.Context(), md, "a.md", "", parts(), func(Page) error { return nil }); err != nil || result.Records != nil || result.Title != "Title" {
		t.Errorf("%v %+v", err, result)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`[{"sku":"A-1","name":"x","visibility":"public","l":[[1],{"a":null}]},{"sku":2}]`), "{{#l}}{{.}}{{/l}}{{name}}")
	f.Add([]byte("sku,name,visibility\nA-1,x,public\n\"A-2,y,,\n"), "")
	f.Add([]byte("{\"sku\":\"A-1\",\"name\":\"x\"}\n{\"sku\":\"A-1\"} x\n7\n1e99999"), "{{sku.x}}{{^l}}-{{/l}}")
	f.Fuzz(func(t *testing.T, content []byte, template string) {
		if len(content) == 0 {
			return
		}
		for _, on := range []string{InvalidDeadLetter, InvalidSkip} {
			rules := parts(func(r *Records) {
				r.Template, r.OnInvalid, r.Metadata = template, on, map[string]string{"tier": "visibility", "x": "/l/0"}
			})
			if _, err := rules.Check(); err != nil {
				return
			}
			for _, name := range []string{"a.json", "a.jsonl", "a.csv"} {
				x := readRecords(t, rules, name, string(content))
				if x.code() == "internal" || x.err != nil && strings.Contains(x.err.Error(), "only damaged files do") {
					t.Fatalf("%s: %v", name, x.err)
				}
				if x.err == nil && x.Records != nil {
					if left := x.Records.LeftOut; on == InvalidDeadLetter && left > 0 || x.Partial != (left > 0) && !x.Partial {
						t.Fatalf("%s: %+v", name, x.Records)
					}
					if x.Records.Metadata["tier"] == nil {
						t.Fatalf("%s: a document without a tier: %+v", name, x.Records)
					}
				}
				for _, b := range x.blocks {
					if b.Kind == KindRecord && (b.Text == "" || !b.Whole && x.Records != nil || len(b.Title) > maxRecordTitle || b.Key != "" && !json.Valid([]byte(b.Key))) {
						t.Fatalf("%s: %+v", name, b)
					}
				}
			}
		}
	})
}
