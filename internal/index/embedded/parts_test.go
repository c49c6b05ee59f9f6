package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"

	"airfield/internal/caller"
	"airfield/internal/index"
)

func TestTopKeepsTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		n, limit := r.IntN(60)+1, r.IntN(20)+1
		best, all := newTop(limit), make([]scored, n)
		for i := range all {
			all[i] = scored{uint32(i), float32(r.IntN(10) + 1)}
			if all[i].score > best.floor {
				best.add(all[i].row, all[i].score)
			}
		}
		slices.SortStableFunc(all, func(a, b scored) int { return int(b.score - a.score) })
		if got := best.sorted(); !slices.Equal(got, all[:min(limit, n)]) {
			t.Fatalf("want %v, got %v", all[:min(limit, n)], got)
		}
	}
}

func TestRangesAgreeWithAPlainList(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var ranges ranges
	plain := map[point]bool{}
	for step := range 6000 {
		p := point{float64(r.IntN(300)), uint32(r.IntN(20))}
		if r.IntN(3) > 0 {
			ranges.add(p)
			plain[p] = true
		} else {
			ranges.remove(p)
			delete(plain, p)
		}
		if step%50 != 0 {
			continue
		}
		low := float64(r.IntN(320) - 10)
		high := low + float64(r.IntN(100)-5)
		got, want := roaring.New(), roaring.New()
		ranges.between(low, high, got)
		for p := range plain {
			if p.value >= low && p.value <= high {
				want.Add(p.document)
			}
		}
		if !got.Equals(want) {
			t.Fatalf("between %v and %v: got %v, want %v", low, high, got, want)
		}
	}
	for p := range plain {
		ranges.remove(p)
	}
	if !ranges.empty() {
		t.Error("something is left")
	}
}

// FuzzAttributes compares the bitmaps with Match, over documents that come, change and go.
func FuzzAttributes(f *testing.F) {
	f.Add([]byte("some documents come and go"), []byte(`{"type":"or","filters":[{"type":"ne","key":"a","value":"x"},{"type":"gte","key":"n","value":2}]}`))
	f.Add([]byte{0, 1, 2, 3, 200, 201, 202, 3, 2, 1}, []byte(`{"type":"nin","key":"l","value":["x",1,true]}`))
	f.Add([]byte("aaaabbbbcccc"), []byte(`{"type":"and","filters":[{"type":"eq","key":"b","value":true},{"type":"lt","key":"n","value":3}]}`))
	f.Fuzz(func(t *testing.T, ops, wire []byte) {
		var filter index.Filter
		if json.Unmarshal(wire, &filter) != nil {
			return
		}
		type document struct {
			tier   caller.Tier
			values map[string]any
		}
		a, library := newAttributes(), map[uint32]document{}
		for i, op := range ops {
			ordinal := uint32(op % 7)
			if d, ok := library[ordinal]; ok {
				a.remove(ordinal, d.tier, d.values)
				delete(library, ordinal)
			}
			if op%3 == 0 {
				continue
			}
			d := document{caller.Tier(i%4) + caller.Public, map[string]any{}}
			for bit, value := range map[int]struct {
				key   string
				value any
			}{
				1: {"a", string(rune('w' + op%3))}, 2: {"n", float64(op % 5)}, 4: {"b", op%2 == 0}, 8: {"l", []string{"x", "x", string(rune('w' + op%4))}}, 16: {"n", "text"},
			} {
				if int(op)>>2&bit != 0 {
					d.values[value.key] = value.value
				}
			}
			a.add(ordinal, d.tier, d.values)
			library[ordinal] = d
		}
		for clearance := caller.None; clearance <= caller.Restricted; clearance++ {
			want := roaring.New()
			for ordinal, d := range library {
				if clearance.Sees(d.tier) && filter.Match(d.values) {
					want.Add(ordinal)
				}
			}
			if got := a.seen(clearance, filter); !got.Equals(want) {
				t.Fatalf("%s sees %v, want %v of %v", clearance, got, want, library)
			}
		}
		for ordinal, d := range library {
			a.remove(ordinal, d.tier, d.values)
		}
		if len(a.keys) > 0 {
			t.Fatalf("something is left: %v", a.keys)
		}
	})
}

