package journal

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place between two records. Positions of one journal are ordered and never come twice, also
// across restarts and power loss; the zero Position is before the oldest record.
type Position struct {
	Segment uint64
	Offset  int64
}

// Compare is negative when p is before q, zero when they are the same, positive when p is after q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Offset, q.Offset))
}

// String is the text form, "segment:offset".
func (p Position) String() string {
	return strconv.FormatUint(p.Segment, 10) + ":" + strconv.FormatInt(p.Offset, 10)
}

// ParsePosition reads the text form; the empty text is the zero Position.
func ParsePosition(text string) (Position, error) {
	if text == "" {
		return Position{}, nil
	}
	segment, offset, ok := strings.Cut(text, ":")
	if ok {
		s, err1 := strconv.ParseUint(segment, 10, 64)
		o, err2 := strconv.ParseInt(offset, 10, 64)
		if p := (Position{s, o}); err1 == nil && err2 == nil && o >= 0 && p.String() == text {
			return p, nil
		}
	}
	return Position{}, fmt.Errorf("%q is not a journal position", text)
}
