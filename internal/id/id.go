// Package id makes the identifiers of everything Airfield keeps: a prefix that says what it is, then 26
// characters that sort by time. They are made by us, never by a database, so that a row can be named before
// it is written.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"
)

// alphabet is Crockford's base 32 in lower case: no i, l, o, u, and in the order of its values, so that
// ids sort by time as text.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// New returns prefix, an underscore and 26 characters: 48 bits of milliseconds since 1970, then 80 random bits.
func New(prefix string) string { return At(prefix, time.Now()) }

// At is New for a given moment.
func At(prefix string, at time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(at.UnixMilli())<<16)
	rand.Read(raw[6:])
	var out [27]byte
	out[0] = '_'
	encode(out[1:], raw)
	var b strings.Builder
	b.Grow(len(prefix) + len(out))
	b.WriteString(prefix)
	b.Write(out[:])
	return b.String()
}

// encode writes 128 bits as 26 characters, the first of which holds only three bits.
func encode(dst []byte, raw [16]byte) {
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	for i := 25; i >= 0; i-- {
		dst[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
}

// Secret returns prefix and 43 characters with 215 random bits: for keys, never for names of things.
func Secret(prefix string) string {
	var raw [43]byte
	rand.Read(raw[:])
	for i := range raw {
		raw[i] = alphabet[raw[i]&31]
	}
	return prefix + string(raw[:])
}

// Has reports whether s is an id with this prefix, by its shape alone.
func Has(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(rest) != 26 {
		return false
	}
	return strings.Trim(rest, alphabet) == ""
}
