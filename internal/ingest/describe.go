package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// describe handles bytes that the newest version has already: nothing is new, or only what is said about them. A
// receipt without a change means that a new version is needed.
func (p *Pipeline) describe(ctx context.Context, tx *db.Tx, c Collection, doc docRow, sha256 string, came given) (r Receipt, err error) {
	var state, sum, raw string
	err = tx.QueryRow(ctx, "SELECT id, number, state, sha256, metadata FROM versions WHERE document_id = ? AND number = ?", doc.ID, doc.Last).
		Scan(&r.VersionID, &r.Number, &state, &sum, &raw)
	if err != nil {
		return r, err
	}
	var before given
	if err := json.Unmarshal([]byte(raw), &before); err != nil {
		return r, err
	}
	if sum != sha256 || (state != Live && state != Running && state != Pending) {
		return Receipt{}, nil
	}
	if before.equal(came) {
		r.Change = Unchanged
		return r, nil
	}
	r.Change = Described
	if err := setGiven(ctx, tx, r.VersionID, came); err != nil {
		return r, err
	}
	if state != Live {
		return r, raise(ctx, tx, doc, came) // the run reads it when it validates, and again when it stores
	}
	err = p.applyMetadata(ctx, tx, c, doc, r.VersionID)
	if fault.Is(err, fault.Invalid) {
		// What came cannot be applied: it becomes a version of its own, whose dead letter says why.
		return Receipt{}, setGiven(ctx, tx, r.VersionID, before)
	}
	return r, err
}

// newestGiven is what was said of the newest version. An upload that says nothing does not take it back: a document that
// somebody closed must not open because its next version came without a word.
func newestGiven(ctx context.Context, tx *db.Tx, doc docRow) (g given, err error) {
	var raw string
	if err := tx.QueryRow(ctx, "SELECT metadata FROM versions WHERE document_id = ? AND number = ?", doc.ID, doc.Last).Scan(&raw); err != nil {
		return g, err
	}
	return g, json.Unmarshal([]byte(raw), &g)
}

// keepClosed is for who says something, but no tier, and for a sidecar that is gone: the document stays as closed as the
// newest version was given, where that is more than by default. To open it takes a word.
func (c Collection) keepClosed(ctx context.Context, tx *db.Tx, doc docRow, came given) (given, error) {
	if came.Metadata.Tier != caller.None {
		return came, nil
	}
	before, err := newestGiven(ctx, tx, doc)
	usual := c.Config.Sources[doc.Source].Defaults.metadata().Over(c.Config.Defaults.metadata()).Tier
	if before.Metadata.Tier > usual {
		came.Metadata.Tier = before.Metadata.Tier
	}
	return came, err
}

func setGiven(ctx context.Context, tx *db.Tx, versionID string, g given) error {
	raw, err := json.Marshal(g)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE versions SET metadata = ? WHERE id = ?", string(raw), versionID)
	return err
}

// raise closes the document at once where what came asks for it.
func raise(ctx context.Context, tx *db.Tx, doc docRow, came given) error {
	tier := doc.atLeast(came)
	if tier == doc.Tier {
		return nil
	}
	if _, err := tx.Exec(ctx, "UPDATE documents SET tier = ?, updated_at = ? WHERE id = ?", int(tier), db.Micros(time.Now()), doc.ID); err != nil {
		return err
	}
	if doc.Live == "" {
		return nil
	}
	return touch(ctx, tx, doc.Collection, "metadata", doc.ID)
}

// applyMetadata makes what was given with a live version the document's metadata, now.
func (p *Pipeline) applyMetadata(ctx context.Context, tx *db.Tx, c Collection, doc docRow, versionID string) error {
	if who := caller.From(ctx); !who.Is(caller.Operator) && !who.Clearance.Sees(doc.Tier) {
		return fault.New(fault.Denied, "tier_above_clearance", "the document's tier %s is above your clearance: what is said about it cannot be changed with this key", doc.Tier)
	}
	c, err := lockCollection(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	m, name, err := c.metadataOf(ctx, tx, doc, versionID)
	if err != nil {
		return err
	}
	if err := writeMetadata(ctx, tx, doc.ID, name, m); err != nil {
		return err
	}
	return touch(ctx, tx, c.ID, "metadata", doc.ID)
}

// metadataOf resolves a version's metadata from its row.
func (c Collection) metadataOf(ctx context.Context, q db.Querier, doc docRow, versionID string) (m Metadata, name string, err error) {
	g, found, name, err := metadataParts(ctx, q, versionID)
	if err != nil {
		return m, "", err
	}
	m, err = c.resolve(doc.Source, g, found)
	return m, name, err
}

// metadataParts reads what a version's row says of its metadata: what was given with it, and what was found in its bytes.
func metadataParts(ctx context.Context, q db.Querier, versionID string) (g given, found Metadata, name string, err error) {
	var came, read, mediaType string
	if err := q.QueryRow(ctx, "SELECT name, metadata, extracted, media_type FROM versions WHERE id = ?", versionID).Scan(&name, &came, &read, &mediaType); err != nil {
		return g, found, "", err
	}
	if err := json.Unmarshal([]byte(came), &g); err != nil {
		return g, found, "", fmt.Errorf("read what was given with version %s: %w", versionID, err)
	}
	if err := json.Unmarshal([]byte(read), &found); err != nil {
		return g, found, "", fmt.Errorf("read what was found in version %s: %w", versionID, err)
	}
	found.likely = likelyType(mediaType)
	return g, found, name, nil
}

// UpdateMetadata replaces what was given with the document. Nothing is embedded again.
func (p *Pipeline) UpdateMetadata(ctx context.Context, documentID string, m Metadata) (Document, error) {
	d, c, err := p.ownDocument(ctx, documentID)
	if err == nil {
		err = mayGive(ctx, m)
	}
	if err != nil {
		return d, err
	}
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, d.ID)
		if err != nil {
			return err
		}
		if doc.Deleted {
			return noDocument(documentID)
		}
		came, err := c.keepClosed(ctx, tx, doc, given{Metadata: m})
		if err != nil {
			return err
		}
		open, err := collect(ctx, tx, scanText, "SELECT id FROM versions WHERE document_id = ? AND state IN (?,?,?)", doc.ID, Pending, Running, Live)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			return fault.New(fault.Conflict, "document_dead", "no version of %s is live or on its way", d.SourceKey).Hinted("replay its dead letter, or upload it again")
		}
		for _, version := range open {
			if err := setGiven(ctx, tx, version, came); err != nil {
				return err
			}
		}
		if doc.Live == "" {
			err = raise(ctx, tx, doc, came)
		} else {
			err = p.applyMetadata(ctx, tx, c, doc, doc.Live)
		}
		if err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "document.metadata", Target: d.ID, Detail: map[string]any{"collection": c.Name, "key": d.SourceKey}})
	})
	if err != nil {
		return d, err
	}
	return p.GetDocument(ctx, documentID)
}
