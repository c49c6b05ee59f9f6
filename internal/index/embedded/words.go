package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/document"
	"github.com/blevesearch/bleve/v2/index/scorch"
	store "github.com/blevesearch/bleve_index_api"
)

const (
	textField = "text"
	// maxBatch bounds how many passages are analysed and held in memory at once.
	maxBatch = 1000
)

// words is the inverted index of a space: bleve's storage, which knows passages only by their row. What a row is, and
// whether anybody may see it, is the table's business.
type words struct {
	dir      string
	timeout  time.Duration
	analyzer analysis.Analyzer
	scorch   *scorch.Scorch

	mu   sync.Mutex
	rows map[uint64][]uint32 // of each segment: the row of each of its documents

	scores sync.Pool // of *[]float32, all zero
}

// openWords opens or creates the inverted index of a folder. Damage comes back as an error, also where bleve panics.
func openWords(dir string, queue *store.AnalysisQueue, analyzer analysis.Analyzer, timeout time.Duration) (w *words, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged("keywords: %v", r)
		}
	}()
	if err := checkSegments(dir); err != nil {
		return nil, err
	}
	opened, err := scorch.NewScorch(scorch.Name, map[string]any{
		"path": dir, "numSnapshotsToKeep": 1, "bolt_timeout": "1s", "rollbackSamplingInterval": "0s",
		// bleve's floor of 2000 would rewrite all of a small index with every change.
		"scorchMergePlanOptions": map[string]any{"FloorSegmentSize": 100},
	}, queue)
	if err != nil {
		return nil, fmt.Errorf("make keyword index: %w", err)
	}
	if err := opened.Open(); err != nil {
		return nil, damaged("keywords: %w", err)
	}
	return &words{dir: dir, timeout: timeout, analyzer: analyzer, scorch: opened.(*scorch.Scorch), rows: map[uint64][]uint32{}}, nil
}

// checkSegments compares every segment file with the checksum at its end, before it is mapped into memory, where damage
// would be a fault. One that fails is removed: a crash leaves half-written ones that nothing refers to, and where
// something does, passages will be missing.
func checkSegments(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.zap"))
	if err != nil {
		return err
	}
	for _, name := range files {
		err := checkSegment(name)
		if errors.Is(err, errDamaged) {
			err = os.Remove(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkSegment(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var want [4]byte
	sum := crc32.NewIEEE()
	if size >= 4 {
		if _, err := io.Copy(sum, io.NewSectionReader(f, 0, size-4)); err != nil {
			return err
		}
		if _, err := f.ReadAt(want[:], size-4); err != nil {
			return err
		}
	}
	if size < 4 || sum.Sum32() != binary.BigEndian.Uint32(want[:]) {
		return damaged("keywords: %s does not have its checksum", filepath.Base(name))
	}
	return nil
}

func rowID(row uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], row)
	return string(b[:])
}

// add stores passages, durably, and returns how many terms each has.
func (w *words) add(ctx context.Context, rows []uint32, passages []string) ([]uint32, error) {
	lengths := make([]uint32, len(rows))
	for from := 0; from < len(rows); from += maxBatch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to := min(from+maxBatch, len(rows))
		batch, fields := store.NewBatch(), make([]*document.TextField, to-from)
		for i := range fields {
			fields[i] = document.NewTextFieldCustom(textField, nil, []byte(passages[from+i]), store.IndexField, w.analyzer)
			doc := document.NewDocument(rowID(rows[from+i]))
			doc.AddField(fields[i])
			batch.Update(doc)
		}
		if err := w.apply(batch); err != nil {
			return nil, err
		}
		for i, f := range fields {
			lengths[from+i] = uint32(f.AnalyzedLength())
		}
	}
	return lengths, nil
}

// remove takes rows out, durably.
func (w *words) remove(rows []uint32) error {
	if len(rows) == 0 {
		return nil
	}
	batch := store.NewBatch()
	for _, row := range rows {
		batch.Delete(rowID(row))
	}
	return w.apply(batch)
}

var errStuck = errors.New("the keyword index does not finish a write")

// apply waits for a batch to be on disk.
func (w *words) apply(batch *store.Batch) error {
	if err := w.bounded(func() error { return w.scorch.Batch(batch) }); err != nil {
		return fmt.Errorf("write keywords: %w", err)
	}
	return nil
}

// bounded gives up waiting for bleve: where its files are damaged its writers may die with locks held, and what waits for
// them does not come back.
func (w *words) bounded(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(w.timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errStuck
	}
}

// reader returns the present state of the index; close it.
func (w *words) reader() (*scorch.IndexSnapshot, error) {
	r, err := w.scorch.Reader()
	if err != nil {
		return nil, fmt.Errorf("read keywords: %w", err)
	}
	snapshot, ok := r.(*scorch.IndexSnapshot)
	if !ok || snapshot == nil {
		return nil, errors.New("read keywords: the index is closed")
	}
	return snapshot, nil
}

// rowsOf returns the row of each document of a segment. Segments never change, so it is read once for each.
func (w *words) rowsOf(segment *scorch.SegmentSnapshot) ([]uint32, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rows, ok := w.rows[segment.Id()]; ok {
		return rows, nil
	}
	rows := make([]uint32, segment.Segment().Count())
	for i := range rows {
		b, err := segment.Segment().DocID(uint64(i))
		if err != nil || len(b) != 4 {
			return nil, damaged("keywords: entry %d has no row (%v)", i, err)
		}
		rows[i] = binary.BigEndian.Uint32(b)
	}
	w.rows[segment.Id()] = rows
	return rows, nil
}

// forget drops what is remembered of segments that are gone.
func (w *words) forget(snapshot *scorch.IndexSnapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rows) <= len(snapshot.Segments()) {
		return
	}
	live := make(map[uint64]bool)
	for _, s := range snapshot.Segments() {
		live[s.Id()] = true
	}
	for id := range w.rows {
		if !live[id] {
			delete(w.rows, id)
		}
	}
}

