package postgres

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

func TestValuesKeepTheirTypes(t *testing.T) {
	for _, c := range []struct {
		oid        uint32
		text, want string
	}{
		{pgtype.BoolOID, "t", "true"},
		{pgtype.Int8OID, "-9223372036854775808", "-9223372036854775808"},
		{pgtype.NumericOID, "12345678901234567890.10", "12345678901234567890.10"},
		{pgtype.NumericOID, "NaN", `"NaN"`},
		{pgtype.Float8OID, "1e+300", "1e+300"},
		{pgtype.Float8OID, "-Infinity", `"-Infinity"`},
		{pgtype.TextOID, "a \"b\" <c>\n\u2028", `"a \"b\" <c>\n\u2028"`},
		{pgtype.TextOID, "12", `"12"`},
		{pgtype.JSONBOID, `{"b": [1, 2.50, null], "a": "x y"}`, `{"b":[1,2.50,null],"a":"x y"}`},
		{pgtype.TimestamptzOID, "2026-11-25 08:45:14.12+00", `"2026-11-25T08:45:14.12Z"`},
		{pgtype.TimestamptzOID, "infinity", `"infinity"`},
		{pgtype.TimestamptzOID, "0044-03-15 00:00:00+00 BC", `"0044-03-15 00:00:00+00 BC"`},
		{pgtype.TimestampOID, "2026-11-25 08:45:14", `"2026-11-25T08:45:14Z"`},
		{pgtype.DateOID, "2026-11-25", `"2026-11-25"`},
		{pgtype.TextArrayOID, `{a,"b,c","say \"x\" \\",NULL,"NULL",""}`, `["a","b,c","say \"x\" \\",null,"NULL",""]`},
		{pgtype.Int4ArrayOID, "{{1,2},{3,NULL}}", "[[1,2],[3,null]]"},
		{pgtype.Int4ArrayOID, "{}", "[]"},
		{pgtype.BoolArrayOID, "{t,f}", "[true,false]"},
		{pgtype.Int4ArrayOID, "[0:1]={1,2}", `"[0:1]={1,2}"`}, // with bounds of its own
		{pgtype.JSONBArrayOID, `{"{\"a\": 1}"}`, `[{"a":1}]`},
		{999_999, "sad", `"sad"`}, // an enumeration
	} {
		if got := string(value(c.oid, []byte(c.text))); got != c.want || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s, not %s", c.text, got, c.want)
		}
	}
	row := encode([]column{{"z", pgtype.Int4OID, []byte("1")}, {"a \"b\"", pgtype.TextOID, nil}})
	if string(row) != "{\"z\":1,\"a \\\"b\\\"\":null}\n" {
		t.Errorf("%s", row)
	}
}

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	for _, values := range [][]string{{"1"}, {""}, {"a,b", "c"}, {"a", "b,c"}, {".json", ".json"}, {"%2C", "/", "é"}} {
		got, err := keyValues(itemKey(values))
		if err != nil || len(got) != len(values) {
			t.Fatalf("%q: %q %v", values, got, err)
		}
		for i := range got {
			if got[i] != values[i] {
				t.Errorf("%q: %q", values, got)
			}
		}
	}
	if itemKey([]string{"a,b", "c"}) == itemKey([]string{"a", "b,c"}) {
		t.Error("two keys are one document")
	}
}

// FuzzValue holds that whatever the database writes becomes JSON.
func FuzzValue(f *testing.F) {
	for _, text := range []string{"{a,\"b\",NULL}", "{{1},{2}}", "{\"", "{\\", "1e5", "2026-11-25 08:45:14+00", "{\"a\": 1}", "\xff"} {
		for _, oid := range []uint32{pgtype.TextArrayOID, pgtype.Int4ArrayOID, pgtype.JSONBArrayOID, pgtype.NumericOID, pgtype.TimestamptzOID, pgtype.JSONOID, pgtype.TextOID} {
			f.Add(oid, []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, oid uint32, text []byte) {
		if got := value(oid, text); !json.Valid(got) {
			t.Errorf("%d %q: %q is no JSON", oid, text, got)
		}
	})
}
