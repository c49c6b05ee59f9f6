package ingest

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// The states of a source.
const (
	SourceOK      = "ok"
	SourceWarning = "warning" // it could not be read, or not whole: nothing was removed
	SourceHeld    = "held"    // it would remove so much that somebody has to confirm
)

// Source is a place that is watched, and how it is.
type Source struct {
	ID           string       `json:"id"`
	CollectionID string       `json:"collection_id"`
	Collection   string       `json:"collection"`
	Name         string       `json:"name"`
	Kind         string       `json:"kind"`
	State        string       `json:"state"` // ok, warning, held
	Message      string       `json:"message,omitempty"`
	Held         Held         `json:"held,omitzero"`
	Cursor       string       `json:"-"` // what the source itself remembers
	ScannedAt    time.Time    `json:"scanned_at,omitzero"`
	Config       SourceConfig `json:"config"`
	MaxFileBytes int64        `json:"-"` // the largest item that the collection takes
}

// Held is what a source does not remove before somebody confirms it.
type Held struct {
	Missing   int      `json:"missing"`            // documents that would be removed
	Of        int      `json:"of"`                 // documents of the source
	Examples  []string `json:"examples,omitempty"` // some of their names
	Confirmed bool     `json:"confirmed,omitempty"`
}

// Item is what a source last saw of one of its documents.
type Item struct {
	SourceID    string
	Key         string
	Fingerprint string // changes when the item changed: size, time, file id
	Identity    string // survives a rename: the file id
	SHA256      string
	Sidecar     string // the fingerprint of its metadata file
	DocumentID  string
}

const sourceColumns = "SELECT s.id, s.collection_id, s.name, s.kind, s.state, s.message, s.held, s.cursor, COALESCE(s.scanned_at, 0) FROM sources s"

func (c Collection) scanSource(row scanner) (s Source, err error) {
	var held string
	var scanned int64
	if err := row.Scan(&s.ID, &s.CollectionID, &s.Name, &s.Kind, &s.State, &s.Message, &held, &s.Cursor, &scanned); err != nil {
		return s, err
	}
	s.Collection, s.ScannedAt, s.Config, s.MaxFileBytes = c.Name, db.Time(scanned), c.Config.Sources[s.Name], c.Config.MaxFileBytes
	if held != "" {
		err = json.Unmarshal([]byte(held), &s.Held)
	}
	return s, err
}

// sources reads a collection's sources for who runs the place: they name folders of this machine, and what is held back
// or failed by the names of documents of any tier.
func (p *Pipeline) sources(ctx context.Context, c Collection) ([]Source, error) {
	who := caller.From(ctx)
	if !who.Is(caller.Operator, caller.Auditor, caller.Viewer) {
		return nil, nil
	}
	list, err := collect(ctx, p.DB, c.scanSource, sourceColumns+" WHERE s.collection_id = ? ORDER BY s.name", c.ID)
	if !who.Is(caller.Operator, caller.Auditor) {
		for i := range list {
			list[i].Message, list[i].Held.Examples = "", nil
		}
	}
	return list, err
}

// ListSources returns the sources of a collection, or of all that the caller reads where it is empty. One that is no
// longer configured has an empty configuration.
func (p *Pipeline) ListSources(ctx context.Context, collection string) ([]Source, error) {
	var collections []Collection
	if collection == "" {
		all, err := p.ListCollections(ctx)
		if err != nil {
			return nil, err
		}
		collections = all
	} else {
		c, err := p.GetCollection(ctx, collection)
		if err != nil {
			return nil, err
		}
		collections = append(collections, c)
	}
	list := []Source{}
	for _, c := range collections {
		sources, err := p.sources(ctx, c)
		if err != nil {
			return nil, err
		}
		list = append(list, sources...)
	}
	return list, nil
}

// GetSource returns a source by its collection and name.
func (p *Pipeline) GetSource(ctx context.Context, collection, name string) (Source, error) {
	c, err := p.GetCollection(ctx, collection)
	if err != nil {
		return Source{}, err
	}
	s, err := c.scanSource(p.DB.QueryRow(ctx, sourceColumns+" WHERE s.collection_id = ? AND s.name = ?", c.ID, name))
	if db.IsNone(err) {
		return s, fault.New(fault.NotFound, "source_not_found", "the collection %s has no source %q", c.Name, name)
	}
	return s, err
}

// Confirm lets a source that is held remove what it holds back, at its next scan: as many documents as were held, and
// no more.
func (p *Pipeline) Confirm(ctx context.Context, collection, source string) error {
	c, err := p.ownCollection(ctx, collection)
	if err != nil {
		return err
	}
	s, err := p.GetSource(ctx, c.ID, source)
	if err != nil {
		return err
	}
	if s.State != SourceHeld {
		return fault.New(fault.Conflict, "source_not_held", "the source %s of collection %s holds nothing back", source, c.Name)
	}
	s.Held.Confirmed = true
	held, err := json.Marshal(s.Held)
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE sources SET held = ? WHERE id = ?", string(held), s.ID); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "source.confirm", Target: s.ID, Detail: map[string]any{"collection": c.Name, "source": s.Name, "missing": s.Held.Missing, "of": s.Held.Of}})
	})
}

// tends refuses callers that have no business with what a source remembers.
func tends(ctx context.Context) error {
	if caller.From(ctx).Is(caller.Operator) {
		return nil
	}
	return fault.New(fault.Denied, "source_not_yours", "sources are tended by operators and by the server itself")
}