func someChanges() []change {
	return []change{
		{id: "gone"},
		{id: "a", tier: caller.Internal, attributes: encodeAttributes(map[string]any{"s": "x", "n": -1.5, "b": true, "l": []string{"", "y"}}), rows: []row{
			{number: 0, chunk: "a.0", length: 12, sums: sums{1, 2}, scale: 0.5, codes: []int8{-127, 0, 127}},
			{number: 70_000, chunk: "a.1", length: 0, sums: sums{3, 4}},
			{number: 5, chunk: "a.2", scale: 0.25},
		}},
	}
}

func TestFramesReadAsTheyWereWritten(t *testing.T) {
	b, err := appendFrame([]byte("before"), 42, 3, someChanges())
	if err != nil {
		t.Fatal(err)
	}
	b = b[len("before"):]
	sequence, payload, err := readFrame(bytes.NewReader(b), int64(len(b)), nil)
	if err != nil || sequence != 42 {
		t.Fatal(sequence, err)
	}
	dimensions, changes, err := decodeFrame(payload)
	if diff := cmp.Diff(someChanges(), changes, cmp.AllowUnexported(change{}, row{}, sums{}), cmp.Transformer("bytes", func(b []byte) string { return string(b) })); diff != "" || dimensions != 3 || err != nil {
		t.Fatalf("%v %s", err, diff)
	}
	values, err := decodeAttributes(changes[1].attributes)
	if diff := cmp.Diff(map[string]any{"s": "x", "n": -1.5, "b": true, "l": []string{"", "y"}}, values); diff != "" || err != nil {
		t.Fatalf("%v %s", err, diff)
	}
	for cut := range b {
		if _, _, err := readFrame(bytes.NewReader(b[:cut]), int64(cut), nil); cut == 0 && !errors.Is(err, io.EOF) || cut > 0 && !errors.Is(err, errTorn) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	for bit := range len(b) * 8 {
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		longer := append(flipped, b...) // a whole frame follows: what is wrong was not torn
		if _, _, err := readFrame(bytes.NewReader(longer), int64(len(longer)), nil); !errors.Is(err, errDamaged) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	b, err := appendFrame(nil, 1, 3, someChanges())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[frameHeader:])
	f.Add([]byte{0, 1, 1, 'a', 1, 0, 255})
	f.Fuzz(func(t *testing.T, payload []byte) {
		dimensions, changes, err := decodeFrame(payload)
		if err != nil {
			return
		}
		again, err := appendFrame(nil, 1, dimensions, changes)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice, err := decodeFrame(again[frameHeader:]); err != nil || fmt.Sprint(changes) != fmt.Sprint(twice) {
			t.Fatalf("%v: %v is read as %v", err, changes, twice)
		}
		for _, c := range changes {
			decodeAttributes(c.attributes)
		}
	})
}

func TestConfig(t *testing.T) {
	if warnings, err := Default().Check(); err != nil || len(warnings) > 0 {
		t.Errorf("the default: %v, %v", warnings, err)
	}
	for what, change := range map[string]func(*Config){
		"workers": func(c *Config) { c.Workers = -1 }, "k1": func(c *Config) { c.K1 = 11 }, "b": func(c *Config) { c.B = 2 },
		"rescore": func(c *Config) { c.Rescore = 0 }, "write_timeout": func(c *Config) { c.WriteTimeout = 0 },
	} {
		c := Default()
		change(&c)
		if _, err := c.Check(); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	c := Default()
	c.Rescore = 1
	if warnings, err := c.Check(); err != nil || len(warnings) != 1 {
		t.Errorf("%v, %v", warnings, err)
	}
}
