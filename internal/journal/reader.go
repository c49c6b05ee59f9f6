package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
)

const readBytes = 256 << 10

// source is where a Reader's segments come from: a live Journal or an Archive.
type source interface {
	// locate returns the segment in which reading goes on from p, if there is one with bytes after p.
	locate(p Position) (segment, bool)
	// wait returns when there may be bytes after p; with io.EOF when there never will be.
	wait(ctx context.Context, p Position) error
}

// Reader goes through a journal record by record. It is for one goroutine. Damaged bytes are skipped up to the
// next whole record, counted and logged; a record is never returned altered.
type Reader struct {
	src     source
	dir     string
	framing framing
	log     *slog.Logger

	pos     Position // of the first byte of window
	limit   int64    // up to here the open segment may be read
	file    *os.File
	buf     []byte
	batch   [][]byte // of ReadBatch
	window  []byte   // the part of buf that is read from the file and not yet returned
	gap     int64    // damaged bytes just before pos, not yet logged
	skipped int64
	err     error // of the position this reader began at
}

func newReader(src source, dir string, f framing, from Position, log *slog.Logger) *Reader {
	return &Reader{src: src, dir: dir, framing: f, pos: from, log: log}
}

// Next returns the next record and the position after it, waiting for one to be appended. The record is valid
// until the next call. It ends with io.EOF when the journal is closed and all is read.
func (r *Reader) Next(ctx context.Context) (record []byte, next Position, err error) {
	for {
		record, ok, err := r.advance(true)
		if ok || err != nil {
			return record, r.pos, err
		}
		if err := r.src.wait(ctx, r.pos); err != nil {
			return nil, r.pos, err
		}
	}
}

// TryNext is Next without waiting: ok is false when there is no record now.
func (r *Reader) TryNext() (record []byte, next Position, ok bool, err error) {
	record, ok, err = r.advance(true)
	return record, r.pos, ok, err
}

// ReadBatch waits for a record and returns it with those that follow, up to limit of them and about 256 KiB,
// without waiting for more. The slice and the records are valid until the next call; next is the position after the last.
func (r *Reader) ReadBatch(ctx context.Context, limit int) (records [][]byte, next Position, err error) {
	record, next, err := r.Next(ctx)
	if err != nil {
		return nil, next, err
	}
	r.batch = append(r.batch[:0], record)
	for len(r.batch) < limit {
		record, ok, _ := r.advance(false)
		if !ok {
			break
		}
		r.batch = append(r.batch, record)
	}
	return r.batch, r.pos, nil
}

// Position is after the last record returned and the damaged bytes skipped.
func (r *Reader) Position() Position { return r.pos }

// Skipped is how many damaged bytes have been passed over.
func (r *Reader) Skipped() int64 { return r.skipped }

// Close gives the open file back.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return f.Close()
}

// advance returns the next record, if there is one. Without fill it takes only what is in the window already, so
// that records returned before stay valid.
func (r *Reader) advance(fill bool) (record []byte, ok bool, err error) {
	if r.err != nil {
		return nil, false, r.err
	}
	for {
		room := r.limit - r.pos.Offset
		if r.file == nil || room <= 0 {
			if !fill {
				return nil, false, nil
			}
			if ok, err := r.move(); !ok {
				return nil, false, err
			}
			continue
		}
		record, need, ok := r.framing.parse(r.window, room)
		switch {
		case ok:
			r.closeGap()
			r.drop(frameBytes + len(record))
			return record, true, nil
		case !fill:
			return nil, false, nil
		case need > 0:
			if err := r.fill(need); err != nil {
				return nil, false, err
			}
		default:
			r.skip()
		}
	}
}

// move goes to where bytes after the position are: further in the open segment, or in the next.
func (r *Reader) move() (bool, error) {
	s, ok := r.src.locate(r.pos)
	if r.file != nil && ok && s.number == r.pos.Segment {
		r.limit = s.size
		return true, nil
	}
	r.closeGap()
	if !ok {
		return false, nil
	}
	r.Close()
	f, err := os.Open(s.path(r.dir))
	if errors.Is(err, fs.ErrNotExist) {
		r.pos = Position{Segment: s.number + 1} // trimmed since: whoever trims has read it
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read journal: %w", err)
	}
	if s.number != r.pos.Segment {
		r.pos = Position{Segment: s.number}
	}
	r.pos.Offset = max(r.pos.Offset, headerBytes)
	r.file, r.limit, r.window = f, s.size, nil
	return true, nil
}

// fill reads on until the window has at least need bytes.
func (r *Reader) fill(need int) error {
	if cap(r.buf) < need {
		r.buf = make([]byte, max(need, readBytes))
	}
	n := copy(r.buf, r.window)
	end := min(int64(cap(r.buf)), r.limit-r.pos.Offset)
	m, err := r.file.ReadAt(r.buf[n:end], r.pos.Offset+int64(n))
	r.window = r.buf[:n+m]
	if len(r.window) >= need {
		return nil
	}
	if err == io.EOF {
		err = errors.New("the segment is shorter than it was")
	}
	return fmt.Errorf("read journal at %s: %w", r.pos, err)
}

// skip passes over bytes at which no record begins: to the next marker in the window, or to the end of the window
// but for the bytes that may be half a marker, or to the limit when no record fits before it.
func (r *Reader) skip() {
	n := int(r.limit - r.pos.Offset)
	if n >= frameBytes {
		if i := bytes.Index(r.window[1:], r.framing.marker[:]); i >= 0 {
			n = 1 + i
		} else {
			n = len(r.window) - (len(r.framing.marker) - 1)
		}
	}
	r.gap += int64(n)
	r.skipped += int64(n)
	r.drop(n)
}

// drop moves n bytes on; the window may have fewer.
func (r *Reader) drop(n int) {
	r.pos.Offset += int64(n)
	r.window = r.window[min(n, len(r.window)):]
}

func (r *Reader) closeGap() {
	if r.gap > 0 {
		r.log.Warn("damaged bytes in the journal were skipped", "up_to", r.pos.String(), "bytes", r.gap)
		r.gap = 0
	}
}
