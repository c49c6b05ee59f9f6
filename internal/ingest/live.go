package ingest

import (
	"context"
	"errors"
	"time"

	"airfield/internal/access"
	"airfield/internal/db"
)

// store makes the version live: one transaction, in which the version before it steps back, the document takes the
// version's metadata, the index learns of it, and passages that no version needs any more are removed.
func (p *Pipeline) store(ctx context.Context, r *runRow) error {
	err := p.advance(ctx, r, "", nil, func(tx *db.Tx, doc docRow) error {
		if err := wanted(doc); err != nil {
			return err
		}
		c, err := lockCollection(ctx, tx, r.Collection)
		if err != nil {
			return gone(err)
		}
		var number, newer, pieces, without int
		if err := tx.QueryRow(ctx, "SELECT number FROM versions WHERE id = ?", r.Version).Scan(&number); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM versions WHERE document_id = ? AND number > ? AND state = ?", doc.ID, number, Live).Scan(&newer); err != nil {
			return err
		}
		if newer > 0 {
			return errOvertaken
		}
		// Another generation may have become live since the version was cut, or since its last batch was embedded.
		if err := tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN EXISTS (SELECT 1 FROM vectors v WHERE v.generation_id = ? AND v.chunk_id = vc.chunk_id)
			THEN 0 ELSE 1 END), 0) FROM manifests vc WHERE vc.version_id = ? AND vc.cut = ?`, c.GenerationID, r.Version, c.Cut).Scan(&pieces, &without); err != nil {
			return err
		}
		if pieces == 0 {
			return errUncut
		}
		if without > 0 {
			return errUnembedded
		}
		m, name, err := c.metadataOf(ctx, tx, doc, r.Version)
		if err != nil {
			return err
		}
		if err := stepBack(ctx, tx, doc.ID, number); err != nil {
			return err
		}
		now := db.Micros(time.Now())
		if _, err := tx.Exec(ctx, "UPDATE versions SET state = ?, live_at = ? WHERE id = ?", Live, now, r.Version); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE documents SET live_version_id = ? WHERE id = ?", r.Version, doc.ID); err != nil {
			return err
		}
		if err := writeMetadata(ctx, tx, doc.ID, name, m); err != nil {
			return err
		}
		if err := dropUnneeded(ctx, tx, doc.ID); err != nil {
			return err
		}
		if err := touch(ctx, tx, c.ID, "live", doc.ID); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "document.live", Target: doc.ID, Detail: map[string]any{"collection": c.Name, "version": number, "tier": m.Tier}})
	})
	switch {
	case errors.Is(err, errUncut):
		return p.advance(ctx, r, StepChunk, nil, nil)
	case errors.Is(err, errUnembedded):
		return p.advance(ctx, r, StepEmbed, nil, nil)
	}
	return err
}

var (
	errUncut      = errors.New("the version has no passages in the live generation's cut")
	errUnembedded = errors.New("passages are without a vector")
)

// stepBack makes every version below number superseded, and ends their runs: dead letters of what is past are closed.
func stepBack(ctx context.Context, tx *db.Tx, documentID string, number int) error {
	now := db.Micros(time.Now())
	if _, err := tx.Exec(ctx, `UPDATE runs SET state = ?, leased_by = '', leased_until = 0, updated_at = ?, finished_at = ? WHERE document_id = ? AND kind = ? AND state IN (?,?,?)
		AND version_id IN (SELECT id FROM versions WHERE document_id = ? AND number < ?)`,
		runCancelled, now, now, documentID, kindIngest, runWaiting, runRunning, runDead, documentID, number); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE versions SET state = ? WHERE document_id = ? AND number < ? AND state IN (?,?,?,?)", Superseded, documentID, number, Pending, Running, Live, Dead)
	return err
}

// dropUnneeded removes manifests of versions that are past, then passages and vectors in no manifest.
func dropUnneeded(ctx context.Context, tx *db.Tx, documentID string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM manifests WHERE version_id IN (SELECT id FROM versions WHERE document_id = ? AND state IN (?,?))", documentID, Superseded, Deleted); err != nil {
		return err
	}
	for _, table := range []string{"vectors WHERE document_id = ? AND chunk_id", "chunks WHERE document_id = ? AND id"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+` NOT IN
			(SELECT vc.chunk_id FROM manifests vc JOIN versions v ON v.id = vc.version_id WHERE v.document_id = ?)`, documentID, documentID); err != nil {
			return err
		}
	}
	return nil
}
