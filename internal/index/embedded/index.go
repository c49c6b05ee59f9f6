// Package embedded is the index that runs inside the process, for everything that fits one machine: vectors as 8-bit
// codes in memory, scanned whole behind a bitmap filter and compared again in full; keywords in an inverted index on
// disk. It can be opened again by itself, survives a crash at any moment, and where its files are damaged it begins
// again empty, with sequence 0, to be fed from the database. app opens it.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/blevesearch/bleve/v2/analysis"
	store "github.com/blevesearch/bleve_index_api"
	"golang.org/x/sync/errgroup"

	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/index/analyze"
)

// Index is the embedded index of one data folder.
type Index struct {
	dir      string
	config   Config
	log      *slog.Logger
	lock     *os.File
	queue    *store.AnalysisQueue
	analyzer analysis.Analyzer

	births sync.Mutex // held while a space is made or dropped
	claims claims

	mu     sync.RWMutex
	closed bool
	spaces map[string]*space
}

var _ index.Index = (*Index)(nil)

// Open opens the spaces of a folder, which it makes if need be. Damaged spaces are thrown away and logged.
func Open(dir string, config Config, log *slog.Logger) (*Index, error) {
	if _, err := config.Check(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	analyzer, err := analyze.New()
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	x := &Index{
		dir: dir, config: config, log: log, lock: lock, analyzer: analyzer,
		queue: store.NewAnalysisQueue(config.workers()), spaces: map[string]*space{},
	}
	if err := x.openAll(); err != nil {
		return nil, errors.Join(fmt.Errorf("open index: %w", err), x.Close())
	}
	return x, nil
}

func (x *Index) openAll() error {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(x.config.workers())
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), dropped) {
			if err := os.RemoveAll(filepath.Join(x.dir, e.Name())); err != nil {
				return err
			}
		} else if e.IsDir() && validSpace.MatchString(e.Name()) {
			group.Go(func() error { return x.openOne(e.Name()) })
		}
	}
	return group.Wait()
}

// openOne opens a space, anew where its files are damaged.
func (x *Index) openOne(name string) error {
	s, err := x.open(name)
	if errors.Is(err, errDamaged) && !resource(err) {
		x.log.Warn("threw a damaged index away; it is built again from the database", "space", name, "err", err)
		if err := x.erase(name); err != nil {
			return err
		}
		s, err = x.open(name)
	}
	if err != nil {
		return fmt.Errorf("space %s: %w", name, err)
	}
	x.mu.Lock()
	x.spaces[name] = s
	x.mu.Unlock()
	return nil
}

func (x *Index) open(name string) (*space, error) {
	return openSpace(filepath.Join(x.dir, name), x.config, x.queue, x.analyzer, x.log)
}

// resource tells want of room, rights or descriptors from damage: what is on disk is not to blame.
func resource(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) ||
		errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EROFS)
}

// dropped begins the name of a folder that is on its way out.
const dropped = ".dropped-"

// erase removes the folder of a space; a crash half-way leaves nothing that would be opened.
func (x *Index) erase(name string) error {
	away := filepath.Join(x.dir, dropped+name)
	if err := os.RemoveAll(away); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(x.dir, name), away); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syncDir(x.dir); err != nil {
		return err
	}
	return os.RemoveAll(away)
}

var validSpace = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$`)

// get returns a space, nil if there is none.
func (x *Index) get(ctx context.Context, name string) (*space, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, errClosed
	}
	return x.spaces[name], ctx.Err()
}

// obtain returns a space, made if there was none.
func (x *Index) obtain(ctx context.Context, name string) (*space, error) {
	if !validSpace.MatchString(name) {
		return nil, fault.New(fault.Invalid, "invalid_space", "%.64q cannot be the name of a space: letters, digits, _ and -", name)
	}
	x.births.Lock()
	defer x.births.Unlock()
	if s, err := x.get(ctx, name); s != nil || err != nil {
		return s, err
	}
	if err := x.openOne(name); err != nil {
		return nil, err
	}
	return x.get(ctx, name)
}

func (x *Index) Replace(ctx context.Context, name string, documents []index.Document, sequence int64) error {
	c, err := x.Claim(ctx, name)
	if err != nil {
		return err
	}
	defer c.Release()
	return c.Replace(ctx, documents, sequence)
}

func (x *Index) replace(ctx context.Context, name string, documents []index.Document, sequence int64) error {
	s, err := x.get(ctx, name)
	if err != nil {
		return err
	}
	if s == nil {
		if _, _, err := index.Normal(documents, 0); err != nil { // what is refused makes no space
			return err
		}
		if s, err = x.obtain(ctx, name); err != nil {
			return err
		}
	}
	return s.replace(ctx, documents, sequence)
}

func (x *Index) Sequence(ctx context.Context, name string) (int64, error) {
	s, err := x.get(ctx, name)
	if s == nil {
		return 0, err
	}
	return s.sequence.Load(), nil
}

func (x *Index) Search(ctx context.Context, q index.Query) (index.Hits, error) {
	q, err := q.Normal()
	if err != nil {
		return index.Hits{}, err
	}
	s, err := x.get(ctx, q.Space)
	if s == nil {
		return index.Hits{}, err
	}
	return s.search(ctx, q)
}

func (x *Index) Drop(ctx context.Context, name string) error {
	c, err := x.Claim(ctx, name)
	if err != nil {
		return err
	}
	defer c.Release()
	return c.Drop(ctx)
}

func (x *Index) drop(ctx context.Context, name string) error {
	if !validSpace.MatchString(name) {
		return nil // it cannot exist
	}
	x.births.Lock()
	defer x.births.Unlock()
	s, err := x.get(ctx, name)
	if err != nil {
		return err
	}
	x.mu.Lock()
	delete(x.spaces, name)
	x.mu.Unlock()
	if s != nil {
		if err := s.close(); err != nil {
			x.log.Warn("closing a dropped space", "space", name, "err", err)
		}
	}
	if err := x.erase(name); err != nil {
		return fmt.Errorf("drop space %s: %w", name, err)
	}
	return nil
}

func (x *Index) Count(ctx context.Context, name, documentID string) (int, error) {
	s, err := x.get(ctx, name)
	if s == nil {
		return 0, err
	}
	return s.count(documentID), nil
}

func (x *Index) Documents(ctx context.Context, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s, err := x.get(ctx, name)
		if err != nil {
			yield("", err)
			return
		}
		if s == nil {
			return
		}
		for _, id := range s.ids() {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (x *Index) Spaces(ctx context.Context) ([]string, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, errClosed
	}
	names := make([]string, 0, len(x.spaces))
	for name := range x.spaces {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, ctx.Err()
}

func (x *Index) Stats(ctx context.Context, name string) (index.Stats, error) {
	s, err := x.get(ctx, name)
	if s == nil {
		return index.Stats{}, err
	}
	return s.stats()
}

func (x *Index) Compact(ctx context.Context, name string) error {
	s, err := x.get(ctx, name)
	if s == nil {
		return err
	}
	return s.compact(ctx)
}

// Close waits for changes under way and gives the folder free.
func (x *Index) Close() error {
	x.births.Lock()
	defer x.births.Unlock()
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	spaces := x.spaces
	x.spaces = nil
	x.mu.Unlock()
	var err error
	for _, s := range spaces {
		err = errors.Join(err, s.close())
	}
	x.queue.Close()
	return errors.Join(err, x.lock.Close())
}
