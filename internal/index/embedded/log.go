package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// load reads the log into memory. A frame that was not finished is cut off; nobody was told that it was there.
func (s *space) load() error {
	f, err := os.OpenFile(s.path(framesFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return s.createLog()
	}
	if err != nil {
		return err
	}
	s.frames = f
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, len(logHeader))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != logHeader {
		return damaged("log: it does not begin as one of this version")
	}
	var buffer []byte
	for s.size = int64(len(logHeader)); ; {
		sequence, payload, err := readFrame(r, end-s.size, buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, errTorn) {
			s.log.Info("cut off a change that was not finished", "bytes", end-s.size)
			return f.Truncate(s.size)
		}
		if err != nil {
			return err
		}
		dimensions, changes, err := decodeFrame(payload)
		if err != nil {
			return err
		}
		if _, err := s.apply(changes, dimensions); err != nil {
			return err
		}
		s.sequence.Store(max(sequence, s.sequence.Load()))
		s.size += frameHeader + int64(len(payload))
		buffer = payload
	}
}

// createLog makes an empty log, whole or not at all.
func (s *space) createLog() error {
	return s.replaceLog([]byte(logHeader))
}

// replaceLog puts a new log in the place of the old one.
func (s *space) replaceLog(content []byte) error {
	temporary := s.path(framesFile + ".new")
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(temporary, s.path(framesFile))
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		f.Close()
		return err
	}
	if s.frames != nil {
		s.frames.Close()
	}
	s.frames, s.size = f, int64(len(content))
	return nil
}

// rewrite writes the log anew with what the space holds now, and blanks the vectors of free rows.
func (s *space) rewrite() error {
	content := []byte(logHeader)
	var batch []change
	flush := func() (err error) {
		content, err = appendFrame(content, s.sequence.Load(), s.codeDimensions(), batch)
		batch = batch[:0]
		return err
	}
	for _, e := range s.documents {
		if e.rows == nil {
			continue
		}
		c := change{id: e.id, tier: e.tier, attributes: e.attributes, rows: make([]row, len(e.rows))}
		for i, n := range e.rows {
			c.rows[i] = s.table.row(n, s.dimensions)
		}
		if batch = append(batch, c); len(batch) == 256 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil { // the sequence, if nothing else
		return err
	}
	if err := s.replaceLog(content); err != nil {
		return fmt.Errorf("rewrite log: %w", err)
	}
	return s.blank(s.table.free)
}

// codeDimensions is the length of the codes that a frame speaks of; 0 while there are none.
func (s *space) codeDimensions() int {
	if s.table.vectors == 0 {
		return 0
	}
	return s.dimensions
}

// row returns a row as the log holds it.
func (t *table) row(n uint32, dimensions int) row {
	r := row{number: n, chunk: t.chunks[n], length: t.lengths[n], sums: t.sums[n], scale: t.scales[n]}
	if r.scale != 0 {
		r.codes = t.at(n, false)[:dimensions]
	}
	return r
}

// wasteful reports whether the log holds much more than what it says.
func (s *space) wasteful() bool {
	perRow := int64(80)
	if s.table.vectors > 0 {
		perRow += int64(s.table.stride)
	}
	return s.size > 8<<20+2*(int64(s.table.live)*perRow+int64(len(s.ordinals))*256)
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
