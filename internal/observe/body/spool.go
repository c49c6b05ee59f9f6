package body

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/id"
)

// block is one file of the spool. Its file and size belong to the worker until it is sealed; the rest to the spool's lock.
type block struct {
	id    string
	until time.Time
	born  time.Time
	path  string
	file  *os.File
	size  int64
	rows  []row
	ready bool // sealed
}

// row is where what is kept of a call is: which frame, and where in it.
type row struct {
	callID string
	what   int
	frame  int64
	at     int
}

// spool is the blocks that have no rows in the database yet.
type spool struct {
	mu     sync.Mutex
	blocks map[string]*block
	calls  map[string][]*block
	total  atomic.Int64
	more   chan struct{} // a block was sealed
	less   chan struct{} // closed when one has left
}

func (s *spool) init() {
	s.blocks, s.calls = map[string]*block{}, map[string][]*block{}
	s.more, s.less = make(chan struct{}, 1), make(chan struct{})
}

const suffix = ".block"

// create begins a block.
func (s *spool) create(dir string, until, now time.Time) (*block, error) {
	b := &block{id: id.At("block", now), until: until, born: now, size: int64(len(header))}
	b.path = filepath.Join(dir, strconv.FormatInt(micros(until), 10)+"."+b.id+suffix)
	file, err := os.OpenFile(b.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := file.WriteString(header); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(b.path))
	}
	b.file = file
	s.add(b)
	return b, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func (s *spool) add(b *block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks[b.id] = b
	s.total.Add(b.size)
	for _, r := range b.rows {
		s.calls[r.callID] = append(s.calls[r.callID], b)
	}
}

// append writes a frame at the end of a block, or nothing.
func (s *spool) append(b *block, frame []byte, rows []row) error {
	if _, err := b.file.WriteAt(frame, b.size); err != nil {
		return errors.Join(err, b.file.Truncate(b.size))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.size += int64(len(frame))
	s.total.Add(int64(len(frame)))
	b.rows = append(b.rows, rows...)
	for _, r := range rows {
		s.calls[r.callID] = append(s.calls[r.callID], b)
	}
	return nil
}

// seal ends a block: it goes to the bucket.
func (s *spool) seal(b *block) error {
	if err := b.file.Close(); err != nil {
		return err
	}
	b.file = nil
	s.mu.Lock()
	b.ready = true
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

// oldest is the sealed block that was begun first.
func (s *spool) oldest() *block {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first *block
	for _, b := range s.blocks {
		if b.ready && (first == nil || cmp.Compare(b.id, first.id) < 0) {
			first = b
		}
	}
	return first
}

// drop forgets a block whose rows are in the database, and removes its file.
func (s *spool) drop(b *block) error {
	s.mu.Lock()
	delete(s.blocks, b.id)
	s.total.Add(-b.size)
	for _, r := range b.rows {
		left := slices.DeleteFunc(s.calls[r.callID], func(other *block) bool { return other == b })
		if s.calls[r.callID] = left; len(left) == 0 {
			delete(s.calls, r.callID)
		}
	}
	close(s.less)
	s.less = make(chan struct{})
	s.mu.Unlock()
	return os.Remove(b.path)
}

// wait waits until the blocks that are sealed now have left.
func (s *spool) wait(ctx context.Context) error {
	ids := s.sealed()
	for {
		s.mu.Lock()
		less, left := s.less, 0
		for _, blockID := range ids {
			if s.blocks[blockID] != nil {
				left++
			}
		}
		s.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-less:
		}
	}
}

func (s *spool) sealed() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blocks {
		if b.ready {
			ids = append(ids, b.id)
		}
	}
	return ids
}

// find returns what the spool has of a call.
func (s *spool) find(callID string) (found []found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.calls[callID] {
		for _, r := range b.rows {
			if r.callID == callID {
				found = append(found, foundIn(r, b))
			}
		}
	}
	return found
}

// open opens a block's file; false where it is not here any more.
func (s *spool) open(blockID string) (*os.File, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blocks[blockID]
	if b == nil {
		return nil, false
	}
	file, err := os.Open(b.path)
	return file, err == nil
}

// bytes is what the blocks take.
func (s *spool) bytes() int64 { return s.total.Load() }

func (s *spool) full(most int64) bool { return s.bytes() >= most }

func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, b := range s.blocks {
		if b.file != nil {
			errs = append(errs, b.file.Close())
			b.file = nil
		}
	}
	return errors.Join(errs...)
}

// recover reads the blocks that an earlier process left, cuts off what is half written, and has them sent on.
func (s *Store) recover() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		until, blockID, ok := strings.Cut(strings.TrimSuffix(e.Name(), suffix), ".")
		n, err := strconv.ParseInt(until, 10, 64)
		if !ok || err != nil || !strings.HasSuffix(e.Name(), suffix) || !e.Type().IsRegular() {
			continue
		}
		b := &block{id: blockID, born: time.Now(), path: filepath.Join(s.Dir, e.Name()), ready: true}
		if n != 0 {
			b.until = time.UnixMicro(n).UTC()
		}
		torn, err := b.read()
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
		if torn > 0 {
			s.Log.Warn("the end of a block of bodies was half written when an earlier process ended", "block", b.id, "bytes", torn)
		}
		if len(b.rows) == 0 {
			if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		s.spool.add(b)
	}
	if len(s.spool.blocks) > 0 {
		s.spool.more <- struct{}{}
	}
	return nil
}

// read finds the rows of a block from its frames, and cuts off what comes after the last whole one.
func (b *block) read() (torn int64, err error) {
	file, err := os.OpenFile(b.path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	stat, err := file.Stat()
	if err != nil {
		return 0, err
	}
	b.size = int64(len(header))
	head := make([]byte, len(header))
	if _, err := file.ReadAt(head, 0); errors.Is(err, io.EOF) || err == nil && string(head) != header {
		return stat.Size(), nil
	} else if err != nil {
		return 0, err
	}
	for b.size < stat.Size() {
		raw, next, err := readFrame(file, b.size)
		if errors.Is(err, errDamaged) || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		rows, err := rowsOf(raw, b.size)
		if err != nil {
			break
		}
		b.rows, b.size = append(b.rows, rows...), next
	}
	if torn = stat.Size() - b.size; torn > 0 {
		return torn, file.Truncate(b.size)
	}
	return 0, nil
}

// rowsOf lists the records of a frame.
func rowsOf(raw []byte, frame int64) (rows []row, err error) {
	for at := 0; at < len(raw); {
		kind, content, next, err := nextEntry(raw, at)
		if err != nil {
			return nil, err
		}
		if kind == entryCall {
			callID, what, err := name(content)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{callID: callID, what: what, frame: frame, at: at})
		}
		at = next
	}
	return rows, nil
}
