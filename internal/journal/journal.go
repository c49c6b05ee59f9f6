package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"airfield/internal/fault"
	"airfield/internal/id"
)

// Journal is an open journal. Its methods may be called at once from many goroutines.
type Journal struct {
	dir     string
	id      string
	config  Config
	framing framing
	lock    *os.File
	log     *slog.Logger
	torn    int64

	trimming sync.Mutex // one Trim at a time; taken before mu

	mu       sync.Mutex
	segments []segment // oldest first; the last is appended to
	file     *os.File  // of the last segment; used by the one that leads a batch, or under mu when nobody does
	rotate   bool      // the last segment must not be appended to any more
	filling  *batch    // what the next write will bring
	spare    []*batch
	writing  bool  // somebody leads a batch
	alone    int   // batches of one record since the last of more
	bytes    int64 // in segments and in batches on their way
	appended uint64
	arrival  chan struct{} // closed at the next commit; nil when no reader waits
	closed   bool
}

// Stats is what a journal says about itself.
type Stats struct {
	Bytes    int64  // on disk
	MaxBytes int64  // how much there may be
	Segments int    // files
	Appended uint64 // records since Open
	Torn     int64  // bytes of half-written records that Open cut off
	Oldest   Position
	Tail     Position // after the last record
}

// Open opens the journal in dir, making it if there is none. Bytes of a record that a dying process left half
// written are cut off and logged. A second process is refused with a fault.Conflict.
func Open(dir string, c Config, log *slog.Logger) (*Journal, error) {
	if _, err := c.Check(); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	lock, err := lockDir(dir, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, config: c, lock: lock, log: log}
	if err := j.resume(); err != nil {
		lock.Close()
		return nil, err
	}
	j.filling = newBatch(&j.mu)
	return j, nil
}

// resume finds what an earlier process left, cuts off a torn end and begins a new segment.
func (j *Journal) resume() error {
	segments, err := listSegments(j.dir)
	if err != nil {
		return err
	}
	if j.id, err = readID(j.dir, segments); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if j.id == "" {
		j.id = id.New(idPrefix)
	}
	j.framing = framingOf(j.id)
	next := uint64(1)
	if n := len(segments); n > 0 {
		next = segments[n-1].number + 1
		if err := j.cutTornEnd(&segments[n-1]); err != nil {
			return err
		}
	}
	file, current, err := createSegment(j.dir, j.id, next)
	if err != nil {
		return writeError(err)
	}
	j.file = file
	for _, s := range segments {
		if s.size > headerBytes {
			j.segments = append(j.segments, s)
			j.bytes += s.size
		} else if err := os.Remove(s.path(j.dir)); err != nil {
			j.log.Warn("an empty journal segment could not be removed", "error", err)
		}
	}
	j.segments = append(j.segments, current)
	j.bytes += current.size
	return nil
}

// cutTornEnd truncates s after its last whole record.
func (j *Journal) cutTornEnd(s *segment) error {
	if s.size <= headerBytes {
		return nil
	}
	a := &Archive{dir: j.dir, id: j.id, segments: []segment{*s}, log: slog.New(slog.DiscardHandler)}
	r := a.Reader(Position{})
	defer r.Close()
	end := int64(headerBytes)
	for {
		_, next, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("open journal: %w", err)
		}
		end = next.Offset
	}
	if end == s.size {
		return nil
	}
	j.torn = s.size - end
	j.log.Warn("the journal ended in a half-written record, which was cut off", "segment", s.number, "bytes", j.torn)
	if err := os.Truncate(s.path(j.dir), end); err != nil {
		return fmt.Errorf("cut off a half-written record: %w", err)
	}
	s.size = end
	return nil
}

// ID is the journal's own id, made once for its folder. A database keeps positions under it.
func (j *Journal) ID() string { return j.id }

// Reader returns a reader that begins at from and follows what is appended. A position after the tail is of
// another history of this folder (an old copy put back): every read then is a fault.Conflict.
func (j *Journal) Reader(from Position) *Reader {
	r := newReader(j, j.dir, j.framing, from, j.log)
	if tail := j.Stats().Tail; from.Compare(tail) > 0 {
		r.err = fault.New(fault.Conflict, "journal_position", "the position %s is after the end of the journal in %s, %s", from, j.dir, tail).
			Hinted("the folder was put back from an older copy: move it away and start again")
	}
	return r
}

// Trim removes the segments all of whose records are before upTo.
func (j *Journal) Trim(upTo Position) error {
	j.trimming.Lock()
	defer j.trimming.Unlock()
	j.mu.Lock()
	var done []segment
	for _, s := range j.segments[:len(j.segments)-1] {
		if (Position{s.number, s.size}).Compare(upTo) > 0 {
			break
		}
		done = append(done, s)
	}
	j.mu.Unlock()
	var removed int
	var freed int64
	var err error
	for _, s := range done { // outside mu: taking away a large file takes its time
		if e := os.Remove(s.path(j.dir)); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = fmt.Errorf("trim journal: %w", e)
			break
		}
		removed++
		freed += s.size
	}
	j.mu.Lock()
	j.segments = slices.Delete(j.segments, 0, removed)
	j.bytes -= freed
	j.mu.Unlock()
	return err
}

// Stats reports size and positions.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Stats{
		Bytes: j.bytes, MaxBytes: j.config.MaxBytes, Segments: len(j.segments), Appended: j.appended, Torn: j.torn,
		Oldest: Position{j.segments[0].number, headerBytes}, Tail: j.tail(),
	}
}

// Close waits for the append under way, makes everything durable and lets other processes in. Readers may go on
// to the end.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	for j.writing || j.filling.waiters > 0 {
		if j.writing {
			j.filling.cond.Wait()
		} else {
			j.lead() // the signal to lead may have come here instead of to an appender
		}
	}
	j.announce()
	return errors.Join(j.file.Sync(), j.file.Close(), j.lock.Close())
}

// tail is the position after the last record. It needs mu.
func (j *Journal) tail() Position {
	s := j.segments[len(j.segments)-1]
	return Position{s.number, s.size}
}

// announce wakes the readers that wait. It needs mu.
func (j *Journal) announce() {
	if j.arrival != nil {
		close(j.arrival)
		j.arrival = nil
	}
}

func (j *Journal) locate(p Position) (segment, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return locate(j.segments, p)
}

func (j *Journal) wait(ctx context.Context, p Position) error {
	j.mu.Lock()
	if _, ok := locate(j.segments, p); ok {
		j.mu.Unlock()
		return nil
	}
	if j.closed {
		j.mu.Unlock()
		return io.EOF
	}
	if j.arrival == nil {
		j.arrival = make(chan struct{})
	}
	arrival := j.arrival
	j.mu.Unlock()
	select {
	case <-arrival:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// writeError is what a caller of Append or Open sees when the disk refuses.
func writeError(err error) error {
	if diskFull(err) {
		return fault.New(fault.Unavailable, "disk_full", "the disk of the journal is full: %w", err).
			Hinted("free space in the data folder")
	}
	return fmt.Errorf("write journal: %w", err)
}
