// Package dot multiplies one query with many rows of 8-bit codes: the inner loop of the embedded vector scan.
package dot

// Lanes is what the length of a row must be a multiple of; rows are padded with zeros.
const Lanes = 32

// Rows sets out[i] to the scalar product of query with the i-th row of codes, rows lying one behind the other. query is as
// long as a row, a multiple of Lanes, and so small that no sum leaves 32 bits; Limit says how small.
func Rows(query []int16, codes []int8, out []int32) {
	if len(query) == 0 || len(query)%Lanes != 0 || len(codes) < len(query)*len(out) {
		panic("dot: rows of the wrong length")
	}
	if len(out) > 0 {
		rows(query, codes, out)
	}
}

// Limit is the largest magnitude that an element of a query of this length may have.
func Limit(length int) int { return min(32767, (1<<31-1)/(128*max(length, 1))) }

// Plain is Rows in Go alone, for processors without the assembly.
func Plain(query []int16, codes []int8, out []int32) {
	n := len(query)
	for i := range out {
		row := codes[i*n : i*n+n]
		q := query[:len(row)]
		var a, b, c, d int32
		for j := 0; j+3 < len(row); j += 4 {
			a += int32(q[j]) * int32(row[j])
			b += int32(q[j+1]) * int32(row[j+1])
			c += int32(q[j+2]) * int32(row[j+2])
			d += int32(q[j+3]) * int32(row[j+3])
		}
		out[i] = a + b + c + d
	}
}
