package ingest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"airfield/internal/db"
	"airfield/internal/fault"
)

// passage is a chunk that has no vector yet.
type passage struct {
	chunk    string
	document string
	ordinal  int
	text     string // what is embedded: the headings it stands under, then the passage
}

// Codes of what an embedding can fail with.
const (
	CodeVector    = "vector_invalid"    // the model gave something that is no vector of this generation
	CodeEmbedding = "embedding_refused" // the model does not take one passage
)

// missing are the version's next passages without a vector, in reading order.
func missing(ctx context.Context, q db.Querier, c Collection, version string, limit int) ([]passage, error) {
	return collect(ctx, q, scanPassage, `SELECT c.id, c.document_id, vc.ordinal, c.heading, c.text FROM manifests vc JOIN chunks c ON c.id = vc.chunk_id
		WHERE vc.version_id = ? AND vc.cut = ? AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation_id = ? AND v.chunk_id = vc.chunk_id)
		ORDER BY vc.ordinal LIMIT ?`, version, c.Cut, c.GenerationID, limit)
}

func scanPassage(row scanner) (p passage, err error) {
	var heading, text string
	if err := row.Scan(&p.chunk, &p.document, &p.ordinal, &heading, &text); err != nil {
		return p, err
	}
	var path []string
	if err := json.Unmarshal([]byte(heading), &path); err != nil {
		return p, err
	}
	p.text = text
	if len(path) > 0 {
		p.text = strings.Join(path, " > ") + "\n" + text
	}
	return p, nil
}

// embed gives every passage of the version a vector. Each batch is a commit, the last one together with the step: a
// worker that dies repeats at most one.
func (p *Pipeline) embed(ctx context.Context, r *runRow) error {
	embedded := 0
	for {
		c, err := findCollection(ctx, p.DB, r.Collection)
		if err != nil {
			return gone(err)
		}
		batch, err := missing(ctx, p.DB, c, r.Version, p.config.EmbedBatch)
		if err != nil {
			return err
		}
		vectors, failed := p.vectors(ctx, c, batch)
		made := vectorRows(batch, vectors)
		embedded += len(made)
		if failed == nil && len(batch) < p.config.EmbedBatch {
			// Should another passage lack its vector by now, or the model be another one: the step store looks again.
			return p.advance(ctx, r, StepStore, map[string]any{"embedded": embedded, "model": c.Model, "generation": c.GenerationID}, func(tx *db.Tx, doc docRow) error {
				return writeVectors(ctx, tx, c, doc, made)
			})
		}
		if err := p.keepVectors(ctx, r, c, made); err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
	}
}

// vectorRow is a row of vectors.
type vectorRow struct {
	chunk  string
	vector []float32
}

// vectorRows are the vectors that are there.
func vectorRows(batch []passage, vectors [][]float32) (rows []vectorRow) {
	for i, v := range vectors {
		if v != nil {
			rows = append(rows, vectorRow{batch[i].chunk, v})
		}
	}
	return rows
}

// keepVectors commits a batch, and that the step got on.
func (p *Pipeline) keepVectors(ctx context.Context, r *runRow, c Collection, made []vectorRow) error {
	if len(made) == 0 {
		return nil
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, r.Document)
		if err != nil {
			return err
		}
		if err := hold(ctx, tx, r); err != nil {
			return err
		}
		if err := writeVectors(ctx, tx, c, doc, made); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE runs SET attempts = 0, crashes = 0 WHERE id = ?", r.ID)
		r.Attempts, r.Crashes = 0, 0
		return err
	})
}

func writeVectors(ctx context.Context, tx *db.Tx, c Collection, doc docRow, made []vectorRow) error {
	if err := wanted(doc); err != nil || len(made) == 0 {
		return err
	}
	if err := learnSize(ctx, tx, c, len(made[0].vector)); err != nil {
		return err
	}
	err := insertRows(ctx, tx, "INSERT INTO vectors (generation_id, chunk_id, document_id, vector) VALUES", " ON CONFLICT (generation_id, chunk_id) DO NOTHING", 4, len(made), func(i int) []any {
		return []any{c.GenerationID, made[i].chunk, doc.ID, encodeVector(made[i].vector)}
	})
	if err != nil {
		return fmt.Errorf("write vectors: %w", err)
	}
	return nil
}

