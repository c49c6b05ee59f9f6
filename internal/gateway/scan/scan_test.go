package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWhatIsNotJSONIsSaidWithItsPlace(t *testing.T) {
	for _, c := range []struct {
		text   string
		offset int
	}{
		{``, 0}, {`  `, 2}, {`{`, 1}, {`{"a"`, 4}, {`{"a":`, 5}, {`{"a":1`, 6}, {`{"a":1,}`, 7}, {`[1,]`, 3}, {`[1 2]`, 3}, {`{a:1}`, 1},
		{`{"a" 1}`, 5}, {`01`, 0}, {`1.`, 0}, {`-`, 0}, {`1e`, 0}, {`+1`, 0}, {`tru`, 0}, {`nulL`, 0}, {`"abc`, 0}, {`"a\x"`, 2}, {`"a\u12g4"`, 2},
		{"\"a\nb\"", 2}, {"\"0123456789\x01\"", 11}, {`{} {}`, 3}, {`[}`, 1}, {`{"a":1]`, 6}, {strings.Repeat("[", 300), 256},
	} {
		var where *Error
		if err := Valid([]byte(c.text)); !errors.As(err, &where) || where.Offset != c.offset {
			t.Errorf("%q: %v, want an error at %d", c.text, err, c.offset)
		}
	}
}

func TestObjectsAndArraysAreWalked(t *testing.T) {
	text := []byte(` { "a" : 1 , "b\u0062" : [ 1, "x", {"y":null} ] , "c":{} , "d":"\"" } `)
	var got []string
	m := Object(text)
	for m.Next() {
		got = append(got, string(m.Key)+"="+string(m.Value))
		if string(text[m.Offset:m.Offset+len(m.Value)]) != string(m.Value) {
			t.Errorf("%s is not at %d", m.Value, m.Offset)
		}
	}
	if want := []string{`a=1`, `bb=[ 1, "x", {"y":null} ]`, `c={}`, `d="\""`}; m.Err() != nil || !slices.Equal(got, want) {
		t.Fatalf("%q %v", got, m.Err())
	}
	got = nil
	a := Array([]byte(`[1, "x" ,{"y":[2]}]`))
	for a.Next() {
		got = append(got, string(a.Value))
	}
	if a.Err() != nil || strings.Join(got, " ") != `1 "x" {"y":[2]}` {
		t.Fatal(got, a.Err())
	}
	for _, other := range []string{``, `[]`, `null`, `"x"`, `{"a":1}x`, `{"a":1`} {
		m := Object([]byte(other))
		for m.Next() {
		}
		if m.Err() == nil || m.Next() {
			t.Errorf("%q passes as an object", other)
		}
	}
}

func TestValuesAreRead(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-7": -7, "3.0": 3, "1e3": 1000, "9007199254740991": 9007199254740991} {
		if n, ok := Int([]byte(text)); !ok || n != want {
			t.Errorf("%s is %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "1.5", "1e30", `"1"`, "null", "true", "Infinity"} {
		if n, ok := Int([]byte(text)); ok {
			t.Errorf("%s is %d", text, n)
		}
	}
	if s, ok := Text([]byte(`"a\u00e9\ud83d\ude00\n"`)); !ok || s != "aé😀\n" {
		t.Errorf("%q", s)
	}
	var all []string
	n := Strings([]byte(`[{"key":"a","x":["b",1,2.5]},"c\n",null,true]`), func(raw []byte) { all = append(all, string(raw)) })
	if n != 2 || strings.Join(all, " ") != `a b c\n` {
		t.Errorf("%d %q", n, all)
	}
}

// Whatever it is given, the scanner agrees with the standard library on what is JSON, and on what an object holds.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":"\u00e9\\"}],"c":-1.5e+7}`, `[]`, `""`, `nul`, `{"a":1,"a":2}`, "\x00", `"\ud800"`, strings.Repeat(`{"a":`, 50), ` 1 `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Valid(b)
		if utf8.Valid(b) && bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) < MaxDepth && (err == nil) != json.Valid(b) {
			t.Fatalf("%q: %v, the standard library says %v", b, err, json.Valid(b))
		}
		m := Object(b)
		got := map[string]json.RawMessage{}
		for m.Next() {
			got[string(m.Key)] = m.Value
			if Valid(m.Value) != nil {
				t.Fatalf("%q has the value %q", b, m.Value)
			}
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(b, &want) == nil && want != nil && err == nil {
			if m.Err() != nil || len(got) != len(want) {
				t.Fatalf("%q: %d members, want %d: %v", b, len(got), len(want), m.Err())
			}
			for k := range want {
				if !bytes.Equal(bytes.TrimSpace(want[k]), got[k]) {
					t.Fatalf("%q: %q is %q, want %q", b, k, got[k], want[k])
				}
			}
		}
		if err == nil {
			Strings(bytes.TrimSpace(b), func([]byte) {})
		}
		Prefix(b)
	})
}

func BenchmarkValid(b *testing.B) {
	text := []byte(`{"model":"chat","messages":[{"role":"user","content":"` + strings.Repeat("Where is the parcel? ", 20) + `"}]}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if Valid(text) != nil {
			b.Fatal()
		}
	}
}
