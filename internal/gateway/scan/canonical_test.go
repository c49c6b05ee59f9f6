package scan

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestOneFormForOneMeaning(t *testing.T) {
	for name, c := range map[string]struct{ a, b string }{
		"order of keys":   {`{"a":1,"b":[{"x":null,"y":"z"}]}`, `{"b":[{"y":"z","x":null}],"a":1}`},
		"spaces":          {" {\"a\" : [ 1 , 2 ] }\n", `{"a":[1,2]}`},
		"a key's escapes": {`{"\u0061":true}`, `{"a":true}`},
	} {
		one, err := Canonical(nil, []byte(c.a))
		if err != nil {
			t.Fatal(name, err)
		}
		other, err := Canonical(nil, []byte(c.b))
		if err != nil || string(one) != string(other) {
			t.Errorf("%s: %s and %s, %v", name, one, other, err)
		}
	}
	for _, pair := range [][2]string{{`{"a":1}`, `{"a":2}`}, {`[1,2]`, `[2,1]`}, {`{"a":"1"}`, `{"a":1}`}, {`{"a":"x "}`, `{"a":"x"}`}, {`{"a":{},"b":1}`, `{"a":{"b":1}}`}} {
		one, _ := Canonical(nil, []byte(pair[0]))
		other, _ := Canonical(nil, []byte(pair[1]))
		if string(one) == string(other) {
			t.Errorf("%s and %s have one form: %s", pair[0], pair[1], one)
		}
	}
	for _, bad := range []string{``, `{"a":1,"a":2}`, `{"x":[{"b":1,"\u0062":2}]}`, `{"a":}`, `{} {}`} {
		if got, err := Canonical(nil, []byte(bad)); err == nil {
			t.Errorf("%s has the form %s", bad, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b":[1,{"c":"\u00e9"}],"a":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		one, err := Canonical(nil, b)
		if err != nil {
			return
		}
		again, err := Canonical(nil, one)
		if err != nil || string(again) != string(one) {
			t.Fatalf("%q, then %q: %v", one, again, err)
		}
		var was, is any
		if json.Unmarshal(b, &was) == nil && (json.Unmarshal(one, &is) != nil || !reflect.DeepEqual(was, is)) {
			t.Fatalf("%q means something else than %q", one, b)
		}
	})
}