// learnSize fixes the generation's size with its first vectors; from then on it must not differ.
func learnSize(ctx context.Context, tx *db.Tx, c Collection, size int) error {
	if c.Dimensions != 0 {
		return nil // vectors were held against it
	}
	if _, err := tx.Exec(ctx, "UPDATE generations SET dimensions = ? WHERE id = ? AND dimensions = 0", size, c.GenerationID); err != nil {
		return err
	}
	var now int
	if err := tx.QueryRow(ctx, "SELECT dimensions FROM generations WHERE id = ?", c.GenerationID).Scan(&now); err != nil {
		return err
	}
	if now != size {
		return wrongSize(c.Model, size, now)
	}
	return nil
}

// vectors embeds a batch. Where the model refuses it the batch is halved until the culprit is alone, so that one bad
// text does not fail the others; the error names it. A nil vector is one that is not there.
func (p *Pipeline) vectors(ctx context.Context, c Collection, batch []passage) ([][]float32, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	b := bisect(ctx, p.Embedder, c, batch, false)
	if b.outage != nil {
		return b.out, b.outage
	}
	return b.out, b.culprit
}

// bisect embeds a batch; works says that the model is known to take texts.
func bisect(ctx context.Context, model Embedder, c Collection, batch []passage, works bool) *bisection {
	b := &bisection{embedder: model, collection: c, some: works, out: make([][]float32, len(batch)), size: c.Dimensions}
	b.embed(ctx, batch, 0)
	return b
}

// bisection is one batch on its way through a model.
type bisection struct {
	embedder   Embedder
	collection Collection
	out        [][]float32
	size       int   // of every vector; 0 until the first
	some       bool  // a part of the batch was taken, or of one before
	refused    int   // passages that were refused alone
	culprit    error // the first of them
	outage     error // the model takes nothing at all, or could not be asked
}

func (b *bisection) embed(ctx context.Context, batch []passage, at int) {
	texts := make([]string, len(batch))
	for i, p := range batch {
		texts[i] = p.text
	}
	vectors, err := b.embedder.Embed(ctx, b.collection.Model, texts)
	if err == nil && len(vectors) != len(batch) {
		err = fault.New(fault.Upstream, CodeVector, "the model %s gave %d vectors for %d texts", b.collection.Model, len(vectors), len(batch))
	}
	if err == nil {
		b.some = true
		b.take(batch, vectors, at)
		return
	}
	switch kind := fault.KindOf(err); {
	case ctx.Err() != nil, kind != fault.Invalid && kind != fault.TooLarge && kind != fault.Upstream:
		b.outage = err // a limit, an outage, a wrong key: no text is at fault
	case len(batch) > 1:
		half := len(batch) / 2
		b.embed(ctx, batch[:half], at)
		if b.outage == nil {
			b.embed(ctx, batch[half:], at+half)
		}
	default:
		if b.refused++; b.refused > 1 && !b.some {
			b.outage = err // it refuses whatever it is given
			return
		}
		b.blame(batch[0], err)
	}
}

// take keeps the vectors that are good.
func (b *bisection) take(batch []passage, vectors [][]float32, at int) {
	for i, v := range vectors {
		if b.size == 0 && finite(v) {
			b.size = len(v)
		}
		switch {
		case !finite(v):
			b.blame(batch[i], fault.New(fault.Invalid, CodeVector, "the model %s gave a vector that is empty or holds something that is no number", b.collection.Model))
		case len(v) != b.size:
			b.blame(batch[i], wrongSize(b.collection.Model, len(v), b.size))
		default:
			b.out[at+i] = v
		}
	}
}

func (b *bisection) blame(p passage, err error) {
	if b.culprit != nil {
		return
	}
	f := fault.As(err)
	kind, code := f.Kind, f.Code
	if kind == fault.TooLarge || (kind == fault.Invalid && code != CodeVector) {
		kind, code = fault.Invalid, CodeEmbedding
	}
	said := fault.New(kind, code, "chunk %d (%s) could not be embedded: %s", p.ordinal, p.chunk, f.Text)
	said.Hint, said.Err = f.Hint, err
	if said.Hint == "" {
		said.Hint = "change that passage of the document and upload it again, or embed the collection with another model"
	}
	b.culprit = said
}

func wrongSize(model string, got, want int) error {
	return fault.New(fault.Invalid, CodeVector, "the model %s gave a vector of %d dimensions; the collection's have %d", model, got, want).
		Hinted("the model behind this name changed: give the collection the one it was built with, or build it again with the new one")
}

// finite reports whether v is a vector at all. One of zeros is: a passage of punctuation may have no features, and is
// found by its keywords alone.
func finite(v []float32) bool {
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return false
		}
	}
	return len(v) > 0
}

func encodeVector(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
