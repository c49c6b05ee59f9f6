package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"airfield/internal/id"
)

const (
	magic       = "AFJRNL\x00\x01" // the last byte is the version of the format
	headerBytes = 8 + 8 + 32 + 4   // magic, number, id padded with zeros, checksum
	suffix      = ".journal"
	idPrefix    = "jnl"
)

// segment is one file. Its size is that of the header and of the records that are wholly written.
type segment struct {
	number uint64
	size   int64
}

func (s segment) path(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", s.number, suffix))
}

// locate returns the segment in which reading goes on from p, if there is one with bytes after p.
func locate(segments []segment, p Position) (segment, bool) {
	i, _ := slices.BinarySearchFunc(segments, p.Segment, func(s segment, n uint64) int {
		return Position{Segment: s.number}.Compare(Position{Segment: n})
	})
	for ; i < len(segments); i++ {
		s := segments[i]
		if s.size > headerBytes && (Position{s.number, s.size}).Compare(p) > 0 {
			return s, true
		}
	}
	return segment{}, false
}

// listSegments returns the segments of a folder, oldest first, with the sizes of their files.
func listSegments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	var segments []segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		number, err := strconv.ParseUint(name, 10, 64)
		if !ok || err != nil || filepath.Base((segment{number: number}).path(dir)) != e.Name() {
			continue
		}
		stat, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("list journal: %w", err)
		}
		segments = append(segments, segment{number, stat.Size()})
	}
	slices.SortFunc(segments, func(a, b segment) int {
		return Position{Segment: a.number}.Compare(Position{Segment: b.number})
	})
	return segments, nil
}

func header(journalID string, number uint64) []byte {
	h := make([]byte, headerBytes)
	copy(h, magic)
	binary.LittleEndian.PutUint64(h[8:], number)
	copy(h[16:48], journalID)
	binary.LittleEndian.PutUint32(h[48:], crc32.Checksum(h[:48], castagnoli))
	return h
}

// parseHeader returns the id of the journal that a segment says it is of.
func parseHeader(h []byte, number uint64) (string, error) {
	if len(h) < headerBytes || string(h[:6]) != magic[:6] {
		return "", errors.New("not a journal segment")
	}
	if crc32.Checksum(h[:48], castagnoli) != binary.LittleEndian.Uint32(h[48:]) {
		return "", errors.New("the header is damaged")
	}
	if string(h[:8]) != magic {
		return "", fmt.Errorf("format version %d is not known", binary.BigEndian.Uint16(h[6:]))
	}
	journalID := strings.TrimRight(string(h[16:48]), "\x00")
	if n := binary.LittleEndian.Uint64(h[8:]); n != number || !id.Has(journalID, idPrefix) {
		return "", errors.New("the header does not fit the name of the file")
	}
	return journalID, nil
}

// readID returns the id of the journal in dir: that of the first whole header. A folder with records but without
// a header to trust is an error, a folder without segments has the id "".
func readID(dir string, segments []segment) (string, error) {
	var firstErr error
	for _, s := range segments {
		if s.size <= headerBytes {
			continue // begun when the process died; holds nothing
		}
		f, err := os.Open(s.path(dir))
		if err != nil {
			return "", fmt.Errorf("read journal: %w", err)
		}
		h := make([]byte, headerBytes)
		_, err = f.ReadAt(h, 0)
		f.Close()
		if err != nil {
			return "", fmt.Errorf("read journal: %w", err)
		}
		journalID, err := parseHeader(h, s.number)
		if err == nil {
			return journalID, nil
		}
		if firstErr == nil {
			firstErr = fmt.Errorf("%s: %w", s.path(dir), err)
		}
	}
	return "", firstErr
}

// createSegment makes an empty segment, durable with its name. A leftover of the same number, of which no
// position was ever handed out, is overwritten.
func createSegment(dir, journalID string, number uint64) (*os.File, segment, error) {
	s := segment{number, headerBytes}
	f, err := os.OpenFile(s.path(dir), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, s, err
	}
	_, err = f.Write(header(journalID, number))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		f.Close()
		os.Remove(s.path(dir))
		return nil, s, err
	}
	return f, s, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
