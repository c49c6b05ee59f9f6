package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEverythingThatIsWrongIsSaidWithItsPlace(t *testing.T) {
	const rules = `{"type":"object","required":["sku","name"],"additionalProperties":false,"properties":{"sku":{"type":"string","pattern":"^A"},"name":{"type":"string"},
		"n":{"type":"integer","minimum":3},"day":{"type":"string","format":"date"},"a/b~":{"enum":[1,2]},"list":{"type":"array","items":{"type":"number"}},"either":{"anyOf":[{"type":"string"},{"type":"boolean"}]},"never":false}}`
	s, err := Compile(decoded(t, rules).(map[string]any))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"sku":"A1","name":"x","n":3,"day":"2026-01-02","a/b~":2,"list":[1,2.5],"either":true}`: ``,
		`{"sku":"B1"}`:                             `/name: is missing; /sku (string): does not match the pattern ^A`,
		`{"sku":7,"name":null}`:                    `/name (null): must be string; /sku (number): must be string`,
		`{"sku":"A","name":"x","n":2.5}`:           `/n (number): must be integer`,
		`{"sku":"A","name":"x","n":2}`:             `/n (number): minimum: got 2, want 3`,
		`{"sku":"A","name":"x","day":"secret"}`:    `/day (string): is not a valid date`,
		`{"sku":"A","name":"x","a/b~":3}`:          `/a~1b~0 (number): value must be one of 1, 2`,
		`{"sku":"A","name":"x","list":[1,{},"x"]}`: `/list/1 (object): must be number; /list/2 (string): must be number`,
		`{"sku":"A","name":"x","either":1}`:        `/either (number): is of none of the forms that it may have; of the first, /either (number): must be string`,
		`{"sku":"A","name":"x","more":1}`:          `/more (number): is not among the fields that there may be`,
		`{"sku":"A","name":"x","never":1}`:         `/never (number): must not be there`,
		`[]`:                                       `its top (list): must be object`,
		`{"sku":"A","name":"x","n":1e999999999}`:   `/n (number): the number is too large to be looked at`,
	} {
		failures, more := Check(s, decoded(t, text), 10)
		said := map[string]bool{}
		for _, f := range failures {
			said[f.String()] = true
		}
		n := 0
		if want != "" {
			n = strings.Count(want, "; /") + 1
		}
		for _, one := range strings.Split(want, "; /") {
			if want != "" && !said[one] && !said["/"+one] && !said[want] {
				t.Errorf("%s: %v lacks %q", text, failures, one)
			}
		}
		if strings.Contains(want, "of none") {
			n = 1
		}
		if len(failures) != n || more != 0 {
			t.Errorf("%s: %d failures, %d more: %v", text, len(failures), more, failures)
		}
	}
}

func TestFailuresAreBounded(t *testing.T) {
	s, err := Compile(map[string]any{"items": map[string]any{"type": "string"}})
	if err != nil {
		t.Fatal(err)
	}
	if failures, more := Check(s, decoded(t, "["+strings.Repeat("1,", 999)+"1]"), 20); len(failures) != 20 || more != 980 {
		t.Errorf("%d and %d more", len(failures), more)
	}
}

func TestASchemaReachesNothingOutside(t *testing.T) {
	for _, ref := range []string{"file:///etc/passwd", "http://127.0.0.1:1/x.json", "other.json"} {
		if _, err := Compile(map[string]any{"$ref": ref}); err == nil {
			t.Errorf("%s was taken", ref)
		}
	}
}

func TestAReferenceIsANameOrAPointer(t *testing.T) {
	value := decoded(t, `{"a":{"b":[10,20]},"unit price":3,"/x":4,"":5}`)
	for text, want := range map[string]string{"unit price": "3", "/a/b/1": "20", "/~1x": "4", "/a/b/01": "", "/a/c": "", "/a/b/2": "", "a": "map[b:[10 20]]"} {
		pointer, err := Reference(text)
		if err != nil {
			t.Fatal(err)
		}
		found, ok := Find(value, pointer)
		if ok != (want != "") || ok && fmt.Sprint(found) != want {
			t.Errorf("%s is %v", text, found)
		}
	}
	for _, text := range []string{"", "/", "/a~2", "/a~"} {
		if _, err := Reference(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
