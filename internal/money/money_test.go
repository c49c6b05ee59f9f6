package money

import (
	"math"
	"testing"
)

func TestCost(t *testing.T) {
	for _, c := range []struct {
		name  string
		price PerMillion
		units int64
		want  Nanos
	}{
		{"fifteen cents a million", 150_000_000, 1000, 150_000},
		{"a fraction of a nano rounds up", 37_500_000, 1, 38},
		{"nothing costs nothing", 150_000_000, 0, 0},
		{"negative units cost nothing", 150_000_000, -5, 0},
		{"does not overflow", math.MaxInt64, math.MaxInt64, math.MaxInt64},
		{"large but exact", 60_000_000_000, 10_000_000_000, 600_000_000_000_000},
	} {
		if got := c.price.Cost(c.units); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestParseIsExactAndRoundTrips(t *testing.T) {
	for in, want := range map[string]Nanos{"$0.15": 150_000_000, "0.000000001": 1, "12": 12 * Dollar, "-1.5": -1_500_000_000, "1_000": 1000 * Dollar, "5e-05": 50_000, "2.5E3": 2500 * Dollar} {
		got, err := Parse(in)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v", in, got, err)
		}
		if back, _ := Parse(got.Decimal()); back != got {
			t.Errorf("%q: %s does not round-trip", in, got.Decimal())
		}
	}
	for _, bad := range []string{"", "abc", "0.0000000001", "1/3", "1e400", "1e-21", "1e", "e5", "0xe1", "99999999999"} {
		if v, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %d, want an error", bad, v)
		}
	}
}

func TestString(t *testing.T) {
	for n, want := range map[Nanos]string{0: "$0", 1: "$0.000000001", 1500: "$0.000002", 12_345_678: "$0.0123", 12 * Dollar: "$12.00", -2 * Dollar: "-$2.00"} {
		if got := n.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(n), got, want)
		}
	}
}

func TestAddSaturates(t *testing.T) {
	if Nanos(math.MaxInt64).Add(1) != math.MaxInt64 || Nanos(math.MinInt64).Add(-1) != math.MinInt64 {
		t.Error("overflowed")
	}
}
