package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/analysis"
	store "github.com/blevesearch/bleve_index_api"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
)

// space is one set of entries. On disk it is a log, a file of full vectors and the keyword index; in memory the table,
// the documents and their attributes.
type space struct {
	name     string
	dir      string
	config   Config
	log      *slog.Logger
	words    *words
	vectors  *os.File // full vectors of length one, row by row
	sequence atomic.Int64

	// write is held by whoever changes the space, from beginning to end. What it guards nobody else touches.
	write   sync.Mutex
	frames  *os.File
	size    int64           // of frames
	doomed  *roaring.Bitmap // rows that the keyword index still has to forget
	broken  error
	warning sync.Once

	// mu guards what a search reads. It is held for writing only while a change is made visible.
	mu         sync.RWMutex
	closed     bool
	dimensions int
	table      table
	documents  []entry
	ordinals   map[string]uint32
	unused     []uint32 // ordinals
	attributes *attributes
}

// entry is one document in memory.
type entry struct {
	id         string
	tier       caller.Tier
	attributes []byte // encoded, as in the log
	rows       []uint32
}

// errDamaged marks what is on disk but cannot be used.
var errDamaged = errors.New("damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errDamaged}, args...)...)
}

const (
	framesFile  = "log"
	vectorsFile = "vectors"
	wordsDir    = "words"
	brokenFile  = "broken"
)

