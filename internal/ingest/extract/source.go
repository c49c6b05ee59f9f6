package extract

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"airfield/internal/fault"
)

// source is one opened file with what was said about it.
type source struct {
	request
	file *os.File
	size int64
	head []byte // its first bytes, for finding the type
}

const headBytes = 64 << 10

// open checks what can be told before reading: it is there, is a file, is not empty, is not too large.
func open(r request) (*source, error) {
	file, err := os.Open(r.Path)
	if err != nil {
		return nil, fault.New(fault.Unavailable, CodeUnreadable, "%q cannot be opened: %w", r.Name, err)
	}
	src := &source{request: r, file: file}
	if err := src.check(); err != nil {
		file.Close()
		return nil, err
	}
	return src, nil
}

func (s *source) check() error {
	stat, err := s.file.Stat()
	if err != nil {
		return fault.New(fault.Unavailable, CodeUnreadable, "%q cannot be opened: %w", s.Name, err)
	}
	s.size = stat.Size()
	switch {
	case !stat.Mode().IsRegular():
		return fault.New(fault.Invalid, CodeUnreadable, "%q is not a file", s.Name)
	case s.size == 0:
		return fault.New(fault.Invalid, CodeEmpty, "%q is empty: it has no bytes", s.Name).
			Hinted("was the upload cut off? Send it again")
	case s.size > s.Config.MaxBytes:
		return fault.New(fault.TooLarge, CodeTooLarge, "%q has %d bytes; the most that is read is %d", s.Name, s.size, s.Config.MaxBytes).
			Hinted("split it, or raise extract.max_bytes")
	}
	s.head, err = io.ReadAll(io.NewSectionReader(s.file, 0, headBytes))
	if err != nil {
		return fault.New(fault.Unavailable, CodeUnreadable, "%q cannot be read: %w", s.Name, err)
	}
	return nil
}

// bytes reads the whole file, no more than it had when it was opened.
func (s *source) bytes() ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(s.size) + bytes.MinRead)
	if _, err := io.Copy(&b, io.NewSectionReader(s.file, 0, s.size)); err != nil {
		return nil, fmt.Errorf("read %q: %w", s.Name, err)
	}
	return b.Bytes(), nil
}

// text reads the whole file as UTF-8, whatever its charset is.
func (s *source) text() (string, error) {
	raw, err := s.bytes()
	if err != nil {
		return "", err
	}
	return decode(raw), nil
}
