package embedded

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/zeebo/xxh3"

	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/index/analyze"
)

// addition is a passage that needs a row of its own: it is new, or its text or its vector changed.
type addition struct {
	row    *row
	text   string
	vector []byte // as on disk
}

// replace applies a change. The order is what makes it whole: vectors and keywords of new rows first, which nobody can
// see; then the frame, which is the change; then memory, for all searches at once; then what is no longer needed goes.
// Wherever it is cut off, opening the space again finds the state before or after.
func (s *space) replace(ctx context.Context, documents []index.Document, sequence int64) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	documents, dimensions, err := index.Normal(documents, s.codeDimensions())
	if err != nil {
		return err
	}
	if err := s.bury(); err != nil { // what an earlier change could not finish
		return err
	}
	changes, additions := s.compare(documents)
	if dimensions == 0 {
		dimensions = s.dimensions
	}
	rows := s.reserve(additions)
	if err := s.prepare(ctx, rows, additions, dimensions); err != nil {
		s.doomed.AddMany(rows)
		return s.broke(err)
	}
	sequence = max(sequence, s.sequence.Load())
	if err := s.append(sequence, dimensions, changes); err != nil {
		s.doomed.AddMany(rows)
		return s.broke(err)
	}
	s.mu.Lock()
	hidden, err := s.apply(changes, dimensions)
	s.mu.Unlock()
	if err != nil {
		return s.broke(err)
	}
	s.sequence.Store(sequence)
	s.doomed.Or(hidden)
	if err := s.bury(); err != nil {
		return err
	}
	if s.wasteful() {
		return s.rewrite()
	}
	return nil
}

// usable reports why the space cannot be changed now.
func (s *space) usable(ctx context.Context) error {
	switch {
	case s.closed:
		return errClosed
	case s.broken != nil:
		return fault.New(fault.Unavailable, "index_broken", "the index cannot be written until a restart rebuilds it: %w", s.broken)
	}
	return ctx.Err()
}

// broke remembers an error after which disk and memory may differ: the space is built anew at the next start.
func (s *space) broke(err error) error {
	if errors.Is(err, errStuck) || errors.Is(err, errDamaged) {
		s.broken = err
		if f, ferr := os.Create(s.path(brokenFile)); ferr == nil {
			f.Close()
		}
	}
	return err
}

// compare finds out what of the documents is new. A chunk of unchanged text and vector keeps its row.
func (s *space) compare(documents []index.Document) ([]change, []addition) {
	changes := make([]change, 0, len(documents))
	var additions []addition
	for _, d := range documents {
		old := map[string]uint32{}
		ordinal, known := s.ordinals[d.ID]
		if known {
			for _, row := range s.documents[ordinal].rows {
				old[s.table.chunks[row]] = row
			}
		}
		if len(d.Chunks) == 0 {
			if known {
				changes = append(changes, change{id: d.ID})
			}
			continue
		}
		c := change{id: d.ID, tier: d.Tier, attributes: encodeAttributes(d.Attributes), rows: make([]row, len(d.Chunks))}
		for i, chunk := range d.Chunks {
			var vector []byte
			if chunk.Vector != nil {
				vector = vectorBytes(unit(chunk.Vector))
			}
			r := &c.rows[i]
			*r = row{chunk: chunk.ID, sums: sums{textSum(chunk), xxh3.Hash(vector)}}
			if was, ok := old[chunk.ID]; ok && s.table.sums[was] == r.sums {
				*r = s.table.row(was, s.dimensions)
				r.codes = nil // it has them
				continue
			}
			additions = append(additions, addition{r, analyze.Passage(chunk.Title, chunk.Heading, chunk.Text), vector})
		}
		changes = append(changes, c)
	}
	return changes, additions
}

func textSum(c index.Chunk) uint64 {
	var b []byte
	for _, part := range []string{c.Title, c.Heading, c.Text} {
		b = appendText(b, part)
	}
	return xxh3.Hash(b)
}

// reserve gives every addition a row that nobody sees.
func (s *space) reserve(additions []addition) []uint32 {
	s.mu.Lock()
	rows := s.table.reserve(len(additions))
	s.mu.Unlock()
	slices.Sort(rows)
	for i := range additions {
		additions[i].row.number = rows[i]
	}
	return rows
}

// prepare writes vectors and keywords of the additions, durably.
func (s *space) prepare(ctx context.Context, rows []uint32, additions []addition, dimensions int) error {
	texts := make([]string, len(additions))
	wrote := false
	for i, a := range additions {
		texts[i] = a.text
		if a.vector == nil {
			continue
		}
		wrote = true
		a.row.codes = make([]int8, dimensions)
		a.row.scale = quantise(floats(a.vector), a.row.codes, 127)
		if _, err := s.vectors.WriteAt(a.vector, int64(a.row.number)*int64(len(a.vector))); err != nil {
			return fmt.Errorf("write vectors: %w", err)
		}
	}
	if wrote {
		if err := s.vectors.Sync(); err != nil {
			return fmt.Errorf("write vectors: %w", err)
		}
	}
	lengths, err := s.words.add(ctx, rows, texts)
	if err != nil {
		return err
	}
	for i, a := range additions {
		a.row.length = lengths[i]
	}
	return ctx.Err()
}

// append writes the frame. One that could not be written whole is taken back.
func (s *space) append(sequence int64, dimensions int, changes []change) error {
	frame, err := appendFrame(nil, sequence, dimensions, changes)
	if err != nil {
		return err
	}
	_, err = s.frames.WriteAt(frame, s.size)
	if err == nil {
		err = s.frames.Sync()
	}
	if err != nil {
		if terr := s.frames.Truncate(s.size); terr != nil {
			err = errors.Join(err, damaged("log: %w", terr))
		}
		return fmt.Errorf("write log: %w", err)
	}
	s.size += int64(len(frame))
	return nil
}

// bury removes doomed rows from the keyword index, blanks their vectors and frees them.
func (s *space) bury() error {
	if s.doomed.IsEmpty() {
		return nil
	}
	rows := s.doomed.ToArray()
	if err := s.words.remove(rows); err != nil {
		return s.broke(err)
	}
	if err := s.blank(rows); err != nil {
		return err
	}
	s.mu.Lock()
	s.table.release(rows)
	s.mu.Unlock()
	s.doomed.Clear()
	return nil
}

// blank overwrites the vectors of rows with zeros.
func (s *space) blank(rows []uint32) error {
	info, err := s.vectors.Stat()
	if err != nil {
		return err
	}
	if s.table.vectors == 0 {
		return s.vectors.Truncate(0)
	}
	zeros := make([]byte, s.dimensions*4)
	for _, row := range rows {
		if at := s.vectorAt(row); at+int64(len(zeros)) <= info.Size() {
			if _, err := s.vectors.WriteAt(zeros, at); err != nil {
				return fmt.Errorf("blank vectors: %w", err)
			}
		}
	}
	return nil
}

func vectorBytes(v []float32) []byte {
	b := make([]byte, 0, len(v)*4)
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func floats(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[i*4:]))
	}
	return v
}

// byScore orders hits, best first; equal ones by id, so that an answer does not depend on the order of writing.
func byScore(a, b index.Hit) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ChunkID, b.ChunkID))
}
