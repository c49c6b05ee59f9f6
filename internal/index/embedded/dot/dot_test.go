package dot

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// exact is the definition, in 64 bits.
func exact(query []int16, codes []int8, out []int32) {
	for i := range out {
		sum := int64(0)
		for j, q := range query {
			sum += int64(q) * int64(codes[i*len(query)+j])
		}
		out[i] = int32(sum)
		if int64(out[i]) != sum {
			panic("the sum leaves 32 bits")
		}
	}
}

func check(t *testing.T, query []int16, codes []int8) {
	t.Helper()
	n := len(codes) / len(query)
	want, plain, fast := make([]int32, n), make([]int32, n), make([]int32, n)
	exact(query, codes, want)
	Plain(query, codes, plain)
	Rows(query, codes, fast)
	if !slices.Equal(want, plain) || !slices.Equal(want, fast) {
		t.Fatalf("length %d, %d rows: want %v, plain %v, fast %v", len(query), n, want, plain, fast)
	}
}

func TestBothKernelsAgreeWithTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, length := range []int{32, 64, 96, 384, 768, 1024, 1536, 8192} {
		limit := Limit(length)
		for _, rows := range []int{1, 2, 3, 7} {
			query, codes := make([]int16, length), make([]int8, length*rows)
			for i := range query {
				query[i] = int16(r.IntN(2*limit+1) - limit)
			}
			for i := range codes {
				codes[i] = int8(r.IntN(256) - 128)
			}
			check(t, query, codes)
			// The extremes: every product as large as it can be.
			for i := range query {
				query[i] = int16(-limit)
			}
			for i := range codes {
				codes[i] = -128
			}
			check(t, query, codes)
		}
	}
}

func TestNoRowsAreNoWork(t *testing.T) { Rows(make([]int16, 32), nil, nil) }

func TestRowsOfTheWrongLengthAreAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("read past the end")
		}
	}()
	Rows(make([]int16, 32), make([]int8, 63), make([]int32, 2))
}

func FuzzKernels(f *testing.F) {
	f.Add([]byte("a few bytes to begin with"), uint8(3))
	f.Add([]byte{0x80, 0x7f, 0xff, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, steps uint8) {
		if len(b) == 0 {
			return
		}
		length := (int(steps)%48 + 1) * Lanes
		limit := Limit(length)
		query, codes := make([]int16, length), make([]int8, length*(1+len(b)%3))
		for i := range query {
			query[i] = int16((int(b[i%len(b)])*131+i*int(b[0]))%(2*limit+1) - limit)
		}
		for i := range codes {
			codes[i] = int8(b[(i*7+i/len(b))%len(b)])
		}
		check(t, query, codes)
	})
}

func BenchmarkRows(b *testing.B) {
	for name, kernel := range map[string]func([]int16, []int8, []int32){"fast": Rows, "plain": Plain} {
		b.Run(fmt.Sprintf("%s/384x1024", name), func(b *testing.B) {
			query, codes, out := make([]int16, 384), make([]int8, 384*1024), make([]int32, 1024)
			b.SetBytes(int64(len(codes)))
			for b.Loop() {
				kernel(query, codes, out)
			}
		})
	}
}
