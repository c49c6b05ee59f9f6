package id

import (
	"testing"
	"time"
)

func TestIdsSortByTimeAndDiffer(t *testing.T) {
	base := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	prev, seen := "", map[string]bool{}
	for i := range 2000 {
		got := At("call", base.Add(time.Duration(i)*time.Millisecond))
		if got <= prev {
			t.Fatalf("%q does not sort after %q", got, prev)
		}
		if seen[got] || !Has(got, "call") || Has(got, "doc") {
			t.Fatalf("bad id %q", got)
		}
		seen[got], prev = true, got
	}
}

func TestSecretsAreLongAndDiffer(t *testing.T) {
	a, b := Secret("afk_"), Secret("afk_")
	if a == b || len(a) != 47 {
		t.Fatalf("secrets %q and %q", a, b)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New("call")
	}
}
