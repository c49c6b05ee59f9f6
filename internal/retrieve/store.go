package retrieve

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/index"
)

// collection is what retrieval needs to know of one.
type collection struct {
	id, name, workflow string
	generation         string // the live one, or the one that is asked: the space of the index
	cut                int64  // of the generation: which manifests are its
	model              string // that its vectors are of
	answerModel        string
	sequence           int64
	epoch              int64 // raised whenever an answer could change
	deleted            bool
}

const (
	collectionColumns = "SELECT c.id, c.name, c.workflow, g.id, g.cut, g.model, c.config, c.sequence, c.epoch, c.deleted_at FROM collections c JOIN generations g ON "
	selectCollection  = collectionColumns + "g.id = c.generation_id "
	// selectBeside are generations that are fed beside the live one: those that are built, and those that were live,
	// until what they held is gone.
	selectBeside = collectionColumns + "g.collection_id = c.id AND g.id <> c.generation_id AND g.ready_at + g.live_at > 0 AND g.reclaimed_at = 0 "
)

func scanCollection(row interface{ Scan(...any) error }) (c collection, err error) {
	var config string
	var deleted sql.NullInt64
	if err := row.Scan(&c.id, &c.name, &c.workflow, &c.generation, &c.cut, &c.model, &config, &c.sequence, &c.epoch, &deleted); err != nil {
		return c, err
	}
	var read struct {
		AnswerModel string `json:"answer_model"`
	}
	if err := json.Unmarshal([]byte(config), &read); err != nil {
		return c, fmt.Errorf("read configuration of collection %s: %w", c.id, err)
	}
	c.answerModel, c.deleted = read.AnswerModel, deleted.Valid
	return c, nil
}

// generations are all spaces a collection may have in the index.
func generations(ctx context.Context, d *db.DB, collectionID string) ([]string, error) {
	return column(d.Query(ctx, "SELECT id FROM generations WHERE collection_id = ? ORDER BY id", collectionID))
}

// column reads rows of one text.
func column(rows *sql.Rows, err error) (list []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// fields are a document's columns that filters compare.
type fields struct {
	title, source, kind, date, businessUnit, tags, metadata string
	tier                                                    caller.Tier
}

const fieldColumns = "d.title, d.source, d.type, d.date, d.business_unit, d.tags, d.metadata, d.tier"

func (f *fields) into() []any {
	return []any{&f.title, &f.source, &f.kind, &f.date, &f.businessUnit, &f.tags, &f.metadata, &f.tier}
}

// attributes are what filters compare: the document's own fields, then its free ones. A date is seconds since 1970, so
// that it can be compared; what an index could not hold is left out.
func (f *fields) attributes() map[string]any {
	out := map[string]any{}
	var free map[string]any
	json.Unmarshal([]byte(f.metadata), &free) // a row that is no object has no free fields
	for key, value := range free {
		if v, ok := attribute(value); ok && key != "" && len(key) <= 256 && len(out) < 200 {
			out[key] = v
		}
	}
	set := func(key, value string) {
		if delete(out, key); value != "" {
			out[key] = clip(value)
		}
	}
	set("title", f.title)
	set("source", f.source)
	set("type", f.kind)
	set("business_unit", f.businessUnit)
	set("tier", f.tier.String())
	delete(out, "date")
	if day, err := time.Parse(time.DateOnly, f.date); err == nil {
		out["date"] = float64(day.Unix())
	}
	delete(out, "tags")
	var tags []string
	if json.Unmarshal([]byte(f.tags), &tags) == nil && len(tags) > 0 {
		out["tags"] = tags
	}
	return out
}

const maxAttribute = 4096 // bytes of a text that an index takes

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxAttribute)], "") }

func attribute(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		return clip(v), true
	case float64, bool:
		return v, true
	case []any:
		list := make([]string, 0, len(v))
		for _, item := range v {
			s, ok := item.(string)
			if !ok || len(list) == 1000 {
				return nil, false
			}
			list = append(list, clip(s))
		}
		return list, true
	}
	return nil, false
}

