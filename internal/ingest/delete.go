package ingest

import (
	"context"
	"encoding/json"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// Delete hides a document at once and purges it durably.
func (p *Pipeline) Delete(ctx context.Context, documentID string) error {
	d, c, err := p.ownDocument(ctx, documentID)
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		found, err := p.remove(ctx, tx, c, d.ID)
		if err == nil && !found {
			return noDocument(documentID)
		}
		return err
	})
}

// remove deletes one document inside a transaction, unless it is deleted already. One under a legal hold is refused.
func (p *Pipeline) remove(ctx context.Context, tx *db.Tx, c Collection, documentID string) (found bool, err error) {
	return p.take(ctx, tx, c, documentID, (*Hold).refusal)
}

// removeGone is remove for a document that went from its source. Nobody can be told there: one under a legal hold is
// hidden like the others, and purged when it is released.
func (p *Pipeline) removeGone(ctx context.Context, tx *db.Tx, c Collection, documentID string) (found bool, err error) {
	return p.take(ctx, tx, c, documentID, func(*Hold) error { return nil })
}

func (p *Pipeline) take(ctx context.Context, tx *db.Tx, c Collection, documentID string, held func(*Hold) error) (found bool, err error) {
	doc, err := lockDocument(ctx, tx, documentID)
	if err != nil || doc.Deleted {
		return false, err
	}
	h, err := heldDocument(ctx, tx, doc.ID)
	if err != nil {
		return false, err
	}
	if h != nil {
		if err := held(h); err != nil {
			return false, err
		}
	}
	now := db.Micros(time.Now())
	if _, err := tx.Exec(ctx, "UPDATE documents SET deleted_at = ?, live_version_id = NULL, updated_at = ? WHERE id = ?", now, now, doc.ID); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, "UPDATE versions SET state = ? WHERE document_id = ?", Deleted, doc.ID); err != nil {
		return false, err
	}
	if err := cancelRuns(ctx, tx, "document_id", doc.ID); err != nil {
		return false, err
	}
	if err := touch(ctx, tx, c.ID, "delete", doc.ID); err != nil {
		return false, err
	}
	detail := map[string]any{"collection": c.Name, "source": doc.Source, "key": doc.SourceKey, "versions": doc.Last}
	if h != nil {
		detail["held"] = h.Reason
	} else if err := p.insertRun(ctx, tx, runRow{Kind: kindPurge, Collection: c.ID, Document: doc.ID, Step: purgeIndex, Priority: PriorityChange}); err != nil {
		return false, err
	}
	return true, p.Audit.Record(ctx, tx, access.Entry{Action: "document.delete", Target: doc.ID, Detail: detail})
}

// cancelRuns ends every open run of a document or a collection.
func cancelRuns(ctx context.Context, tx *db.Tx, column, value string) error {
	now := db.Micros(time.Now())
	_, err := tx.Exec(ctx, "UPDATE runs SET state = ?, leased_by = '', leased_until = 0, updated_at = ?, finished_at = ? WHERE "+column+" = ? AND kind = ? AND state IN (?,?,?)",
		runCancelled, now, now, value, kindIngest, runWaiting, runRunning, runDead)
	return err
}

