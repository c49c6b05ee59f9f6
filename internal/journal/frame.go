package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// frameBytes is what a record costs beside its own bytes: marker, length, checksum, each four bytes, little-endian.
const frameBytes = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// framing is how one journal marks and checks its records. Both numbers follow from its random id: whoever
// writes the payload cannot forge a record inside it.
type framing struct {
	marker [4]byte
	seed   uint32
}

func framingOf(id string) framing {
	sum := sha256.Sum256([]byte("airfield journal " + id))
	return framing{marker: [4]byte(sum[:4]), seed: binary.LittleEndian.Uint32(sum[4:8])}
}

// checksum covers the record and, through the seed, its length and its journal.
func (f framing) checksum(record []byte) uint32 {
	return crc32.Update(f.seed^uint32(len(record)), castagnoli, record)
}

// appendTo frames the record, whose checksum is sum, at the end of buf.
func (f framing) appendTo(buf, record []byte, sum uint32) []byte {
	buf = append(buf, f.marker[:]...)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(record)))
	buf = binary.LittleEndian.AppendUint32(buf, sum)
	return append(buf, record...)
}

// parse reads the frame at the start of b, of which room bytes may be part. It returns the record; or how many
// bytes of b it needs to see, when that is more than it was given; or neither: no record begins here.
func (f framing) parse(b []byte, room int64) (record []byte, need int, ok bool) {
	if room < frameBytes {
		return nil, 0, false
	}
	if len(b) < frameBytes {
		return nil, frameBytes, false
	}
	length := binary.LittleEndian.Uint32(b[4:])
	size := frameBytes + int64(length)
	if [4]byte(b) != f.marker || length > MaxRecordBytes || size > room {
		return nil, 0, false
	}
	if int64(len(b)) < size {
		return nil, int(size), false
	}
	record = b[frameBytes:size:size]
	return record, 0, f.checksum(record) == binary.LittleEndian.Uint32(b[8:])
}
