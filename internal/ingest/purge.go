package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// The steps of a purge, in their order. A purge is tried until it is done: it never becomes a dead letter.
const (
	purgeIndex = "index"
	purgeRows  = "rows"
	purgeBytes = "bytes"
	purgeProof = "proof"
)

// purgeScope is what every proof says about its reach.
const purgeScope = "Removed from the database, the document bucket and the index of this environment. Not reached: backups made before, until they expire; " +
	"request and response bodies in the call log, until their retention ends; copies in the source itself; the audit log, which keeps ids, names in the source and hashes."

func (p *Pipeline) purgeStep(ctx context.Context, r *runRow) error {
	documents, err := p.doomed(ctx, r)
	if err != nil {
		return err
	}
	// No purge is asked for of what is held. Were one to be, this is where it stops.
	if h, err := p.isHeld(ctx, documents); err != nil {
		return err
	} else if h != nil {
		return h.refusal()
	}
	switch r.Step {
	case purgeIndex:
		return p.purgeIndex(ctx, r)
	case purgeRows:
		return p.purgeRows(ctx, r)
	case purgeBytes:
		return p.purgeBytes(ctx, r)
	case purgeProof:
		return p.prove(ctx, r)
	}
	return fmt.Errorf("run %s is at the unknown step %q", r.ID, r.Step)
}

// doomed are the documents a purge is about: one, or all of a collection.
func (p *Pipeline) doomed(ctx context.Context, r *runRow) ([]string, error) {
	if r.Document != "" {
		return []string{r.Document}, nil
	}
	return collect(ctx, p.DB, scanText, "SELECT id FROM documents WHERE collection_id = ? ORDER BY id", r.Collection)
}

// purgeIndex waits for the index to have let go.
func (p *Pipeline) purgeIndex(ctx context.Context, r *runRow) error {
	documents, err := p.doomed(ctx, r)
	if err != nil {
		return err
	}
	if err := p.Index.CatchUp(ctx, r.Collection); err != nil {
		return fault.New(fault.Unavailable, "index_behind", "the index has not followed the deletion yet: %w", err)
	}
	left, err := p.indexed(ctx, r, documents)
	if err != nil {
		return err
	}
	if left > 0 {
		return fault.New(fault.Unavailable, "index_behind", "the index still holds %d entries of what was deleted", left)
	}
	return p.advance(ctx, r, purgeRows, map[string]int64{}, nil)
}

func (p *Pipeline) indexed(ctx context.Context, r *runRow, documents []string) (left int64, err error) {
	for _, d := range documents {
		n, err := p.Index.Count(ctx, r.Collection, d)
		if err != nil {
			return 0, fault.New(fault.Unavailable, "index_away", "the index cannot be counted: %w", err)
		}
		left += int64(n)
	}
	return left, nil
}

// purgeRows removes passages, vectors and what was known about the documents. Their ids stay, as deleted.
func (p *Pipeline) purgeRows(ctx context.Context, r *runRow) error {
	documents, err := p.doomed(ctx, r)
	if err != nil {
		return err
	}
	for _, d := range documents {
		if err := p.counted(ctx, r, func(tx *db.Tx, removed map[string]int64) error {
			return purgeDocumentRows(ctx, tx, d, removed)
		}); err != nil {
			return err
		}
	}
	return p.advanceCounted(ctx, r, purgeBytes)
}

func purgeDocumentRows(ctx context.Context, tx *db.Tx, documentID string, removed map[string]int64) error {
	for _, t := range []struct{ name, query string }{
		{"manifest_rows", "DELETE FROM manifests WHERE version_id IN (SELECT id FROM versions WHERE document_id = ?)"},
		{"vectors", "DELETE FROM vectors WHERE document_id = ?"},
		{"chunks", "DELETE FROM chunks WHERE document_id = ?"},
		{"", "DELETE FROM run_steps WHERE run_id IN (SELECT id FROM runs WHERE kind = 'ingest' AND document_id = ?)"},
		{"", "UPDATE runs SET error = '' WHERE kind = 'ingest' AND document_id = ?"},
		{"", "UPDATE versions SET name = '', metadata = '{}', extracted = '{}', warnings = '[]' WHERE document_id = ?"},
		{"", "UPDATE documents SET title = '', business_unit = '', type = '', date = '', tags = '[]', metadata = '{}' WHERE id = ?"},
	} {
		n, err := tx.Exec(ctx, t.query, documentID)
		if err != nil {
			return err
		}
		if t.name != "" {
			removed[t.name] += n
		}
	}
	return nil
}

// purgeBytes removes every version's bytes and what was derived from them.
func (p *Pipeline) purgeBytes(ctx context.Context, r *runRow) error {
	documents, err := p.doomed(ctx, r)
	if err != nil {
		return err
	}
	for _, d := range documents {
		versions, err := collect(ctx, p.DB, scanText, "SELECT id FROM versions WHERE document_id = ?", d)
		if err != nil {
			return err
		}
		var gone bucket.Purged
		for _, v := range versions {
			for _, key := range []string{originalKey(v), blocksKey(v)} {
				n, err := p.Bucket.Purge(ctx, key, "")
				if err != nil {
					return fmt.Errorf("purge %s: %w", key, err)
				}
				gone.Versions, gone.Bytes = gone.Versions+n.Versions, gone.Bytes+n.Bytes
			}
		}
		if err := p.counted(ctx, r, func(tx *db.Tx, removed map[string]int64) error {
			removed["objects"] += int64(gone.Versions)
			removed["bytes"] += gone.Bytes
			_, err := tx.Exec(ctx, "UPDATE versions SET bucket_key = '', bucket_version = '' WHERE document_id = ?", d)
			return err
		}); err != nil {
			return err
		}
	}
	return p.advanceCounted(ctx, r, purgeProof)
}

