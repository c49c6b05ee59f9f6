// Package damage changes files in the ways that disks, networks and people do, the same for the same seed. Tests of the readers use
// it, and of the whole server.
package damage

import "math/rand/v2"

// File returns a damaged copy of a file that is not empty.
func File(r *rand.Rand, raw []byte) []byte {
	out := append([]byte(nil), raw...)
	at := func() int { return r.IntN(len(out)) }
	switch r.IntN(6) {
	case 0: // cut short
		return out[:1+at()]
	case 1: // single bytes
		for range 1 + r.IntN(40) {
			out[at()] = byte(r.Uint32())
		}
	case 2: // a stretch of zeros
		from := at()
		clear(out[from:min(len(out), from+1+r.IntN(600))])
	case 3: // a piece taken out
		from := at()
		out = append(out[:from], out[min(len(out), from+1+r.IntN(200)):]...)
	case 4: // a piece twice
		from := at()
		piece := append([]byte(nil), out[from:min(len(out), from+1+r.IntN(400))]...)
		out = append(out[:from], append(piece, out[from:]...)...)
	default: // numbers made huge
		for range 1 + r.IntN(6) {
			from := at()
			copy(out[from:], []byte{0xff, 0xff, 0xff, 0x7f})
		}
	}
	return out
}