// liveDocument reads what is live of a document, for the index. Without a live version it has no chunks, which takes it out.
func liveDocument(ctx context.Context, d *db.DB, generation string, cut int64, documentID string) (index.Document, error) {
	doc := index.Document{ID: documentID}
	var f fields
	var version string
	err := d.QueryRow(ctx, "SELECT d.live_version_id, "+fieldColumns+` FROM documents d
		WHERE d.id = ? AND d.deleted_at IS NULL AND d.live_version_id IS NOT NULL`, documentID).Scan(append([]any{&version}, f.into()...)...)
	if db.IsNone(err) || err == nil && !caller.Restricted.Sees(f.tier) {
		return doc, nil
	}
	if err != nil {
		return doc, fmt.Errorf("read document %s: %w", documentID, err)
	}
	rows, err := d.Query(ctx, `SELECT c.id, c.heading, c.text, v.vector FROM manifests m JOIN chunks c ON c.id = m.chunk_id
		LEFT JOIN vectors v ON v.generation_id = ? AND v.chunk_id = c.id WHERE m.version_id = ? AND m.cut = ? ORDER BY m.ordinal`, generation, version, cut)
	if err != nil {
		return doc, fmt.Errorf("read chunks of document %s: %w", documentID, err)
	}
	defer rows.Close()
	doc.Tier, doc.Attributes = f.tier, f.attributes()
	seen := map[string]bool{}
	for rows.Next() {
		c := index.Chunk{Title: f.title}
		var heading string
		var vector []byte
		if err := rows.Scan(&c.ID, &heading, &c.Text, &vector); err != nil {
			return doc, fmt.Errorf("read chunks of document %s: %w", documentID, err)
		}
		if seen[c.ID] {
			continue
		}
		seen[c.ID] = true
		c.Heading, c.Vector = strings.Join(path(heading), " > "), floats(vector)
		doc.Chunks = append(doc.Chunks, c)
	}
	return doc, rows.Err()
}

// path reads a heading path, kept as a JSON list.
func path(s string) (list []string) {
	if json.Unmarshal([]byte(s), &list) != nil {
		return nil
	}
	return list
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// confirm reads, in one query, those of the chunks that may leave: in the manifest of the live version of a document
// that is not deleted, cut as the generation that was asked, in one of the collections, of a tier that is seen, with attributes that match.
func confirm(ctx context.Context, d *db.DB, collections []collection, clearance caller.Tier, filter index.Filter, chunkIDs []string) (map[string]Passage, error) {
	asked := map[string]collection{}
	for _, c := range collections {
		asked[c.id] = c
	}
	rows, err := d.Query(ctx, confirmQuery(len(chunkIDs)), db.Args(chunkIDs)...)
	if err != nil {
		return nil, fmt.Errorf("check hits: %w", err)
	}
	defer rows.Close()
	out := map[string]Passage{}
	for rows.Next() {
		var p Passage
		var f fields
		var heading string
		var cut int64
		into := []any{&cut, &p.ChunkID, &heading, &p.Text, &p.Kind, &p.Tokens, &p.PageFrom, &p.PageTo, &p.VersionID, &p.Version, &p.Name, &p.DocumentID, &p.CollectionID, &p.SourceKey}
		if err := rows.Scan(append(into, f.into()...)...); err != nil {
			return nil, fmt.Errorf("check hits: %w", err)
		}
		c, ok := asked[p.CollectionID]
		if _, twice := out[p.ChunkID]; twice || !ok || cut != c.cut || !clearance.Sees(f.tier) {
			continue
		}
		p.Attributes = f.attributes()
		if !filter.Match(p.Attributes) {
			continue
		}
		p.Heading, p.Title, p.Source, p.Tier, p.Collection, p.Generation = path(heading), f.title, f.source, f.tier, c.name, c.generation
		out[p.ChunkID] = p
	}
	return out, rows.Err()
}

// confirmQuery names no collection: SQLite would then read all documents of that one instead of the few chunks.
func confirmQuery(chunks int) string {
	return `SELECT m.cut, c.id, c.heading, c.text, c.kind, c.tokens, m.page_from, m.page_to, v.id, v.number, v.name,
		d.id, d.collection_id, d.source_key, ` + fieldColumns + `
		FROM manifests m JOIN chunks c ON c.id = m.chunk_id JOIN versions v ON v.id = m.version_id JOIN documents d ON d.id = v.document_id AND d.live_version_id = v.id
		JOIN collections o ON o.id = d.collection_id
		WHERE m.chunk_id IN (` + db.Marks(chunks) + `)
		AND d.deleted_at IS NULL AND o.deleted_at IS NULL AND v.state = 'live' ORDER BY m.ordinal`
}
