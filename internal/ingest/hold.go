package ingest

import (
	"context"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// Hold is a legal hold: as long as it stands nobody deletes the document, by whatever way.
type Hold struct {
	DocumentID   string    `json:"document_id"`
	CollectionID string    `json:"collection_id"`
	Source       string    `json:"source"`
	SourceKey    string    `json:"source_key"`
	Reason       string    `json:"reason"`
	PlacedBy     string    `json:"placed_by"`
	PlacedAt     time.Time `json:"placed_at"`
	// HiddenSince is when the document went from its source: no search finds it, and it is purged when it is released.
	HiddenSince time.Time `json:"hidden_since,omitzero"`
}

const holdColumns = "SELECT h.document_id, h.collection_id, d.source, d.source_key, h.reason, h.placed_by, h.placed_at, COALESCE(d.deleted_at, 0) FROM holds h JOIN documents d ON d.id = h.document_id"

func scanHold(row scanner) (h Hold, err error) {
	var placed, hidden int64
	err = row.Scan(&h.DocumentID, &h.CollectionID, &h.Source, &h.SourceKey, &h.Reason, &h.PlacedBy, &placed, &hidden)
	h.PlacedAt, h.HiddenSince = db.Time(placed), db.Time(hidden)
	return h, err
}

// heldDocument is the hold of a document, nil where there is none.
func heldDocument(ctx context.Context, q db.Querier, documentID string) (*Hold, error) {
	h, err := scanHold(q.QueryRow(ctx, holdColumns+" WHERE h.document_id = ?", documentID))
	if db.IsNone(err) {
		return nil, nil
	}
	return &h, err
}

// refusal is what whoever would delete the document is told.
func (h *Hold) refusal() error {
	return fault.New(fault.Conflict, "document_held", "the document %s is under a legal hold since %s, placed by %s: %s", h.DocumentID, h.PlacedAt.Format(time.DateOnly), h.PlacedBy, h.Reason).
		Hinted("nothing deletes it before an operator releases the hold: airfield documents release %s --reason …", h.DocumentID)
}

// mayHold refuses whoever does not run the place: a hold must bind those that documents belong to as well.
func mayHold(ctx context.Context, reason string) (string, error) {
	if !caller.From(ctx).Is(caller.Operator) {
		return "", fault.New(fault.Denied, "hold_not_yours", "legal holds are placed and released by operators")
	}
	reason = strings.TrimSpace(storable(reason))
	switch {
	case reason == "":
		return "", fault.New(fault.Invalid, "reason_missing", "a legal hold is placed and released with a reason, which the audit log keeps").At("/reason")
	case len(reason) > maxFieldBytes:
		return "", fault.New(fault.Invalid, "reason_too_long", "the reason has %d bytes; at most %d are kept", len(reason), maxFieldBytes).At("/reason")
	}
	return reason, nil
}

// PlaceHold keeps a document from every deletion until the hold is released.
func (p *Pipeline) PlaceHold(ctx context.Context, documentID, reason string) error {
	reason, err := mayHold(ctx, reason)
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, documentID)
		if db.IsNone(err) || (err == nil && doc.Deleted) {
			return noDocument(documentID) // one whose purge began cannot be kept any more
		}
		if err != nil {
			return err
		}
		h, err := heldDocument(ctx, tx, doc.ID)
		if err != nil {
			return err
		}
		if h != nil {
			return fault.New(fault.Conflict, "document_held", "the document %s is under a legal hold already, since %s: %s", doc.ID, h.PlacedAt.Format(time.DateOnly), h.Reason)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO holds (document_id, collection_id, reason, placed_by, placed_at) VALUES (?,?,?,?,?)",
			doc.ID, doc.Collection, reason, caller.From(ctx).Actor(), db.Micros(time.Now())); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "hold.place", Target: doc.ID, Detail: map[string]any{"reason": reason, "source": doc.Source, "key": doc.SourceKey}})
	})
}

// ReleaseHold ends a hold. A document that went from its source meanwhile is purged now.
func (p *Pipeline) ReleaseHold(ctx context.Context, documentID, reason string) error {
	reason, err := mayHold(ctx, reason)
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, documentID)
		if db.IsNone(err) {
			return noDocument(documentID)
		}
		if err != nil {
			return err
		}
		h, err := heldDocument(ctx, tx, doc.ID)
		if err != nil {
			return err
		}
		if h == nil {
			return fault.New(fault.NotFound, "hold_not_found", "the document %s is under no legal hold", doc.ID).Hinted("airfield documents holds lists those that are")
		}
		if _, err := tx.Exec(ctx, "DELETE FROM holds WHERE document_id = ?", doc.ID); err != nil {
			return err
		}
		if doc.Deleted {
			if err := p.insertRun(ctx, tx, runRow{Kind: kindPurge, Collection: doc.Collection, Document: doc.ID, Step: purgeIndex, Priority: PriorityChange}); err != nil {
				return err
			}
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "hold.release", Target: doc.ID, Detail: map[string]any{
			"reason": reason, "held_for": h.Reason, "held_since": h.PlacedAt, "purged": doc.Deleted}})
	})
}

// HoldMatches places or releases a hold on every document of a collection that the condition matches, and counts them.
// Those that are held, or free, already are left as they are.
func (p *Pipeline) HoldMatches(ctx context.Context, collection string, where map[string]string, place bool, reason string) (n int, err error) {
	if _, err := mayHold(ctx, reason); err != nil {
		return 0, err
	}
	c, err := p.ownCollection(ctx, collection)
	if err != nil {
		return 0, err
	}
	w, err := parseWhere(where)
	if err != nil {
		return 0, err
	}
	matches, err := p.matching(ctx, c, w, !place)
	if err != nil {
		return 0, err
	}
	for _, m := range matches {
		if m.Held == place {
			continue
		}
		act := p.ReleaseHold
		if place {
			act = p.PlaceHold
		}
		switch err := act(ctx, m.DocumentID, reason); {
		case err == nil:
			n++
		case fault.Is(err, fault.NotFound), fault.Is(err, fault.Conflict): // somebody was faster
		default:
			return n, err
		}
	}
	return n, nil
}

// ListHolds returns the holds of a collection, or all where it is empty, in the order of the documents' ids.
func (p *Pipeline) ListHolds(ctx context.Context, collection, after string, limit int) ([]Hold, error) {
	if !caller.From(ctx).Is(caller.Operator, caller.Auditor) {
		return nil, fault.New(fault.Denied, "hold_not_yours", "legal holds are listed for operators and auditors")
	}
	query, args := holdColumns+" WHERE h.document_id > ?", []any{after}
	if collection != "" {
		c, err := p.GetCollection(ctx, collection)
		if err != nil {
			return nil, err
		}
		query, args = query+" AND h.collection_id = ?", append(args, c.ID)
	}
	return collect(ctx, p.DB, scanHold, query+" ORDER BY h.document_id LIMIT ?", append(args, pageSize(limit))...)
}

// heldOf refuses the deletion of a collection that holds a held document, hidden or not.
func heldOf(ctx context.Context, tx *db.Tx, collectionID string) error {
	h, err := scanHold(tx.QueryRow(ctx, holdColumns+" WHERE h.collection_id = ? ORDER BY h.document_id LIMIT 1", collectionID))
	if db.IsNone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.refusal()
}
