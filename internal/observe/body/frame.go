package body

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A block is a header and then frames. A frame is the length and the CRC-32C of what follows, four bytes each,
// little-endian, and a zstd frame. What that holds are entries: a kind, a length as a varint, and so many bytes:
//
//	P  a piece of a request or an answer
//	R  a record: what is kept of one call, whole or in part
//
// A record's bodies are recipes: bytes that stand for themselves, and references to pieces: which block, at which offset
// its frame, where in it. So a message that a conversation repeats is there once.
const (
	header     = "airfield-bodies-1\n"
	frameHead  = 8
	maxFrame   = 256 << 20 // of a frame, compressed or not: more is damage
	entryPiece = 'P'
	entryCall  = 'R'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// coder compresses; it belongs to one goroutine.
type coder struct {
	z *zstd.Encoder
	b []byte
}

func newCoder() *coder {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // the options are wrong
	}
	return &coder{z: z}
}

// frame returns the frame of raw, which is good until the next.
func (c *coder) frame(raw []byte) []byte {
	c.b = append(c.b[:0], make([]byte, frameHead)...)
	c.b = c.z.EncodeAll(raw, c.b)
	binary.LittleEndian.PutUint32(c.b, uint32(len(c.b)-frameHead))
	binary.LittleEndian.PutUint32(c.b[4:], crc32.Checksum(c.b[frameHead:], castagnoli))
	return c.b
}

var decoders, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxFrame)) // the options are right

var errDamaged = errors.New("the block is damaged")

// readFrame reads the frame at an offset and returns its content and where the next begins.
func readFrame(r io.ReaderAt, at int64) (raw []byte, next int64, err error) {
	var head [frameHead]byte
	if _, err := r.ReadAt(head[:], at); err != nil {
		return nil, 0, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxFrame {
		return nil, 0, errDamaged
	}
	packed := make([]byte, min(int(n), 4<<20))
	for done := 0; ; { // a length that is damage must not cost memory
		if _, err := r.ReadAt(packed[done:], at+frameHead+int64(done)); err != nil {
			return nil, 0, err
		}
		if done = len(packed); done == int(n) {
			break
		}
		packed = append(packed, make([]byte, min(int(n)-done, 4<<20))...)
	}
	if crc32.Checksum(packed, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, 0, errDamaged
	}
	raw, err = decoders.DecodeAll(packed, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return raw, at + frameHead + int64(n), nil
}

// entry appends an entry and returns where its content begins.
func entry(b []byte, kind byte, content []byte) (_ []byte, at int) {
	b = binary.AppendUvarint(append(b, kind), uint64(len(content)))
	at = len(b)
	return append(b, content...), at
}

// nextEntry reads the entry at an offset.
func nextEntry(raw []byte, at int) (kind byte, content []byte, next int, err error) {
	if at < 0 || at >= len(raw) {
		return 0, nil, 0, errDamaged
	}
	n, size := binary.Uvarint(raw[at+1:])
	from := at + 1 + size
	if size <= 0 || n > uint64(len(raw)-from) {
		return 0, nil, 0, errDamaged
	}
	return raw[at], raw[from : from+int(n)], from + int(n), nil
}
