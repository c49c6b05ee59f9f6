package bucket

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// NewVersion names a version made at a moment: 16 hex digits of microseconds since 1970, so that versions sort by
// age, and 16 random ones, so that two processes never make the same.
func NewVersion(at time.Time) string {
	var random [8]byte
	rand.Read(random[:])
	return fmt.Sprintf("%016x-%x", at.UnixMicro(), random)
}

// Moment is when a version was made; false for what is not a version.
func Moment(version string) (time.Time, bool) {
	micros, random, ok := strings.Cut(version, "-")
	if !ok || len(micros) != 16 || len(random) != 16 || strings.ToLower(version) != version {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(micros, 16, 64)
	if _, err2 := hex.DecodeString(random); err != nil || err2 != nil || n < 0 {
		return time.Time{}, false
	}
	return time.UnixMicro(n).UTC(), true
}
