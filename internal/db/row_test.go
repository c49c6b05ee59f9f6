package db

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARowSurvivesABackup(t *testing.T) {
	row := []any{nil, int64(math.MaxInt64), int64(math.MinInt64), 0.1, "", "line\nbreak \u2028 <é>", "\xff\x00", []byte{}, []byte{0, 255}}
	line, err := encodeRow(row)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeRow(line, len(row))
	if err != nil || cmp.Diff(row, got) != "" {
		t.Fatal(err, cmp.Diff(row, got))
	}
}

func FuzzDecodeRow(f *testing.F) {
	f.Add([]byte(`[null,1,-2.5,"a",{"bytes":"AA=="},{"text":"/w=="}]`))
	f.Add([]byte(`[[],true,{}]`))
	f.Add([]byte(`[{"bytes":"AA==","text":""}]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		for columns := range 8 {
			row, err := decodeRow(line, columns)
			if err != nil {
				continue
			}
			again, err := encodeRow(row)
			if err != nil {
				t.Fatal(err)
			}
			back, err := decodeRow(again, columns)
			if err != nil || cmp.Diff(row, back) != "" {
				t.Fatal(err, cmp.Diff(row, back))
			}
		}
	})
}