// DeleteCollection hides a collection and its documents at once and purges them durably. One that airfield.yaml owns
// and still holds is refused.
func (p *Pipeline) DeleteCollection(ctx context.Context, nameOrID string) error {
	c, err := p.ownCollection(ctx, nameOrID)
	if err != nil {
		return err
	}
	if c.Owner == OwnerFile && c.MissingSince.IsZero() {
		return fault.New(fault.Conflict, "collection_in_file", "the collection %s is in airfield.yaml", c.Name).Hinted("take it out of the file first, then delete it")
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		live, err := collect(ctx, tx, scanText, "SELECT id FROM documents WHERE collection_id = ? AND deleted_at IS NULL ORDER BY id"+tx.ForUpdate(), c.ID)
		if err != nil {
			return err
		}
		if err := heldOf(ctx, tx, c.ID); err != nil {
			return err
		}
		now := db.Micros(time.Now())
		if _, err := tx.Exec(ctx, "UPDATE documents SET deleted_at = ?, live_version_id = NULL, updated_at = ? WHERE collection_id = ? AND deleted_at IS NULL", now, now, c.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE versions SET state = ? WHERE collection_id = ? AND state <> ?", Deleted, c.ID, Deleted); err != nil {
			return err
		}
		if err := cancelRuns(ctx, tx, "collection_id", c.ID); err != nil {
			return err
		}
		if err := touch(ctx, tx, c.ID, "delete", live...); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE collections SET deleted_at = ?, updated_at = ? WHERE id = ? AND deleted_at IS NULL", now, now, c.ID)
		if err != nil || n == 0 {
			return err
		}
		for _, table := range []string{"source_items WHERE source_id IN (SELECT id FROM sources WHERE collection_id = ?)", "sources WHERE collection_id = ?", "pauses WHERE collection_id = ?"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table, c.ID); err != nil {
				return err
			}
		}
		if err := p.insertRun(ctx, tx, runRow{Kind: kindPurge, Collection: c.ID, Step: purgeIndex, Priority: PriorityChange}); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "collection.delete", Target: c.ID, Detail: map[string]any{"name": c.Name, "documents": len(live)}})
	})
}

// Proof says what a deletion removed and what is left.
type Proof struct {
	DocumentID   string           `json:"document_id,omitempty"` // empty where a whole collection was deleted
	CollectionID string           `json:"collection_id"`
	DeletedAt    time.Time        `json:"deleted_at"`
	PurgedAt     time.Time        `json:"purged_at"`
	Removed      map[string]int64 `json:"removed"`          // rows, objects and bytes by store
	Left         map[string]int64 `json:"left"`             // counted afterwards: all zero
	Scope        string           `json:"scope"`            // what a deletion does not reach
	Beyond       []Beyond         `json:"beyond,omitempty"` // and until when that may hold it: as configured when this is read
}

// Proof returns the proof of a document's deletion, or of the deletion of the collection that held it, once the purge
// is done; before that a conflict says that it is under way.
func (p *Pipeline) Proof(ctx context.Context, documentID string) (proof Proof, err error) {
	if !caller.From(ctx).Is(caller.Operator, caller.Auditor) {
		if _, _, err := p.anyDocument(ctx, documentID); err != nil {
			return proof, err
		}
	}
	var collection string
	var deleted int64
	err = p.DB.QueryRow(ctx, "SELECT collection_id, COALESCE(deleted_at, 0) FROM documents WHERE id = ?", documentID).Scan(&collection, &deleted)
	if db.IsNone(err) {
		return proof, noDocument(documentID)
	}
	if err != nil {
		return proof, err
	}
	if deleted == 0 {
		return proof, fault.New(fault.Conflict, "document_not_deleted", "the document %s is not deleted", documentID)
	}
	h, err := heldDocument(ctx, p.DB, documentID)
	if err != nil {
		return proof, err
	}
	if h != nil {
		return proof, fault.New(fault.Conflict, "purge_held", "the document %s went from its source and is hidden, and a legal hold keeps its bytes: %s", documentID, h.Reason).
			Hinted("it is purged when the hold is released: airfield documents release %s --reason …", documentID)
	}
	if proof, err = p.proofOf(ctx, collection, documentID); err == nil {
		proof.Beyond = p.beyond(proof)
	}
	return proof, err
}

// proofOf reads the proof of a deletion, a document's own or that of its collection.
func (p *Pipeline) proofOf(ctx context.Context, collection, documentID string) (proof Proof, err error) {
	var raw string
	err = p.DB.QueryRow(ctx, `SELECT s.detail FROM runs r JOIN run_steps s ON s.run_id = r.id AND s.step = ? WHERE r.kind = ? AND r.state = ?
		AND r.collection_id = ? AND r.document_id IN (?, '') ORDER BY r.document_id DESC LIMIT 1`, purgeProof, kindPurge, runDone, collection, documentID).Scan(&raw)
	if db.IsNone(err) {
		return proof, fault.New(fault.Conflict, "purge_under_way", "the document %s is hidden, and its purge is not done yet", documentID).Hinted("airfield ingest why %s says how far it is", documentID)
	}
	if err != nil {
		return proof, err
	}
	return proof, json.Unmarshal([]byte(raw), &proof)
}
