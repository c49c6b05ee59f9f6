package ingest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/db"
	"airfield/internal/id"
	"airfield/internal/ingest/chunk"
)

const collectionColumns = `c.id, c.name, c.title, c.owner, c.workflow, c.config, c.metadata, c.generation_id, g.model, g.dimensions, g.cut, g.chunking,
	c.epoch, c.sequence, c.created_at, c.updated_at, COALESCE(c.missing_since, 0)
	FROM collections c JOIN generations g ON g.id = c.generation_id`

type scanner interface{ Scan(dest ...any) error }

func scanCollection(row scanner) (c Collection, err error) {
	var config, metadata, chunking string
	var created, updated, missing int64
	if err := row.Scan(&c.ID, &c.Name, &c.Title, &c.Owner, &c.Workflow, &config, &metadata, &c.GenerationID, &c.Model, &c.Dimensions, &c.Cut, &chunking,
		&c.Epoch, &c.Sequence, &created, &updated, &missing); err != nil {
		return c, err
	}
	c.Config.Refresh = DefaultRefresh() // of one that was configured before there were any
	if err := json.Unmarshal([]byte(config), &c.Config); err != nil {
		return c, fmt.Errorf("read the configuration of collection %s: %w", c.Name, err)
	}
	if c.Chunking = c.Config.Chunking; chunking != "" {
		c.Chunking = chunk.Config{}
		if err := json.Unmarshal([]byte(chunking), &c.Chunking); err != nil {
			return c, fmt.Errorf("read the chunking of collection %s: %w", c.Name, err)
		}
	}
	if err := json.Unmarshal([]byte(metadata), &c.Metadata); err != nil {
		return c, fmt.Errorf("read the metadata of collection %s: %w", c.Name, err)
	}
	c.CreatedAt, c.UpdatedAt, c.MissingSince = db.Time(created), db.Time(updated), db.Time(missing)
	return c, nil
}

// findCollection reads a collection by name or id, whoever asks.
func findCollection(ctx context.Context, q db.Querier, nameOrID string) (Collection, error) {
	c, err := scanCollection(q.QueryRow(ctx, "SELECT "+collectionColumns+` WHERE (c.id = ? OR c.name = ?) AND c.deleted_at IS NULL
		ORDER BY CASE WHEN c.id = ? THEN 0 ELSE 1 END LIMIT 1`, nameOrID, nameOrID, nameOrID))
	if db.IsNone(err) {
		return c, noCollection(nameOrID)
	}
	return c, err
}

// lockCollection reads a collection for a change of what its documents are, so that a change of its defaults comes
// either before, and is seen, or after, and finds the document.
func lockCollection(ctx context.Context, tx *db.Tx, collectionID string) (Collection, error) {
	var one int
	err := tx.QueryRow(ctx, "SELECT 1 FROM collections WHERE id = ? AND deleted_at IS NULL"+tx.ForUpdate(), collectionID).Scan(&one)
	if db.IsNone(err) {
		return Collection{}, noCollection(collectionID)
	}
	if err != nil {
		return Collection{}, err
	}
	return findCollection(ctx, tx, collectionID)
}

func allCollections(ctx context.Context, q db.Querier) ([]Collection, error) {
	return collect(ctx, q, scanCollection, "SELECT "+collectionColumns+" WHERE c.deleted_at IS NULL ORDER BY c.name")
}

// insertCollection writes a new collection and its first generation.
func insertCollection(ctx context.Context, tx *db.Tx, c Collection, now time.Time) (Collection, error) {
	c.GenerationID, c.Model, c.Chunking, c.CreatedAt, c.UpdatedAt = id.New("gen"), c.Config.EmbeddingModel, c.Config.Chunking, now, now
	config, metadata, err := c.encode()
	if err != nil {
		return c, err
	}
	at := db.Micros(now)
	if _, err := tx.Exec(ctx, "INSERT INTO generations (id, collection_id, model, chunking, dimensions, state, created_at, live_at) VALUES (?,?,?,?,0,'live',?,?)",
		c.GenerationID, c.ID, c.Model, encodeChunking(c.Chunking), at, at); err != nil {
		return c, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO collections (id, name, title, owner, workflow, config, metadata, generation_id, created_at, updated_at)
		VALUES (?,?,?,?,?,?,?,?,?,?)`, c.ID, c.Name, c.Title, c.Owner, c.Workflow, config, metadata, c.GenerationID, at, at)
	return c, err
}

func encodeChunking(c chunk.Config) string {
	b, _ := json.Marshal(c) // of texts and numbers
	return string(b)
}

func (c Collection) encode() (config, metadata string, err error) {
	a, err := json.Marshal(c.Config)
	if err != nil {
		return "", "", err
	}
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	b, err := json.Marshal(c.Metadata)
	return string(a), string(b), err
}

// touch tells the index which documents to look at again, and every kept answer that it may be out of date. The
// collection's row stays locked to the end of the transaction, so that sequences become visible in their order.
func touch(ctx context.Context, tx *db.Tx, collectionID, kind string, documents ...string) error {
	if len(documents) == 0 {
		return nil
	}
	var last int64
	err := tx.QueryRow(ctx, "UPDATE collections SET epoch = epoch + 1, sequence = sequence + ? WHERE id = ? RETURNING sequence", len(documents), collectionID).Scan(&last)
	if err != nil {
		return fmt.Errorf("raise the epoch of %s: %w", collectionID, err)
	}
	now, first := db.Micros(time.Now()), last-int64(len(documents))+1
	return insertRows(ctx, tx, "INSERT INTO changes (collection_id, sequence, document_id, kind, at) VALUES", "", 5, len(documents), func(i int) []any {
		return []any{collectionID, first + int64(i), documents[i], kind, now}
	})
}

// insertRows writes many rows with few statements; both engines bound the number of placeholders.
func insertRows(ctx context.Context, tx *db.Tx, insert, conflict string, columns, n int, row func(i int) []any) error {
	const most = 500
	mark := "(" + db.Marks(columns) + ")"
	for from := 0; from < n; from += most {
		to := min(from+most, n)
		query, args := []byte(insert), make([]any, 0, (to-from)*columns)
		for i := from; i < to; i++ {
			if i > from {
				query = append(query, ',')
			}
			query = append(query, mark...)
			args = append(args, row(i)...)
		}
		if _, err := tx.Exec(ctx, string(query)+conflict, args...); err != nil {
			return err
		}
	}
	return nil
}

// collect reads every row of a query.
func collect[T any](ctx context.Context, q db.Querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

func scanText(row scanner) (s string, err error) { return s, row.Scan(&s) }

func nullable(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: db.Micros(t), Valid: !t.IsZero()}
}
