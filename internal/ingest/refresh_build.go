package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/ingest/extract"
)

const (
	cutBatch    = 16  // documents that are looked for at once to be cut
	followBatch = 256 // changes that are followed at once
)

// cutNext cuts the next documents anew, one commit each.
func (p *Pipeline) cutNext(ctx context.Context, c Collection, g *Generation) error {
	ids, err := collect(ctx, p.DB, scanText, "SELECT id FROM documents WHERE collection_id = ? AND id > ? AND deleted_at IS NULL AND live_version_id IS NOT NULL ORDER BY id LIMIT ?", c.ID, g.cursor, cutBatch)
	if err != nil {
		return fmt.Errorf("list documents: %w", err)
	}
	if len(ids) == 0 {
		return p.beginPhase(ctx, c, g, phaseEmbed)
	}
	for _, document := range ids {
		if err := p.recut(ctx, c, g, document, true); err != nil {
			return err
		}
	}
	return nil
}

// recut gives a document's live version its manifest in the generation's cut, unless it has one. One that cannot be read
// any more keeps the passages that it has. checkpoint moves the cursor beyond it.
func (p *Pipeline) recut(ctx context.Context, c Collection, g *Generation, documentID string, checkpoint bool) error {
	var version string
	var have int
	err := p.DB.QueryRow(ctx, `SELECT d.live_version_id, (SELECT COUNT(*) FROM manifests m WHERE m.version_id = d.live_version_id AND m.cut = ?) FROM documents d
		WHERE d.id = ? AND d.deleted_at IS NULL AND d.live_version_id IS NOT NULL`, g.cut, documentID).Scan(&version, &have)
	if err != nil && !db.IsNone(err) {
		return fmt.Errorf("read document %s: %w", documentID, err)
	}
	of := g.of(c)
	write := func(context.Context, *db.Tx) (refused int, err error) { return 0, nil }
	if err == nil && have == 0 {
		blocks, err := p.read(ctx, c, version)
		chunks, splitErr := p.split(ctx, of, documentID, version, blocks)
		switch {
		case err == nil && splitErr == nil:
			write = func(ctx context.Context, tx *db.Tx) (int, error) {
				return 0, writeManifest(ctx, tx, of, documentID, version, chunks)
			}
		case err == nil && !fault.Is(splitErr, fault.Invalid):
			return splitErr
		case err != nil && !extract.Permanent(err) && !fault.Is(err, fault.NotFound):
			return err
		default:
			p.Log.Warn("a document cannot be cut anew and keeps its passages", "document", documentID, "generation", g.ID, "err", errors.Join(err, splitErr))
			write = func(ctx context.Context, tx *db.Tx) (int, error) {
				_, err := tx.Exec(ctx, `INSERT INTO manifests (version_id, cut, ordinal, chunk_id, page_from, page_to)
					SELECT version_id, ?, ordinal, chunk_id, page_from, page_to FROM manifests WHERE version_id = ? AND cut = ?`, g.cut, version, c.Cut)
				return 1, err
			}
		}
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, documentID)
		if err != nil {
			return err
		}
		if err := holdGeneration(ctx, tx, g); err != nil {
			return err
		}
		refused := 0
		if !doc.Deleted && doc.Live == version && version != "" { // else a change says that it is to be looked at again
			if refused, err = write(ctx, tx); err != nil {
				return err
			}
		}
		if !checkpoint {
			_, err = tx.Exec(ctx, "UPDATE generations SET refused = refused + ? WHERE id = ?", refused, g.ID)
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE generations SET refused = refused + ?, cursor = ?, done = done + 1, attempts = 0, error = '' WHERE id = ?", refused, documentID, g.ID)
		return err
	})
}

// read extracts a version's blocks: from where they were kept, else from the file.
func (p *Pipeline) read(ctx context.Context, c Collection, versionID string) (blocks []extract.Block, err error) {
	var name, declared, key, version string
	if err := p.DB.QueryRow(ctx, "SELECT name, media_type, bucket_key, bucket_version FROM versions WHERE id = ?", versionID).Scan(&name, &declared, &key, &version); err != nil {
		return nil, err
	}
	blocks, err = p.blocksOf(ctx, &runRow{Version: versionID})
	if err == nil || !fault.Is(err, fault.NotFound) {
		return blocks, err
	}
	path, done, err := p.localPath(ctx, key, version)
	if err != nil {
		return nil, err
	}
	defer done()
	_, err = p.Extractor.ExtractRecords(ctx, path, name, declared, c.Config.Records, func(page extract.Page) error {
		blocks = append(blocks, page.Blocks...)
		return ctx.Err()
	})
	return blocks, err
}

const passageColumns = `SELECT c.id, c.document_id, vc.ordinal, c.heading, c.text FROM documents d JOIN manifests vc ON vc.version_id = d.live_version_id AND vc.cut = ?
	JOIN chunks c ON c.id = vc.chunk_id WHERE d.collection_id = ? AND d.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.generation_id = ? AND v.chunk_id = c.id) `

// embedNext embeds the next passages, of whichever documents they are: from what is stored, without reading any file.
func (p *Pipeline) embedNext(ctx context.Context, c Collection, g *Generation) error {
	batch, err := collect(ctx, p.DB, scanPassage, passageColumns+"AND d.id >= ? ORDER BY d.id, vc.ordinal LIMIT ?", g.cut, c.ID, g.ID, g.cursor, p.config.EmbedBatch)
	if err != nil {
		return fmt.Errorf("list passages: %w", err)
	}
	if len(batch) == 0 {
		return p.beginPhase(ctx, c, g, phaseFollow)
	}
	return p.embedPassages(ctx, c, g, batch)
}

