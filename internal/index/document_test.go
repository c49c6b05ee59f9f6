package index

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

func one(v ...float32) []Chunk { return []Chunk{{ID: "c", Vector: v}} }

func TestNormalDocuments(t *testing.T) {
	got, dimensions, err := Normal([]Document{
		{ID: "a", Tier: caller.Public, Chunks: one(9)},
		{ID: "b", Tier: caller.None, Attributes: map[string]any{"of": "a removed document"}},
		{ID: "a", Tier: caller.Internal, Attributes: map[string]any{"n": 3, "f": float32(0.5), "l": []any{"x", "y"}, "e": []string{}, "b": true}, Chunks: one(1, 2)},
		{ID: "z", Tier: caller.Public, Chunks: one(0, 0)},
	}, 0)
	want := []Document{
		{ID: "b"},
		{ID: "a", Tier: caller.Internal, Attributes: map[string]any{"n": 3.0, "f": 0.5, "l": []string{"x", "y"}, "e": []string{}, "b": true}, Chunks: one(1, 2)},
		{ID: "z", Tier: caller.Public, Attributes: map[string]any{}, Chunks: []Chunk{{ID: "c"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" || dimensions != 2 || err != nil {
		t.Errorf("%d, %v (-want +got):\n%s", dimensions, err, diff)
	}
}

func TestABadDocumentIsRefused(t *testing.T) {
	inf := float32(math.Inf(1))
	many := map[string]any{}
	for i := range maxAttributes + 1 {
		many[strings.Repeat("k", i+1)] = true
	}
	long := strings.Repeat("x", maxValueBytes+1)
	with := func(a map[string]any) Document {
		return Document{ID: "a", Tier: caller.Public, Attributes: a, Chunks: one(1)}
	}
	for what, d := range map[string]Document{
		"no id": {Tier: caller.Public, Chunks: one(1)}, "a long id": {ID: long, Tier: caller.Public, Chunks: one(1)},
		"no tier": {ID: "a", Chunks: one(1)}, "an infinity": {ID: "a", Tier: caller.Public, Chunks: one(1, inf)},
		"NaN": {ID: "a", Tier: caller.Public, Chunks: one(inf - inf)}, "two lengths": {ID: "a", Tier: caller.Public, Chunks: []Chunk{{ID: "1", Vector: []float32{1}}, {ID: "2", Vector: []float32{1, 2}}}},
		"a huge vector": {ID: "a", Tier: caller.Public, Chunks: one(make([]float32, MaxDimensions+1)...)}, "a chunk twice": {ID: "a", Tier: caller.Public, Chunks: append(one(1), one(1)...)},
		"too many attributes": with(many), "a long value": with(map[string]any{"a": long}), "no key": with(map[string]any{"": 1}),
		"a long item": with(map[string]any{"a": []string{long}}), "a list of bools": with(map[string]any{"a": []any{true}}),
		"too long a list": with(map[string]any{"a": make([]string, maxListItems+1)}), "NaN as attribute": with(map[string]any{"a": math.NaN()}), "nil": with(map[string]any{"a": nil}),
	} {
		if _, _, err := Normal([]Document{d}, 0); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := Normal([]Document{with(nil)}, 2); !fault.Is(err, fault.Invalid) {
		t.Errorf("another length than the space: %v", err)
	}
}

func TestNormalQuery(t *testing.T) {
	q, err := Query{Vector: []float32{0, 0}, Limit: 5000, Filter: Filter{Type: In, Key: "a", Value: []string{"x"}}}.Normal()
	if err != nil || q.Vector != nil || q.Limit != MaxLimit || !cmp.Equal(q.Filter.Value, []any{"x"}) {
		t.Errorf("%+v, %v", q, err)
	}
	if q, _ := (Query{}).Normal(); q.Limit != DefaultLimit {
		t.Errorf("%+v", q)
	}
	if _, err := (Query{Text: strings.Repeat("x", MaxTextBytes+1)}).Normal(); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}
