// Package money counts in nano-dollars, as integers, so that sums are exact. A price is nano-dollars per
// million units (tokens, requests, seconds): $0.15 per million tokens is 150,000,000.
package money

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Nanos is an amount in billionths of a US dollar. The range is about ±9.2 billion dollars.
type Nanos int64

// Dollar is one US dollar.
const Dollar Nanos = 1_000_000_000

// PerMillion is a price: nano-dollars for a million units.
type PerMillion int64

// Cost is units × price / 1,000,000, rounded up to the next nano-dollar so that small calls are never free.
// It saturates instead of overflowing.
func (p PerMillion) Cost(units int64) Nanos {
	if units <= 0 || p <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(p), uint64(units))
	if hi >= 1_000_000 {
		return math.MaxInt64
	}
	quo, rem := bits.Div64(hi, lo, 1_000_000)
	if rem > 0 {
		quo++
	}
	if quo > math.MaxInt64 {
		return math.MaxInt64
	}
	return Nanos(quo)
}

// Add is a + b, saturating.
func (n Nanos) Add(b Nanos) Nanos {
	sum := n + b
	if n > 0 && b > 0 && sum < 0 {
		return math.MaxInt64
	}
	if n < 0 && b < 0 && sum >= 0 {
		return math.MinInt64
	}
	return sum
}

// Decimal writes the amount in dollars with all nine decimals that matter: "0.00000015".
func (n Nanos) Decimal() string {
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", -u
	}
	whole, frac := u/uint64(Dollar), u%uint64(Dollar)
	if frac == 0 {
		return sign + strconv.FormatUint(whole, 10)
	}
	return sign + strconv.FormatUint(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%09d", frac), "0")
}

// String is for people: cents from a dollar up, more decimals the smaller the amount is.
func (n Nanos) String() string {
	sign, f := "", float64(n)/float64(Dollar)
	if n < 0 {
		sign, f = "-", -f
	}
	switch {
	case n == 0:
		return "$0"
	case f >= 1:
		return fmt.Sprintf("%s$%.2f", sign, f)
	case f >= 0.01:
		return fmt.Sprintf("%s$%.4f", sign, f)
	case f >= 0.000001:
		return fmt.Sprintf("%s$%.6f", sign, f)
	}
	return sign + "$" + strings.TrimPrefix(n.Decimal(), "-")
}

// Parse reads a decimal number of dollars, with or without the sign "$", exactly. More than nine decimals are an error. A
// small exponent may stand behind it, for that is how YAML hands on 0.00005.
func Parse(s string) (Nanos, error) {
	text := strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(s), "$"), "_", "")
	if _, exponent, found := strings.Cut(strings.ToLower(text), "e"); found {
		if n, err := strconv.Atoi(exponent); err != nil || n < -20 || n > 20 {
			return 0, fmt.Errorf("%q is not an amount of dollars", s)
		}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/xXpP") {
		return 0, fmt.Errorf("%q is not an amount of dollars", s)
	}
	r.Mul(r, big.NewRat(int64(Dollar), 1))
	if !r.IsInt() {
		return 0, fmt.Errorf("%q has more than nine decimals", s)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("%q is out of range", s)
	}
	return Nanos(r.Num().Int64()), nil
}

// MarshalText writes the amount as Decimal does, so that JSON carries it without loss.
func (n Nanos) MarshalText() ([]byte, error) { return []byte(n.Decimal()), nil }

// UnmarshalText is Parse.
func (n *Nanos) UnmarshalText(b []byte) error {
	v, err := Parse(string(b))
	if err == nil {
		*n = v
	}
	return err
}
