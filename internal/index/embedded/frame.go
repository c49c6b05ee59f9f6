package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"

	"airfield/internal/caller"
	"airfield/internal/index"
)

// The log of a space is a header and frames. A frame is one change, whole or not at all, and the only truth of what the
// space holds; the vectors and the keyword index are written before the frame that speaks of them.
const (
	formatVersion = 1 // of the log, and of how texts become terms
	logHeader     = "AFINDEX\x01"
	frameMagic    = 0x41464631
	frameHeader   = 24 // magic, length, sequence, checksum of the payload, checksum of what stands before
	maxFrameBytes = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn says that the last frame was not finished: the change was never acknowledged.
var errTorn = errors.New("the last frame is torn")

// change is what a frame says of one document: its rows from now on. Without rows it is gone.
type change struct {
	id         string
	tier       caller.Tier
	attributes []byte // encoded
	rows       []row
}

// appendFrame encodes changes. dimensions is the length of the codes of every row that has some.
func appendFrame(b []byte, sequence int64, dimensions int, changes []change) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	b = binary.AppendUvarint(b, uint64(dimensions))
	b = binary.AppendUvarint(b, uint64(len(changes)))
	for _, c := range changes {
		b = appendText(b, c.id)
		b = append(b, byte(c.tier))
		b = appendText(b, string(c.attributes))
		b = binary.AppendUvarint(b, uint64(len(c.rows)))
		for _, r := range c.rows {
			b = binary.AppendUvarint(b, uint64(r.number))
			b = appendText(b, r.chunk)
			b = binary.AppendUvarint(b, uint64(r.length))
			b = binary.LittleEndian.AppendUint64(b, r.sums.text)
			b = binary.LittleEndian.AppendUint64(b, r.sums.vector)
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.scale))
			b = append(b, byte(boolInt(r.codes != nil)))
			for _, c := range r.codes {
				b = append(b, byte(c))
			}
		}
	}
	payload := b[start+frameHeader:]
	if len(payload) > maxFrameBytes {
		return nil, fmt.Errorf("a change of %d bytes is too large to be written at once", len(payload))
	}
	h := b[start:]
	binary.LittleEndian.PutUint32(h, frameMagic)
	binary.LittleEndian.PutUint32(h[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(h[8:], uint64(sequence))
	binary.LittleEndian.PutUint32(h[16:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(h[20:], crc32.Checksum(h[:20], castagnoli))
	return b, nil
}

// readFrame reads the next frame. left is how many bytes the log still has: a frame that claims more was not finished.
// io.EOF means that the log ends here.
func readFrame(r io.Reader, left int64, buffer []byte) (sequence int64, payload []byte, err error) {
	var h [frameHeader]byte
	if left == 0 {
		return 0, nil, io.EOF
	}
	if left < frameHeader {
		return 0, nil, errTorn
	}
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	length := int64(binary.LittleEndian.Uint32(h[4:]))
	if binary.LittleEndian.Uint32(h[:]) != frameMagic || length > maxFrameBytes ||
		crc32.Checksum(h[:20], castagnoli) != binary.LittleEndian.Uint32(h[20:]) {
		return 0, nil, damaged("log: a frame does not begin where one should")
	}
	if length > left-frameHeader {
		return 0, nil, errTorn
	}
	payload = slices.Grow(buffer[:0], int(length))[:length]
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(h[16:]) {
		if left == frameHeader+length {
			return 0, nil, errTorn
		}
		return 0, nil, damaged("log: a frame does not have its checksum")
	}
	return int64(binary.LittleEndian.Uint64(h[8:])), payload, nil
}

// decodeFrame reads the changes of a payload. Codes share its memory.
func decodeFrame(payload []byte) (dimensions int, changes []change, err error) {
	d := decoder{b: payload}
	dimensions = int(d.number(index.MaxDimensions))
	for n := d.number(uint64(len(payload))); n > 0 && !d.bad; n-- {
		c := change{id: d.text(), tier: caller.Tier(d.byte()), attributes: slices.Clone(d.bytes(d.number(uint64(len(payload)))))}
		if c.tier < caller.None || c.tier > caller.Restricted {
			d.bad = true
		}
		for m := d.number(uint64(len(payload))); m > 0 && !d.bad; m-- {
			r := row{number: uint32(d.number(noDocument - 1)), chunk: d.text(), length: uint32(d.number(math.MaxUint32))}
			r.sums = sums{d.fixed64(), d.fixed64()}
			r.scale = math.Float32frombits(d.fixed32())
			if d.byte() == 1 {
				r.codes = asCodes(d.bytes(uint64(dimensions)))
			}
			c.rows = append(c.rows, r)
		}
		changes = append(changes, c)
	}
	if d.bad || len(d.b) > 0 {
		return 0, nil, damaged("log: a frame cannot be read")
	}
	return dimensions, changes, nil
}

// encodeAttributes writes normal attributes: key, kind, value, in the order of the keys.
func encodeAttributes(values map[string]any) []byte {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(values)) {
		b = appendText(b, key)
		switch v := values[key].(type) {
		case string:
			b = appendText(append(b, 's'), v)
		case float64:
			b = binary.LittleEndian.AppendUint64(append(b, 'n'), math.Float64bits(v))
		case bool:
			b = append(b, 'b', byte(boolInt(v)))
		case []string:
			b = binary.AppendUvarint(append(b, 'l'), uint64(len(v)))
			for _, s := range v {
				b = appendText(b, s)
			}
		}
	}
	return b
}

func decodeAttributes(b []byte) (map[string]any, error) {
	d, values := decoder{b: b}, map[string]any{}
	for len(d.b) > 0 && !d.bad {
		key := d.text()
		switch d.byte() {
		case 's':
			values[key] = d.text()
		case 'n':
			values[key] = math.Float64frombits(d.fixed64())
		case 'b':
			values[key] = d.byte() == 1
		case 'l':
			list := []string{}
			for n := d.number(uint64(len(b))); n > 0 && !d.bad; n-- {
				list = append(list, d.text())
			}
			values[key] = list
		default:
			d.bad = true
		}
	}
	if d.bad {
		return nil, damaged("log: attributes cannot be read")
	}
	return values, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
