package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"airfield/internal/db"
	"airfield/internal/fault"
)

// match is a document that a condition is true of.
type match struct {
	DocumentID string
	Source     string
	SourceKey  string
	Held       bool
	Earlier    bool // only of a version that is not live: an older one, one on its way, or a dead one
}

// parseWhere checks a condition: every field must have its value.
func parseWhere(where map[string]string) (map[string]string, error) {
	if len(where) == 0 {
		return nil, fault.New(fault.Invalid, "where_missing", "at least one field must be named, as in employee=4711").At("/where")
	}
	for field, value := range where {
		if strings.TrimSpace(field) == "" || value == "" {
			return nil, fault.New(fault.Invalid, "where_empty", "%q=%q names no field, or no value", field, value).At("/where")
		}
	}
	return where, nil
}

// holds reports whether every field of the flat metadata has its value; a list has each of its members.
func holds(flat map[string]any, where map[string]string) bool {
	for field, want := range where {
		if !has(flat[field], want) {
			return false
		}
	}
	return true
}

func has(value any, want string) bool {
	switch v := value.(type) {
	case nil:
		return false
	case string:
		return v == want
	case float64:
		n, err := strconv.ParseFloat(want, 64)
		return err == nil && n == v
	case []string:
		return slices.Contains(v, want)
	case []any:
		return slices.ContainsFunc(v, func(one any) bool { return has(one, want) })
	default:
		return fmt.Sprint(v) == want
	}
}

// matching finds the documents of a collection that have the metadata: the live version, or any other whose bytes are
// kept. hidden says whether those that a hold keeps after their deletion count.
func (p *Pipeline) matching(ctx context.Context, c Collection, where map[string]string, hidden bool) ([]match, error) {
	found := map[string]match{}
	after, last := "", ""
	for {
		type version struct {
			match
			id, live, given, extracted string
			live1                      Metadata
		}
		query := `SELECT v.id, d.id, d.source, d.source_key, COALESCE(d.live_version_id, ''), v.metadata, v.extracted, d.title, d.tier, d.business_unit, d.type, d.date, d.tags, d.metadata,
			CASE WHEN h.document_id IS NULL THEN 0 ELSE 1 END
			FROM versions v JOIN documents d ON d.id = v.document_id LEFT JOIN holds h ON h.document_id = d.id
			WHERE d.collection_id = ? AND v.bucket_key <> '' AND (d.id > ? OR (d.id = ? AND v.id > ?))`
		if hidden {
			query += " AND (d.deleted_at IS NULL OR h.document_id IS NOT NULL)"
		} else {
			query += " AND d.deleted_at IS NULL"
		}
		list, err := collect(ctx, p.DB, func(row scanner) (v version, err error) {
			var held int
			var tags, fields string
			m := &v.live1
			if err := row.Scan(&v.id, &v.DocumentID, &v.Source, &v.SourceKey, &v.live, &v.given, &v.extracted, &m.Title, &m.Tier, &m.BusinessUnit, &m.Type, &m.Date, &tags, &fields, &held); err != nil {
				return v, err
			}
			v.Held = held != 0
			if err := json.Unmarshal([]byte(tags), &m.Tags); err != nil {
				return v, err
			}
			return v, json.Unmarshal([]byte(fields), &m.Fields)
		}, query+" ORDER BY d.id, v.id LIMIT ?", c.ID, after, after, last, sweepBatch)
		if err != nil {
			return nil, fmt.Errorf("look for documents by their metadata: %w", err)
		}
		for _, v := range list {
			after, last = v.DocumentID, v.id
			if v.id == v.live {
				if holds(v.live1.Flat(), where) {
					v.match.Earlier = false
					found[v.DocumentID] = v.match
				}
				continue
			}
			var g given
			var read Metadata
			if err := json.Unmarshal([]byte(v.given), &g); err != nil {
				return nil, err
			}
			if err := json.Unmarshal([]byte(v.extracted), &read); err != nil {
				return nil, err
			}
			m, err := c.resolve(v.Source, g, read)
			if err != nil && !fault.Is(err, fault.Invalid) {
				return nil, err
			}
			if err != nil { // it cannot become live like this, but its bytes are there
				m = g.Metadata.Over(read)
			}
			if _, known := found[v.DocumentID]; !known && holds(m.Flat(), where) {
				v.match.Earlier = true
				found[v.DocumentID] = v.match
			}
		}
		if len(list) < sweepBatch {
			break
		}
	}
	out := make([]match, 0, len(found))
	for _, documentID := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[documentID])
	}
	return out, nil
}

// isHeld reports whether one of the documents is under a hold.
func (p *Pipeline) isHeld(ctx context.Context, documents []string) (*Hold, error) {
	for part := range slices.Chunk(documents, sweepBatch) {
		h, err := scanHold(p.DB.QueryRow(ctx, holdColumns+" WHERE h.document_id IN ("+db.Marks(len(part))+") LIMIT 1", db.Args(part)...))
		if db.IsNone(err) {
			continue
		}
		return &h, err
	}
	return nil, nil
}
