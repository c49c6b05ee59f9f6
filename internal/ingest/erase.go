package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// Erasure is the deletion of all documents that had some metadata when it was ordered, and its record. The values that
// they were chosen by are not kept: they may be what had to go.
type Erasure struct {
	ID           string           `json:"id,omitempty"` // empty for a plan
	CollectionID string           `json:"collection_id"`
	Collection   string           `json:"collection"`
	Fields       []string         `json:"fields"`
	Fingerprint  string           `json:"fingerprint"` // SHA-256 of the condition as JSON, with its fields in order
	Reason       string           `json:"reason,omitempty"`
	OrderedBy    string           `json:"ordered_by,omitempty"`
	CreatedAt    time.Time        `json:"created_at,omitzero"`
	FinishedAt   time.Time        `json:"finished_at,omitzero"`
	Matched      int              `json:"matched"`
	Held         int              `json:"held"`     // under a legal hold: not erased
	Purged       int              `json:"purged"`   // with a proof
	Examples     []ErasureExample `json:"examples"` // of a plan
	Documents    []ErasedDocument `json:"documents"`
	Scope        string           `json:"scope"`
}

// ErasureExample is a document that an erasure would delete.
type ErasureExample struct {
	DocumentID string `json:"document_id"`
	Source     string `json:"source"`
	SourceKey  string `json:"source_key"`
	Held       bool   `json:"held,omitempty"`
	Earlier    bool   `json:"earlier,omitempty"` // only a version that is not live has the metadata
}

// ErasedDocument is how far one document of an erasure is.
type ErasedDocument struct {
	DocumentID string           `json:"document_id"`
	State      string           `json:"state"`             // chosen, deleted, purged, held
	Removed    map[string]int64 `json:"removed,omitempty"` // of its proof
	PurgedAt   time.Time        `json:"purged_at,omitzero"`
}

const (
	erasureChosen  = "chosen"
	erasureDeleted = "deleted"
	erasurePurged  = "purged"
	erasureHeld    = "held"

	erasureExamples = 20
	erasureScope    = "Every document of the collection that had the metadata when this was ordered, by any version whose bytes were kept. Not its business: documents that come later with the same metadata. Of each document: "
)

// PlanErasure says what an erasure would delete. Nothing is changed.
func (p *Pipeline) PlanErasure(ctx context.Context, collection string, where map[string]string) (Erasure, error) {
	e, _, err := p.planErasure(ctx, collection, where)
	return e, err
}

func (p *Pipeline) planErasure(ctx context.Context, collection string, where map[string]string) (e Erasure, matches []match, err error) {
	c, err := p.ownCollection(ctx, collection)
	if err != nil {
		return e, nil, err
	}
	where, err = parseWhere(where)
	if err != nil {
		return e, nil, err
	}
	if matches, err = p.matching(ctx, c, where, false); err != nil {
		return e, nil, err
	}
	condition, err := json.Marshal(where) // sorts by the fields
	if err != nil {
		return e, nil, err
	}
	sum := sha256.Sum256(condition)
	e = Erasure{CollectionID: c.ID, Collection: c.Name, Fields: slices.Sorted(maps.Keys(where)), Fingerprint: hex.EncodeToString(sum[:]), Matched: len(matches),
		Examples: []ErasureExample{}, Documents: []ErasedDocument{}, Scope: erasureScope + purgeScope}
	for _, m := range matches {
		if m.Held {
			e.Held++
		}
		if len(e.Examples) < erasureExamples {
			e.Examples = append(e.Examples, ErasureExample(m))
		}
	}
	return e, matches, nil
}

// Erase deletes every document of a collection that has the metadata, and returns the record. What is under a legal hold
// stays, and the record says so. The order is durable: a process that dies in between goes on with it.
func (p *Pipeline) Erase(ctx context.Context, collection string, where map[string]string, reason string) (Erasure, error) {
	e, matches, err := p.planErasure(ctx, collection, where)
	if err != nil {
		return e, err
	}
	e.ID, e.Reason, e.OrderedBy = id.New("era"), strings.TrimSpace(storable(reason)), caller.From(ctx).Actor()
	if len(e.Reason) > maxFieldBytes {
		return e, fault.New(fault.Invalid, "reason_too_long", "the reason has %d bytes; at most %d are kept", len(e.Reason), maxFieldBytes).At("/reason")
	}
	fields, err := json.Marshal(e.Fields)
	if err != nil {
		return e, err
	}
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO erasures (id, collection_id, collection, fields, fingerprint, reason, ordered_by, created_at, finished_at) VALUES (?,?,?,?,?,?,?,?,0)",
			e.ID, e.CollectionID, e.Collection, string(fields), e.Fingerprint, e.Reason, e.OrderedBy, db.Micros(time.Now())); err != nil {
			return err
		}
		err := insertRows(ctx, tx, "INSERT INTO erasure_documents (erasure_id, document_id, state) VALUES", "", 3, len(matches), func(i int) []any {
			return []any{e.ID, matches[i].DocumentID, erasureChosen}
		})
		if err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "erasure.order", Target: e.ID, Detail: map[string]any{
			"collection": e.Collection, "fields": e.Fields, "fingerprint": e.Fingerprint, "reason": e.Reason, "documents": len(matches)}})
	})
	if err != nil {
		return e, err
	}
	if err := p.carryOut(ctx, e.ID); err != nil {
		p.Log.Warn("an erasure goes on with the next sweep", "erasure", e.ID, "err", err)
	}
	return p.GetErasure(ctx, e.ID)
}