// counted commits a part of a step together with the count of what it removed.
func (p *Pipeline) counted(ctx context.Context, r *runRow, fn func(tx *db.Tx, removed map[string]int64) error) error {
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		if err := hold(ctx, tx, r); err != nil {
			return err
		}
		removed, err := countsOf(ctx, tx, r.ID, r.Step)
		if err != nil {
			return err
		}
		if err := fn(tx, removed); err != nil {
			return err
		}
		return keepStep(ctx, tx, r.ID, r.Step, r.Attempts, r.started, removed)
	})
}

func countsOf(ctx context.Context, q db.Querier, runID, step string) (map[string]int64, error) {
	counts := map[string]int64{}
	var raw string
	err := q.QueryRow(ctx, "SELECT detail FROM run_steps WHERE run_id = ? AND step = ?", runID, step).Scan(&raw)
	if db.IsNone(err) {
		return counts, nil
	}
	if err != nil {
		return nil, err
	}
	return counts, json.Unmarshal([]byte(raw), &counts)
}

func (p *Pipeline) advanceCounted(ctx context.Context, r *runRow, next string) error {
	counts, err := countsOf(ctx, p.DB, r.ID, r.Step)
	if err != nil {
		return err
	}
	return p.advance(ctx, r, next, counts, nil)
}

// offDisk waits for the index to have rewritten the files that held what it let go of in its step of this run.
func (p *Pipeline) offDisk(ctx context.Context, r *runRow) error {
	var ended int64
	if err := p.DB.QueryRow(ctx, "SELECT ended_at FROM run_steps WHERE run_id = ? AND step = ?", r.ID, purgeIndex).Scan(&ended); err != nil {
		return err
	}
	if !p.Index.Compacted(r.Collection, db.Time(ended)) {
		return fault.New(fault.Unavailable, "index_rewriting", "the index's files are being rewritten without what was deleted")
	}
	return nil
}

// prove counts what is left in every store and writes the proof, to the run and to the audit log.
func (p *Pipeline) prove(ctx context.Context, r *runRow) error {
	documents, err := p.doomed(ctx, r)
	if err != nil {
		return err
	}
	proof := Proof{DocumentID: r.Document, CollectionID: r.Collection, PurgedAt: time.Now().UTC(), Removed: map[string]int64{}, Left: map[string]int64{}, Scope: purgeScope}
	for _, step := range []string{purgeRows, purgeBytes} {
		counts, err := countsOf(ctx, p.DB, r.ID, step)
		if err != nil {
			return err
		}
		for name, n := range counts {
			proof.Removed[name] = n
		}
	}
	proof.Removed["documents"] = int64(len(documents))
	if err := p.offDisk(ctx, r); err != nil {
		return err
	}
	if proof.Left["index_entries"], err = p.indexed(ctx, r, documents); err != nil {
		return err
	}
	if err := p.countLeft(ctx, documents, proof.Left); err != nil {
		return err
	}
	for store, n := range proof.Left {
		if n != 0 {
			return fault.New(fault.Unavailable, "purge_incomplete", "%d %s are left of what was deleted", n, store)
		}
	}
	target, table := r.Document, "documents"
	if target == "" {
		target, table = r.Collection, "collections"
	}
	var deleted int64
	if err := p.DB.QueryRow(ctx, "SELECT COALESCE(deleted_at, 0) FROM "+table+" WHERE id = ?", target).Scan(&deleted); err != nil {
		return err
	}
	proof.DeletedAt = db.Time(deleted)
	return p.advance(ctx, r, "", proof, func(tx *db.Tx, _ docRow) error {
		if r.Document == "" {
			// Nothing is left that could be named: the deleted generations' vectors are gone with their documents.
			if _, err := tx.Exec(ctx, "UPDATE generations SET state = ?, reclaimed_at = ? WHERE collection_id = ?", GenerationReclaimed, db.Micros(time.Now()), r.Collection); err != nil {
				return err
			}
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "deletion.proof", Target: target, Detail: proof})
	})
}

func (p *Pipeline) countLeft(ctx context.Context, documents []string, left map[string]int64) error {
	for _, d := range documents {
		for _, t := range []struct{ name, query string }{
			{"vectors", "SELECT COUNT(*) FROM vectors WHERE document_id = ?"},
			{"chunks", "SELECT COUNT(*) FROM chunks WHERE document_id = ?"},
			{"manifest_rows", "SELECT COUNT(*) FROM manifests WHERE version_id IN (SELECT id FROM versions WHERE document_id = ?)"},
		} {
			var n int64
			if err := p.DB.QueryRow(ctx, t.query, d).Scan(&n); err != nil {
				return err
			}
			left[t.name] += n
		}
		versions, err := collect(ctx, p.DB, scanText, "SELECT id FROM versions WHERE document_id = ?", d)
		if err != nil {
			return err
		}
		left["objects"] += 0
		for _, v := range versions {
			for _, key := range []string{originalKey(v), blocksKey(v)} {
				objects, err := p.Bucket.Versions(ctx, key)
				if err != nil {
					return fmt.Errorf("count what is left of %s: %w", key, err)
				}
				left["objects"] += int64(len(objects))
			}
		}
	}
	return nil
}