// borrow returns n zeros.
func (w *words) borrow(n int) []float32 {
	if s, _ := w.scores.Get().(*[]float32); s != nil && cap(*s) >= n {
		return (*s)[:n]
	}
	return make([]float32, n, n+n/8)
}

func (w *words) giveBack(scores []float32) {
	clear(scores)
	w.scores.Put(&scores)
}

// present returns all rows that the index holds.
func (w *words) present() (rows *roaring.Bitmap, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged("keywords: %v", r)
		}
	}()
	snapshot, err := w.reader()
	if err != nil {
		return nil, err
	}
	defer snapshot.Close()
	rows = roaring.New()
	for _, s := range snapshot.Segments() {
		of, err := w.rowsOf(s)
		if err != nil {
			return nil, err
		}
		for i, row := range of {
			if gone := s.Deleted(); gone == nil || !gone.Contains(uint32(i)) {
				rows.Add(row)
			}
		}
	}
	return rows, nil
}

// compact rewrites the index without what was removed, and waits until the old files are gone. bleve does not rewrite a
// segment that has no other to be merged with, hence the placeholder; and it sweeps old files when something was written.
func (w *words) compact(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.timeout, fmt.Errorf("merging the keyword index takes longer than %s", w.timeout))
	defer cancel()
	placeholder := rowID(noDocument)
	for {
		if clean, err := w.clean(); clean || err != nil {
			return err
		}
		batch := store.NewBatch()
		batch.Update(document.NewDocument(placeholder))
		if err := w.apply(batch); err != nil {
			return err
		}
		if err := w.scorch.ForceMerge(ctx, nil); err != nil {
			return fmt.Errorf("merge keywords: %w", err)
		}
		batch.Reset()
		batch.Delete(placeholder)
		if err := w.apply(batch); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// clean reports whether no segment holds removed passages and no old file is left.
func (w *words) clean() (bool, error) {
	snapshot, err := w.reader()
	if err != nil {
		return false, err
	}
	defer snapshot.Close()
	for _, s := range snapshot.Segments() {
		rows, err := w.rowsOf(s)
		if err != nil {
			return false, err
		}
		if gone := s.Deleted(); gone != nil {
			for it := gone.Iterator(); it.HasNext(); {
				if rows[it.Next()] != noDocument {
					return false, nil
				}
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "*.zap"))
	return len(files) <= len(snapshot.Segments()), err
}

func (w *words) close() error {
	if err := w.bounded(w.scorch.Close); err != nil {
		return fmt.Errorf("close keywords: %w", err)
	}
	return nil
}