// openSpace opens or creates a space. An error that is errDamaged means that the folder is to be thrown away.
func openSpace(dir string, config Config, queue *store.AnalysisQueue, analyzer analysis.Analyzer, log *slog.Logger) (_ *space, err error) {
	s := &space{
		name: filepath.Base(dir), dir: dir, config: config, log: log.With("space", filepath.Base(dir)),
		doomed: roaring.New(), ordinals: map[string]uint32{}, attributes: newAttributes(),
	}
	if _, err := os.Stat(s.path(brokenFile)); err == nil {
		return nil, damaged("a write did not finish")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.vectors, err = os.OpenFile(s.path(vectorsFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err = s.load(); err != nil {
		return nil, err
	}
	if s.words, err = openWords(s.path(wordsDir), queue, analyzer, config.WriteTimeout); err != nil {
		return nil, err
	}
	return s, s.reconcile()
}

func (s *space) path(name string) string { return filepath.Join(s.dir, name) }

// reconcile makes the keyword index hold the rows of the log and no others: a crash may have left some that were
// never made visible, or not yet removed. One that is missing cannot be made good from here.
func (s *space) reconcile() error {
	present, err := s.words.present()
	if err != nil {
		return err
	}
	live := roaring.New()
	for row, document := range s.table.docs {
		if document != noDocument {
			live.Add(uint32(row))
		} else {
			s.table.free = append(s.table.free, uint32(row))
		}
	}
	if missing := roaring.AndNot(live, present); !missing.IsEmpty() {
		return damaged("keywords: %d of %d entries are missing", missing.GetCardinality(), live.GetCardinality())
	}
	extra := roaring.AndNot(present, live).ToArray()
	if err := s.words.remove(extra); err != nil {
		return damaged("keywords: %w", err)
	}
	if s.table.vectors == 0 {
		return s.vectors.Truncate(0)
	}
	info, err := s.vectors.Stat()
	if err != nil {
		return err
	}
	if need := s.vectorsEnd(); info.Size() < need {
		return damaged("vectors: the file has %d bytes, %d are spoken of", info.Size(), need)
	}
	return nil
}

// vectorsEnd is where the last vector ends.
func (s *space) vectorsEnd() int64 {
	for i := len(s.table.docs) - 1; i >= 0; i-- {
		if s.table.docs[i] != noDocument && s.table.scales[i] != 0 {
			return s.vectorAt(uint32(i)) + int64(s.dimensions)*4
		}
	}
	return 0
}

func (s *space) vectorAt(row uint32) int64 { return int64(row) * int64(s.dimensions) * 4 }

// apply makes changes visible and returns the rows that they hid. dimensions 0 leaves them as they are.
func (s *space) apply(changes []change, dimensions int) (*roaring.Bitmap, error) {
	if dimensions > 0 && dimensions != s.dimensions {
		if s.table.vectors > 0 {
			return nil, damaged("log: the dimensions change from %d to %d", s.dimensions, dimensions)
		}
		s.dimensions = dimensions
		s.table.size(dimensions)
	}
	hidden := roaring.New()
	for _, c := range changes {
		values, err := decodeAttributes(c.attributes)
		if err != nil {
			return nil, err
		}
		ordinal, known := s.ordinals[c.id]
		if known {
			if err := s.forget(ordinal, hidden); err != nil {
				return nil, err
			}
		}
		if len(c.rows) == 0 {
			if known {
				delete(s.ordinals, c.id)
				s.documents[ordinal] = entry{}
				s.unused = append(s.unused, ordinal)
			}
			continue
		}
		if !known {
			ordinal = s.newOrdinal()
			s.ordinals[c.id] = ordinal
		}
		e := entry{id: c.id, tier: c.tier, attributes: c.attributes, rows: make([]uint32, len(c.rows))}
		for i, r := range c.rows {
			if int(r.number) < len(s.table.docs) && s.table.docs[r.number] != noDocument {
				return nil, damaged("log: row %d is given twice", r.number)
			}
			s.table.put(r, ordinal)
			e.rows[i] = r.number
			hidden.Remove(r.number)
		}
		s.documents[ordinal] = e
		s.attributes.add(ordinal, c.tier, values)
	}
	return hidden, nil
}

// forget hides the rows of a document and takes it out of the attributes.
func (s *space) forget(ordinal uint32, hidden *roaring.Bitmap) error {
	e := s.documents[ordinal]
	values, err := decodeAttributes(e.attributes)
	if err != nil {
		return err
	}
	s.attributes.remove(ordinal, e.tier, values)
	for _, row := range e.rows {
		s.table.hide(row)
		hidden.Add(row)
	}
	return nil
}

func (s *space) newOrdinal() uint32 {
	if n := len(s.unused); n > 0 {
		ordinal := s.unused[n-1]
		s.unused = s.unused[:n-1]
		return ordinal
	}
	s.documents = append(s.documents, entry{})
	return uint32(len(s.documents) - 1)
}

// count says how many rows a document has. Those it had before are out of the keyword index when a change returns.
func (s *space) count(documentID string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if ordinal, ok := s.ordinals[documentID]; ok {
		return len(s.documents[ordinal].rows)
	}
	return 0
}

func (s *space) ids() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]string, 0, len(s.ordinals))
	for id := range s.ordinals {
		out = append(out, id)
	}
	return out
}

func (s *space) stats() (index.Stats, error) {
	s.mu.RLock()
	out := index.Stats{Documents: len(s.ordinals), Chunks: s.table.live, Vectors: s.table.vectors}
	if s.table.vectors > 0 {
		out.Dimensions = s.dimensions
	}
	s.mu.RUnlock()
	err := filepath.WalkDir(s.dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			out.Bytes += info.Size()
		}
		return ignoreGone(err)
	})
	return out, err
}

// ignoreGone forgives a file that a merge removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

var errClosed = fault.New(fault.Unavailable, "index_closed", "the index was closed or its space dropped")

// close ends the space, after the change under way.
func (s *space) close() error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.release()
}

func (s *space) release() error {
	var err error
	if s.words != nil && !errors.Is(s.broken, errStuck) {
		err = s.words.close()
	}
	for _, f := range []*os.File{s.frames, s.vectors} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// compact takes what was removed off the disk.
func (s *space) compact(ctx context.Context) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.bury(); err != nil {
		return err
	}
	if err := s.rewrite(); err != nil {
		return err
	}
	return s.broke(s.words.compact(ctx))
}