// SaveSource keeps how a source is after a scan. For what reads sources.
func (p *Pipeline) SaveSource(ctx context.Context, s Source) error {
	if err := tends(ctx); err != nil {
		return err
	}
	held := ""
	if s.Held.Missing > 0 {
		raw, err := json.Marshal(s.Held)
		if err != nil {
			return err
		}
		held = string(raw)
	}
	_, err := p.DB.Exec(ctx, "UPDATE sources SET state = ?, message = ?, held = ?, cursor = ?, scanned_at = ? WHERE id = ?",
		s.State, storable(s.Message), held, s.Cursor, nullable(s.ScannedAt), s.ID)
	return err
}

const itemColumns = "SELECT source_id, key, fingerprint, identity, sha256, sidecar, document_id FROM source_items"

func scanItem(row scanner) (i Item, err error) {
	return i, row.Scan(&i.SourceID, &i.Key, &i.Fingerprint, &i.Identity, &i.SHA256, &i.Sidecar, &i.DocumentID)
}

// Items returns what a source last saw, by key. For what reads sources.
func (p *Pipeline) Items(ctx context.Context, sourceID string) (map[string]Item, error) {
	if err := tends(ctx); err != nil {
		return nil, err
	}
	rows, err := p.DB.Query(ctx, itemColumns+" WHERE source_id = ?", sourceID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items := map[string]Item{}
	for rows.Next() {
		i, err := scanItem(rows)
		if err != nil {
			return nil, err
		}
		items[i.Key] = i
	}
	return items, rows.Err()
}

// ItemsOf is Items for some keys. For what reads sources.
func (p *Pipeline) ItemsOf(ctx context.Context, sourceID string, keys []string) (map[string]Item, error) {
	if err := tends(ctx); err != nil {
		return nil, err
	}
	items := map[string]Item{}
	const atOnce = 500
	for part := range slices.Chunk(keys, atOnce) {
		args := []any{sourceID}
		for _, key := range part {
			args = append(args, key)
		}
		list, err := collect(ctx, p.DB, scanItem, itemColumns+" WHERE source_id = ? AND key IN (?"+strings.Repeat(",?", len(part)-1)+")", args...)
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			items[i.Key] = i
		}
	}
	return items, nil
}

// CountItems is how many items a source has. For what reads sources.
func (p *Pipeline) CountItems(ctx context.Context, sourceID string) (n int, err error) {
	if err := tends(ctx); err != nil {
		return 0, err
	}
	return n, p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM source_items WHERE source_id = ?", sourceID).Scan(&n)
}

// SaveCursor keeps what a source remembers between two scans, and leaves its state alone. For what reads sources.
func (p *Pipeline) SaveCursor(ctx context.Context, sourceID, cursor string) error {
	if err := tends(ctx); err != nil {
		return err
	}
	_, err := p.DB.Exec(ctx, "UPDATE sources SET cursor = ? WHERE id = ?", cursor, sourceID)
	return err
}

func putItem(ctx context.Context, tx *db.Tx, i Item) error {
	_, err := tx.Exec(ctx, `INSERT INTO source_items (source_id, key, fingerprint, identity, sha256, sidecar, document_id) VALUES (?,?,?,?,?,?,?)
		ON CONFLICT (source_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, identity = excluded.identity, sha256 = excluded.sha256,
		sidecar = excluded.sidecar, document_id = excluded.document_id`, i.SourceID, i.Key, i.Fingerprint, i.Identity, i.SHA256, i.Sidecar, i.DocumentID)
	return err
}

// SeeItems notes items whose bytes turned out to be the same: touched, not changed.
func (p *Pipeline) SeeItems(ctx context.Context, items []Item) error {
	if err := tends(ctx); err != nil || len(items) == 0 {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		for _, i := range items {
			if err := putItem(ctx, tx, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// RenameItem gives an item, and its document, another name in the source. The document keeps its id, and nothing is
// embedded again; what it is called follows the name only where it has no title of its own.
func (p *Pipeline) RenameItem(ctx context.Context, s Source, from Item, to Item) error {
	c, err := p.ownCollection(ctx, s.CollectionID)
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, from.DocumentID)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM source_items WHERE source_id = ? AND key = ?", s.ID, from.Key); err != nil {
			return err
		}
		to.DocumentID, to.SHA256 = from.DocumentID, from.SHA256
		if err := putItem(ctx, tx, to); err != nil {
			return err
		}
		if doc.Deleted {
			return nil
		}
		if _, err := tx.Exec(ctx, "UPDATE documents SET source_key = ?, updated_at = ? WHERE id = ?", to.Key, db.Micros(time.Now()), doc.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE versions SET name = ? WHERE document_id = ? AND (number = ? OR state = ?)", path.Base(to.Key), doc.ID, doc.Last, Live); err != nil {
			return err
		}
		if doc.Live != "" {
			m, _, err := c.metadataOf(ctx, tx, doc, doc.Live)
			if err == nil {
				_, err = tx.Exec(ctx, "UPDATE documents SET title = ? WHERE id = ?", titleOf(m, to.Key), doc.ID)
			}
			if err != nil && !fault.Is(err, fault.Invalid) { // metadata that is no longer valid stays as it is
				return err
			}
			if err := touch(ctx, tx, c.ID, "metadata", doc.ID); err != nil {
				return err
			}
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "document.rename", Target: doc.ID, Detail: map[string]any{"collection": c.Name, "source": s.Name, "from": from.Key, "to": to.Key}})
	})
}

// RemoveItems deletes the documents of items that are gone from their source.
func (p *Pipeline) RemoveItems(ctx context.Context, s Source, items []Item) error {
	c, err := p.ownCollection(ctx, s.CollectionID)
	if err != nil {
		return err
	}
	for _, i := range items {
		err := p.DB.Tx(ctx, func(tx *db.Tx) error {
			if _, err := p.removeGone(ctx, tx, c, i.DocumentID); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "DELETE FROM source_items WHERE source_id = ? AND key = ?", s.ID, i.Key)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
