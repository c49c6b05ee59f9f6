package embedded

import (
	"math"

	"airfield/internal/index/embedded/dot"
)

// noDocument marks a row that nobody can see: free, or reserved for a change under way.
const noDocument = math.MaxUint32

// blockRows is how many rows of codes are allocated together, so that growing never copies.
const blockRows = 1024

// table holds the passages of a space in memory, in columns: one row a passage. Rows of removed passages are used again.
type table struct {
	chunks  []string
	docs    []uint32 // ordinal of the document
	lengths []uint32 // in terms
	sums    []sums
	scales  []float32 // a code times it is the vector's element; 0: no vector
	codes   [][]int8  // blocks of blockRows × stride
	stride  int       // dimensions, padded
	free    []uint32

	live, vectors int
	length        int64 // terms of all live rows
}

// sums tell whether a passage or its vector changed.
type sums struct{ text, vector uint64 }

// reserve finds n free rows, lowest first where there are none to use again.
func (t *table) reserve(n int) []uint32 {
	rows := make([]uint32, n)
	reuse := min(n, len(t.free))
	copy(rows, t.free[len(t.free)-reuse:])
	t.free = t.free[:len(t.free)-reuse]
	for i := reuse; i < n; i++ {
		rows[i] = uint32(len(t.docs))
		t.grow(rows[i])
	}
	return rows
}

// grow makes the columns reach to the row.
func (t *table) grow(row uint32) {
	for len(t.docs) <= int(row) {
		t.chunks = append(t.chunks, "")
		t.docs = append(t.docs, noDocument)
		t.lengths = append(t.lengths, 0)
		t.sums = append(t.sums, sums{})
		t.scales = append(t.scales, 0)
	}
}

// size sets the dimensions. Only a table without vectors may change them.
func (t *table) size(dimensions int) {
	stride := (dimensions + dot.Lanes - 1) / dot.Lanes * dot.Lanes
	if stride != t.stride {
		t.stride, t.codes = stride, nil
	}
}

// row is one passage as the table and the log hold it.
type row struct {
	number uint32
	chunk  string
	length uint32
	sums   sums
	scale  float32
	codes  []int8 // dimensions long; nil: none, or, with a scale, those that the row already has
}

// put fills a row and makes it visible as part of the document.
func (t *table) put(r row, document uint32) {
	t.grow(r.number)
	i := r.number
	t.chunks[i], t.docs[i], t.lengths[i], t.sums[i], t.scales[i] = r.chunk, document, r.length, r.sums, r.scale
	t.live++
	t.length += int64(r.length)
	if r.scale != 0 {
		t.vectors++
		if r.codes != nil {
			copy(t.at(i, true), r.codes)
		}
	}
}

// hide makes a row invisible. Its number is not yet free: the keyword index still knows it.
func (t *table) hide(i uint32) {
	t.live--
	t.length -= int64(t.lengths[i])
	if t.scales[i] != 0 {
		t.vectors--
	}
	t.docs[i] = noDocument
}

// release gives rows back to be used again.
func (t *table) release(rows []uint32) {
	for _, i := range rows {
		t.chunks[i], t.sums[i], t.scales[i], t.lengths[i] = "", sums{}, 0, 0
		if c := t.at(i, false); c != nil {
			clear(c)
		}
	}
	t.free = append(t.free, rows...)
}

// at returns the codes of a row, padded; nil where no block was made.
func (t *table) at(i uint32, make_ bool) []int8 {
	block, within := int(i/blockRows), int(i%blockRows)*t.stride
	for make_ && len(t.codes) <= block {
		t.codes = append(t.codes, nil)
	}
	if block >= len(t.codes) {
		return nil
	}
	if t.codes[block] == nil {
		if !make_ {
			return nil
		}
		t.codes[block] = make([]int8, blockRows*t.stride)
	}
	return t.codes[block][within : within+t.stride]
}

// unit returns the vector at length one.
func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return out
}

// quantise turns a unit vector into codes from -limit to limit and the scale that turns them back.
func quantise[T int8 | int16](v []float32, out []T, limit int) (scale float32) {
	largest := float32(0)
	for _, x := range v {
		largest = max(largest, x, -x)
	}
	scale = largest / float32(limit)
	for i, x := range v {
		out[i] = T(math.RoundToEven(float64(x / scale)))
	}
	return scale
}