// embedPassages embeds a batch and commits it together with the checkpoint: a worker that dies repeats at most one batch.
// A passage that the model refuses is left to the keywords, and counted.
func (p *Pipeline) embedPassages(ctx context.Context, c Collection, g *Generation, batch []passage) error {
	cursor, listed := batch[len(batch)-1].document, len(batch)
	seen := map[string]bool{}
	batch = slices.DeleteFunc(batch, func(one passage) bool {
		twice := seen[one.chunk]
		seen[one.chunk] = true
		return twice
	})
	of := g.of(c)
	begun := time.Now()
	b := bisect(ctx, p.Refresher, of, batch, g.Embedded > g.Refused)
	took := time.Since(begun)
	if b.outage != nil && len(vectorRows(batch, b.out)) == 0 {
		return b.outage
	}
	err := p.DB.Tx(ctx, func(tx *db.Tx) error {
		documents, chunks, err := lockPassages(ctx, tx, batch)
		if err != nil {
			return err
		}
		if err := holdGeneration(ctx, tx, g); err != nil {
			return err
		}
		refused, size := 0, 0
		var rows [][]any
		for i, one := range batch {
			if !documents[one.document] || !chunks[one.chunk] {
				continue // deleted or rewritten meanwhile
			}
			if b.out[i] == nil {
				if b.outage != nil {
					continue // not asked
				}
				refused++
			}
			size = max(size, len(b.out[i]))
			rows = append(rows, []any{g.ID, one.chunk, one.document, encodeVector(b.out[i])})
		}
		if size > 0 {
			if err := learnSize(ctx, tx, of, size); err != nil {
				return err
			}
		}
		if err := insertRows(ctx, tx, "INSERT INTO vectors (generation_id, chunk_id, document_id, vector) VALUES", " ON CONFLICT (generation_id, chunk_id) DO NOTHING", 4, len(rows), func(i int) []any { return rows[i] }); err != nil {
			return fmt.Errorf("write vectors: %w", err)
		}
		done := min(g.Total, g.Done+int64(listed)) // what is twice in a manifest is two passages and one vector
		if g.State != GenerationBuilding || g.Phase != phaseEmbed || b.outage != nil {
			done, cursor = g.Done, g.cursor
		}
		if _, err := tx.Exec(ctx, "UPDATE generations SET cursor = ?, done = ?, embedded = embedded + ?, embed_us = embed_us + ?, refused = refused + ?, attempts = 0, error = '' WHERE id = ?",
			cursor, done, len(rows), took.Microseconds(), refused, g.ID); err != nil {
			return err
		}
		if g.ReadyAt.IsZero() && g.LiveAt.IsZero() {
			return nil
		}
		// The index has read these documents without their vectors.
		return touch(ctx, tx, c.ID, "vectors", sorted(documents)...)
	})
	if err != nil {
		return err
	}
	return b.outage
}

// lockPassages locks the documents of a batch, and says which of them and of its passages are still there.
func lockPassages(ctx context.Context, tx *db.Tx, batch []passage) (documents, chunks map[string]bool, err error) {
	asked, ids := map[string]bool{}, make([]string, len(batch))
	for i, one := range batch {
		asked[one.document], ids[i] = true, one.chunk
	}
	names := sorted(asked)
	alive, err := collect(ctx, tx, scanText, "SELECT id FROM documents WHERE id IN ("+db.Marks(len(names))+") AND deleted_at IS NULL ORDER BY id"+tx.ForUpdate(), db.Args(names)...)
	if err != nil {
		return nil, nil, err
	}
	there, err := collect(ctx, tx, scanText, "SELECT id FROM chunks WHERE id IN ("+db.Marks(len(ids))+")", db.Args(ids)...)
	return setOf(alive), setOf(there), err
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for s := range set {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// follow does for the generation what changed in the collection since its position: the documents that became live get
// their passages and vectors in it too. What was deleted, and tiers, need nothing: they are the documents' own.
func (p *Pipeline) follow(ctx context.Context, c Collection, g *Generation) error {
	type change struct {
		sequence       int64
		document, kind string
	}
	changes, err := collect(ctx, p.DB, func(row scanner) (x change, err error) { return x, row.Scan(&x.sequence, &x.document, &x.kind) },
		"SELECT sequence, document_id, kind FROM changes WHERE collection_id = ? AND sequence > ? ORDER BY sequence LIMIT ?", c.ID, g.position, followBatch)
	if err != nil {
		return fmt.Errorf("read changes: %w", err)
	}
	position, documents := g.position, map[string]bool{}
	for _, x := range changes {
		position = x.sequence
		if x.kind == "live" {
			documents[x.document] = true
		}
	}
	names := sorted(documents)
	if g.cut != c.Cut {
		for _, document := range names {
			if err := p.recut(ctx, c, g, document, false); err != nil {
				return err
			}
		}
	}
	for len(names) > 0 {
		args := append([]any{g.cut, c.ID, g.ID}, db.Args(names)...)
		batch, err := collect(ctx, p.DB, scanPassage, passageColumns+"AND d.id IN ("+db.Marks(len(names))+") ORDER BY d.id, vc.ordinal LIMIT ?", append(args, p.config.EmbedBatch)...)
		if err != nil {
			return fmt.Errorf("list passages: %w", err)
		}
		if len(batch) == 0 {
			break
		}
		if err := p.embedPassages(ctx, c, g, batch); err != nil {
			return err
		}
	}
	return p.inGeneration(ctx, g, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE generations SET position = ?, attempts = 0, error = '' WHERE id = ?", position, g.ID)
		return err
	})
}
