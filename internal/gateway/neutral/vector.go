package neutral

import (
	"encoding/base64"
	"encoding/binary"
	"math"
)

// Vector is a vector as the answer to an embeddings request holds it: a list of numbers, or for the format base64 that of
// little-endian float32, which OpenAI's clients ask for.
func Vector(v []float32, format string) any {
	if format != "base64" {
		return v
	}
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}
