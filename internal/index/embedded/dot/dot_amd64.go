package dot

import "golang.org/x/sys/cpu"

// Assembly reports whether this processor runs the assembly.
func Assembly() bool { return cpu.X86.HasAVX2 }

func rows(query []int16, codes []int8, out []int32) {
	if cpu.X86.HasAVX2 {
		avx2(&query[0], &codes[0], &out[0], len(query), len(out))
		return
	}
	Plain(query, codes, out)
}

//go:noescape
func avx2(query *int16, codes *int8, out *int32, length, rows int)