// carryOut deletes the documents of an erasure that are not deleted yet.
func (p *Pipeline) carryOut(ctx context.Context, erasureID string) error {
	ctx = asSystem(ctx)
	for {
		list, err := collect(ctx, p.DB, scanText, "SELECT document_id FROM erasure_documents WHERE erasure_id = ? AND state = ? ORDER BY document_id LIMIT ?", erasureID, erasureChosen, sweepBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, documentID := range list {
			if err := p.eraseOne(ctx, erasureID, documentID); err != nil {
				return fmt.Errorf("erase document %s: %w", documentID, err)
			}
		}
	}
}

func (p *Pipeline) eraseOne(ctx context.Context, erasureID, documentID string) error {
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, documentID)
		if err != nil {
			return err
		}
		state := erasureDeleted
		switch h, err := heldDocument(ctx, tx, documentID); {
		case err != nil:
			return err
		case h != nil:
			state = erasureHeld
		case !doc.Deleted:
			c, err := findCollection(ctx, tx, doc.Collection)
			if err != nil {
				return err
			}
			if _, err := p.remove(ctx, tx, c, documentID); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, "UPDATE erasure_documents SET state = ? WHERE erasure_id = ? AND document_id = ?", state, erasureID, documentID)
		return err
	})
}

const erasureColumns = "SELECT id, collection_id, collection, fields, fingerprint, reason, ordered_by, created_at, finished_at FROM erasures"

func scanErasure(row scanner) (e Erasure, err error) {
	var fields string
	var created, finished int64
	if err := row.Scan(&e.ID, &e.CollectionID, &e.Collection, &fields, &e.Fingerprint, &e.Reason, &e.OrderedBy, &created, &finished); err != nil {
		return e, err
	}
	e.CreatedAt, e.FinishedAt, e.Examples, e.Scope = db.Time(created), db.Time(finished), []ErasureExample{}, erasureScope+purgeScope
	return e, json.Unmarshal([]byte(fields), &e.Fields)
}

// GetErasure returns the record of an erasure, with how far each of its documents is.
func (p *Pipeline) GetErasure(ctx context.Context, erasureID string) (Erasure, error) {
	none := fault.New(fault.NotFound, "erasure_not_found", "there is no erasure %q", erasureID)
	e, err := scanErasure(p.DB.QueryRow(ctx, erasureColumns+" WHERE id = ?", erasureID))
	if db.IsNone(err) {
		return e, none
	}
	if err != nil {
		return e, err
	}
	if !caller.From(ctx).Is(caller.Operator, caller.Auditor) {
		if _, err := p.ownCollection(ctx, e.CollectionID); err != nil {
			return Erasure{}, none
		}
	}
	e.Documents, err = collect(ctx, p.DB, func(row scanner) (d ErasedDocument, err error) { return d, row.Scan(&d.DocumentID, &d.State) },
		"SELECT document_id, state FROM erasure_documents WHERE erasure_id = ? ORDER BY document_id", e.ID)
	if err != nil {
		return e, err
	}
	for i := range e.Documents {
		d := &e.Documents[i]
		if d.State == erasureDeleted {
			proof, err := p.proofOf(ctx, e.CollectionID, d.DocumentID)
			switch {
			case err == nil:
				d.State, d.Removed, d.PurgedAt = erasurePurged, proof.Removed, proof.PurgedAt
				e.Purged++
			case !fault.Is(err, fault.Conflict):
				return e, err
			}
		}
		if d.State == erasureHeld {
			e.Held++
		}
	}
	e.Matched = len(e.Documents)
	return e, nil
}

// finishErasures goes on with what a dead process left, and writes the record of those that are done to the audit log.
func (p *Pipeline) finishErasures(ctx context.Context) error {
	open, err := collect(ctx, p.DB, scanText, "SELECT id FROM erasures WHERE finished_at = 0 ORDER BY id LIMIT ?", sweepBatch)
	if err != nil {
		return fmt.Errorf("look for erasures that are not finished: %w", err)
	}
	var failed error
	for _, erasureID := range open {
		failed = errors.Join(failed, p.finishErasure(ctx, erasureID))
	}
	return failed
}

func (p *Pipeline) finishErasure(ctx context.Context, erasureID string) error {
	if err := p.carryOut(ctx, erasureID); err != nil {
		return err
	}
	e, err := p.GetErasure(ctx, erasureID)
	if err != nil || e.Purged+e.Held < e.Matched {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE erasures SET finished_at = ? WHERE id = ? AND finished_at = 0", db.Micros(time.Now()), e.ID)
		if err != nil || n == 0 {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "erasure.proof", Target: e.ID, Detail: map[string]any{
			"collection": e.Collection, "fingerprint": e.Fingerprint, "documents": e.Matched, "purged": e.Purged, "held": e.Held}})
	})
}
