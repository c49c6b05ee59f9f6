//go:build !amd64

package dot

// Assembly reports whether this processor runs the assembly.
func Assembly() bool { return false }

func rows(query []int16, codes []int8, out []int32) { Plain(query, codes, out) }
