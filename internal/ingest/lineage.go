package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// Lineage is where something that was cited came from: back from the passage over the version and the run that made it
// searchable to the object in the source.
type Lineage struct {
	Chunk      *LineageChunk     `json:"chunk,omitempty"` // where a chunk was asked for
	Version    LineageVersion    `json:"version"`
	Document   LineageDocument   `json:"document"`
	Run        *Run              `json:"run,omitempty"` // with its steps; missing where it is not kept any more
	Generation LineageGeneration `json:"generation"`
}

// LineageChunk is where a passage is in its version.
type LineageChunk struct {
	ID       string `json:"id"`
	Ordinal  int    `json:"ordinal"`
	PageFrom int    `json:"page_from,omitempty"`
	PageTo   int    `json:"page_to,omitempty"`
	Versions []int  `json:"versions"` // of the document that have it, as far as their chunks are kept
}

// LineageVersion is the state of the bytes that were read.
type LineageVersion struct {
	ID            string    `json:"id"`
	Number        int       `json:"number"`
	State         string    `json:"state"`
	Name          string    `json:"name"`
	SHA256        string    `json:"sha256"`
	Bytes         int64     `json:"bytes"`
	MediaType     string    `json:"media_type"`
	BucketKey     string    `json:"bucket_key,omitempty"` // for who runs the place; empty where the bytes are not kept any more
	BucketVersion string    `json:"bucket_version,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	LiveAt        time.Time `json:"live_at,omitzero"`
}

// LineageDocument is the object in its source.
type LineageDocument struct {
	ID         string `json:"id"`
	Collection string `json:"collection"`
	Source     string `json:"source"`      // its name, or upload, or files
	SourceKind string `json:"source_kind"` // folder, s3, …, or upload, files
	SourceKey  string `json:"source_key"`
}

// LineageGeneration is the set of vectors that the collection is searched by.
type LineageGeneration struct {
	ID         string `json:"id"`
	Model      string `json:"model"`
	Dimensions int    `json:"dimensions"`
}

// Lineage explains where a chunk, a version or a document came from. Of a document it is the live version, or the newest
// where none is; of a chunk the live version where that has it, else the newest that does.
func (p *Pipeline) Lineage(ctx context.Context, of string) (l Lineage, err error) {
	documentID, versionID := of, ""
	switch {
	case id.Has(of, "doc"):
	case id.Has(of, "ver"):
		documentID, err = p.ownerOf(ctx, "SELECT document_id FROM versions WHERE id = ?", of)
		versionID = of
	case strings.HasPrefix(of, "chk_"):
		documentID, err = p.ownerOf(ctx, "SELECT document_id FROM chunks WHERE id = ?", of)
		l.Chunk = &LineageChunk{ID: of}
	default:
		return l, fault.New(fault.Invalid, "lineage_of", "%q is not the id of a chunk, a version or a document", of).
			Hinted("a citation names its chunk_id, version_id and document_id: chk_…, ver_…, doc_…")
	}
	if err != nil {
		return l, err
	}
	d, c, err := p.document(ctx, documentID)
	if fault.Is(err, fault.NotFound) {
		return Lineage{}, noLineage(of)
	}
	if err != nil {
		return l, err
	}
	if l.Chunk != nil {
		if versionID, err = p.placeChunk(ctx, d, l.Chunk); err != nil {
			return l, err
		}
	}
	v, err := p.numbered(ctx, d, 0)
	if versionID != "" && versionID != v.ID {
		v, err = scanVersion(p.DB.QueryRow(ctx, "SELECT "+versionColumns+" FROM versions v WHERE v.id = ?", versionID))
	}
	if err != nil {
		return l, err
	}
	if seen, err := p.seesVersion(ctx, c, d, v); err != nil || !seen {
		if err == nil {
			err = noLineage(of)
		}
		return Lineage{}, err
	}
	l.Version = LineageVersion{ID: v.ID, Number: v.Number, State: v.State, Name: v.Name, SHA256: v.SHA256, Bytes: v.Bytes, MediaType: v.MediaType, CreatedAt: v.CreatedAt, LiveAt: v.LiveAt}
	if caller.From(ctx).Is(caller.Operator, caller.Auditor) {
		if err := p.DB.QueryRow(ctx, "SELECT bucket_key, bucket_version FROM versions WHERE id = ?", v.ID).Scan(&l.Version.BucketKey, &l.Version.BucketVersion); err != nil {
			return l, err
		}
	}
	l.Document = LineageDocument{ID: d.ID, Collection: c.Name, Source: d.Source, SourceKind: d.Source, SourceKey: d.SourceKey}
	err = p.DB.QueryRow(ctx, "SELECT kind FROM sources WHERE collection_id = ? AND name = ?", c.ID, d.Source).Scan(&l.Document.SourceKind)
	if err != nil && !db.IsNone(err) {
		return l, fmt.Errorf("look for the source: %w", err)
	}
	l.Generation = LineageGeneration{ID: c.GenerationID, Model: c.Model, Dimensions: c.Dimensions}
	if l.Run, err = newestRun(ctx, p.DB, "r.version_id = ? AND r.kind = ?", v.ID, kindIngest); err == nil && l.Run != nil {
		l.Run.Steps, err = stepsOf(ctx, p.DB, l.Run.ID)
	}
	return l, err
}

func (p *Pipeline) ownerOf(ctx context.Context, query, of string) (documentID string, err error) {
	err = p.DB.QueryRow(ctx, query, of).Scan(&documentID)
	if db.IsNone(err) {
		err = noLineage(of)
	}
	return documentID, err
}

// placeChunk finds the version that a chunk is looked at in, and where it is there.
func (p *Pipeline) placeChunk(ctx context.Context, d Document, chunk *LineageChunk) (versionID string, err error) {
	type place struct {
		version string
		number  int
		chunk   LineageChunk
	}
	list, err := collect(ctx, p.DB, func(row scanner) (pl place, err error) {
		return pl, row.Scan(&pl.version, &pl.number, &pl.chunk.Ordinal, &pl.chunk.PageFrom, &pl.chunk.PageTo)
	}, `SELECT v.id, v.number, m.ordinal, m.page_from, m.page_to FROM manifests m JOIN versions v ON v.id = m.version_id
		JOIN collections c ON c.id = v.collection_id LEFT JOIN generations g ON g.id = c.generation_id
		WHERE m.chunk_id = ? ORDER BY v.number DESC, CASE WHEN m.cut = g.cut THEN 0 ELSE 1 END, m.ordinal`, chunk.ID)
	if err != nil {
		return "", err
	}
	for _, pl := range list {
		if n := len(chunk.Versions); n == 0 || chunk.Versions[n-1] != pl.number {
			chunk.Versions = append(chunk.Versions, pl.number)
		}
		if versionID == "" || (pl.version == d.LiveVersion && versionID != d.LiveVersion) {
			versionID, chunk.Ordinal, chunk.PageFrom, chunk.PageTo = pl.version, pl.chunk.Ordinal, pl.chunk.PageFrom, pl.chunk.PageTo
		}
	}
	return versionID, nil
}

func noLineage(of string) error {
	return fault.New(fault.NotFound, "lineage_not_found", "nothing is known of %q", of).
		Hinted("a chunk goes with its version, and all with the document; of a deleted one there is airfield documents proof DOCUMENT-ID")
}
