package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// Spool keeps what a backend got while it listed, on disk, until the next part is listed: it is read from there, and not
// asked for a second time. One goroutine writes; several may read.
type Spool struct {
	file   *os.File
	size   int64
	pieces map[string]piece
}

type piece struct{ offset, size int64 }

// NewSpool makes one in a folder, without a name: it is gone with the process, however that ends.
func NewSpool(dir string) (*Spool, error) {
	f, err := os.CreateTemp(dir, "listed-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for what is listed: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("make a file for what is listed: %w", err)
	}
	return &Spool{file: f, pieces: map[string]piece{}}, nil
}

// Kept is what was put in.
type Kept struct {
	Size   int64
	SHA256 string
	Over   bool // it has more than the limit, and was not kept
}

// Put keeps what r has, up to a limit.
func (s *Spool) Put(key string, r io.Reader, limit int64) (Kept, error) {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(io.NewOffsetWriter(s.file, s.size), h), io.LimitReader(r, limit+1))
	if err != nil || n > limit {
		return Kept{Size: n, Over: n > limit}, err
	}
	s.pieces[key] = piece{s.size, n}
	s.size += n
	return Kept{Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// Open reads what was put in.
func (s *Spool) Open(key string) (io.ReadCloser, bool) {
	p, ok := s.pieces[key]
	return io.NopCloser(io.NewSectionReader(s.file, p.offset, p.size)), ok
}

// Drop forgets what was put in last.
func (s *Spool) Drop(key string) {
	if p, ok := s.pieces[key]; ok && p.offset+p.size == s.size {
		s.size = p.offset
	}
	delete(s.pieces, key)
}

// Full reports whether it is time to hand over what was listed.
func (s *Spool) Full() bool { return len(s.pieces) >= 256 || s.size >= 256<<20 }

// Reset empties it.
func (s *Spool) Reset() error {
	clear(s.pieces)
	s.size = 0
	return s.file.Truncate(0)
}

// Close gives the space back.
func (s *Spool) Close() error { return s.file.Close() }
