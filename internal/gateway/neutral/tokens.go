package neutral

import "airfield/internal/gateway/scan"

// MostTokens is of one request: no model reads or writes so many.
const MostTokens = 100 << 20

// Tokens reads a number of tokens; what cannot be one is none.
func Tokens(value []byte) int64 {
	n, ok := scan.Int(value)
	if !ok || n < 0 || n > MostTokens {
		return 0
	}
	return n
}
