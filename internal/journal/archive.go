package journal

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"airfield/internal/fault"
)

// Archive is the journal of a process that is gone, opened to be read and not changed.
type Archive struct {
	dir      string
	id       string
	segments []segment
	lock     *os.File
	log      *slog.Logger
}

// OpenReader opens the journal in dir for reading only. It refuses one that a living process holds, and keeps
// such a process out until Close.
func OpenReader(dir string, log *slog.Logger) (*Archive, error) {
	segments, err := listSegments(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(segments) == 0 {
		return nil, fault.New(fault.NotFound, "journal_not_found", "there is no journal in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir, os.O_RDONLY)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a copy may have come without the file
		return nil, err
	}
	a := &Archive{dir: dir, lock: lock, log: log}
	// Once more under the lock: the process may have ended, and written, in between.
	if a.segments, err = listSegments(dir); err == nil {
		a.id, err = readID(dir, a.segments)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// ID is the journal's own id, under which positions in it are kept; empty when it holds no record.
func (a *Archive) ID() string { return a.id }

// Reader returns a reader that ends with io.EOF.
func (a *Archive) Reader(from Position) *Reader {
	return newReader(a, a.dir, framingOf(a.id), from, a.log)
}

// Close lets other processes in again.
func (a *Archive) Close() error {
	if a.lock == nil {
		return nil
	}
	return a.lock.Close()
}

func (a *Archive) locate(p Position) (segment, bool) { return locate(a.segments, p) }

func (a *Archive) wait(context.Context, Position) error { return io.EOF }
