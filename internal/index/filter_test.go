package index

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/fault"
)

func TestFilterWireShape(t *testing.T) {
	const wire = `{"type":"and","filters":[{"type":"eq","key":"type","value":"contract"},` +
		`{"type":"or","filters":[{"type":"gte","key":"date","value":1704067200},{"type":"in","key":"tags","value":["eu","sea",3,true]}]},` +
		`{"type":"ne","key":"signed","value":false},{"type":"eq","key":"empty","value":""},{"type":"nin","key":"x","value":[]}]}`
	var f Filter
	if err := json.Unmarshal([]byte(wire), &f); err != nil {
		t.Fatal(err)
	}
	want := Filter{Type: And, Filters: []Filter{
		{Type: Eq, Key: "type", Value: "contract"},
		{Type: Or, Filters: []Filter{{Type: Gte, Key: "date", Value: 1704067200.0}, {Type: In, Key: "tags", Value: []any{"eu", "sea", 3.0, true}}}},
		{Type: Ne, Key: "signed", Value: false}, {Type: Eq, Key: "empty", Value: ""}, {Type: Nin, Key: "x", Value: []any{}},
	}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Fatal(diff)
	}
	if b, err := json.Marshal(f); err != nil || string(b) != wire {
		t.Errorf("written as %s, %v", b, err)
	}
}

func TestTheEmptyFilterIsNull(t *testing.T) {
	f := Filter{Type: Eq, Key: "a", Value: 1.0}
	if err := json.Unmarshal([]byte(" null "), &f); err != nil || !f.Empty() || f.Check() != nil || !f.Match(nil) {
		t.Errorf("got %+v, %v", f, err)
	}
	if b, _ := json.Marshal(struct{ Filter Filter }{}); string(b) != `{"Filter":null}` {
		t.Errorf("got %s", b)
	}
}

func TestABadFilterIsRefusedWithItsPlace(t *testing.T) {
	deep, wide := `{"type":"eq","key":"a","value":1}`, `{"type":"or","filters":[`+strings.TrimSuffix(strings.Repeat(`{"type":"eq","key":"a","value":1},`, maxFilterNodes), ",")+`]}`
	for range maxFilterDepth {
		deep = `{"type":"and","filters":[` + deep + `]}`
	}
	for wire, field := range map[string]string{
		`[]`: "filter", `"eq"`: "filter", `{"type":"like","key":"a","value":"b"}`: "filter.type",
		`{"key":"a","value":1}`: "filter.type", `{"type":"eq","value":1}`: "filter.key", `{"type":"eq","key":"a"}`: "filter.value",
		`{"type":"eq","key":"a","value":null}`: "filter.value", `{"type":"eq","key":"a","value":{}}`: "filter.value",
		`{"type":"eq","key":"a","value":[1]}`: "filter.value", `{"type":"in","key":"a","value":1}`: "filter.value",
		`{"type":"in","key":"a","value":[1,[2]]}`: "filter.value[1]", `{"type":"gt","key":"a","value":"b"}`: "filter.value",
		`{"type":"eq","key":"a","value":1,"op":"x"}`: "filter", `{"type":"and"}`: "filter.filters", `{"type":"and","filters":[]}`: "filter.filters",
		`{"type":"and","key":"a","filters":[{"type":"eq","key":"a","value":1}]}`:                               "filter",
		`{"type":"or","filters":[{"type":"eq","key":"a","value":1},{"type":"and","filters":[{"type":"no"}]}]}`: "filter.filters[1].filters[0].type",
		`{"type":"eq","key":"` + strings.Repeat("k", maxKeyBytes+1) + `","value":1}`:                           "filter.key",
		`{"type":"eq","key":"a","value":"` + strings.Repeat("v", maxValueBytes+1) + `"}`:                       "filter.value",
		deep: strings.Repeat(".filters[0]", maxFilterDepth)[1:], wide: "filter.filters[255]",
	} {
		var f Filter
		err := json.Unmarshal([]byte(wire), &f)
		var refused *fault.Fault
		if !errors.As(err, &refused) || refused.Kind != fault.Invalid || !strings.HasSuffix(refused.Field, field) {
			t.Errorf("%.80s: want a refusal at %s, got %+v", wire, field, err)
		}
	}
	for _, wire := range []string{`{"type":"eq"`, `{"type":"eq","key":"a","value":1} x`} {
		var f Filter
		if err := json.Unmarshal([]byte(wire), &f); err == nil {
			t.Errorf("%.80s was accepted", wire)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(`{"type":"and","filters":[{"type":"nin","key":"a","value":["x",1,true]},{"type":"lt","key":"b","value":-1e9}]}`), "a", "x")
	f.Add([]byte(`null`), "", "")
	f.Add([]byte(`{"type":"eq","key":"a","value":"x"}`), "a", "x")
	f.Fuzz(func(t *testing.T, wire []byte, key, value string) {
		var filter Filter
		if json.Unmarshal(wire, &filter) != nil {
			return
		}
		if err := filter.Check(); err != nil {
			t.Fatalf("read, but then refused: %v", err)
		}
		attributes := map[string]any{key: value, "b": 1.0, "c": []string{key, value}}
		b, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		var again Filter
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if filter.Match(attributes) != again.Match(attributes) {
			t.Fatalf("%s means something else after being written", b)
		}
	})
}

func TestMatch(t *testing.T) {
	attributes := map[string]any{"type": "contract", "date": 100.0, "tags": []string{"eu", "sea"}, "signed": true}
	for _, c := range []struct {
		op    Op
		key   string
		value any
		want  bool
	}{
		{Eq, "type", "contract", true}, {Eq, "type", "Contract", false}, {Ne, "type", "contract", false}, {Ne, "type", "x", true},
		{Eq, "missing", "x", false}, {Ne, "missing", "x", true}, {Gt, "missing", 1.0, false}, {Nin, "missing", []any{"x"}, true}, {In, "missing", []any{"x"}, false},
		{Eq, "tags", "sea", true}, {Ne, "tags", "sea", false}, {Eq, "tags", 1.0, false}, {In, "tags", []any{"x", "eu"}, true}, {Nin, "tags", []any{"eu"}, false},
		{Gt, "date", 100.0, false}, {Gte, "date", 100.0, true}, {Lt, "date", 100.5, true}, {Lte, "date", 99.0, false}, {Gt, "type", 1.0, false}, {Gt, "tags", 1.0, false},
		{Eq, "signed", true, true}, {Eq, "signed", "true", false}, {Eq, "date", "100", false}, {In, "type", []any{}, false}, {Nin, "type", []any{}, true},
	} {
		if got := (Filter{Type: c.op, Key: c.key, Value: c.value}).Match(attributes); got != c.want {
			t.Errorf("%s %s %v: %v", c.key, c.op, c.value, got)
		}
	}
	yes, no := Filter{Type: Eq, Key: "type", Value: "contract"}, Filter{Type: Eq, Key: "type", Value: "x"}
	for _, c := range []struct {
		f    Filter
		want bool
	}{
		{Filter{Type: And, Filters: []Filter{yes, yes}}, true}, {Filter{Type: And, Filters: []Filter{yes, no}}, false},
		{Filter{Type: Or, Filters: []Filter{no, yes}}, true}, {Filter{Type: Or, Filters: []Filter{no, no}}, false},
	} {
		if c.f.Match(attributes) != c.want {
			t.Errorf("%+v: not %v", c.f, c.want)
		}
	}
}
