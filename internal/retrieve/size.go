package retrieve

import (
	"context"
	"fmt"

	"airfield/internal/index"
)

// mostSizes bounds how many collections are measured at a time.
const mostSizes = 1000

// Size is how large a collection's index is.
func (f *Feed) Size(ctx context.Context, collectionID string) (index.Stats, error) {
	c, err := f.space(ctx, collectionID, "")
	if err != nil {
		return index.Stats{}, err
	}
	s, err := f.index.Stats(ctx, c.generation)
	if err != nil {
		return s, fmt.Errorf("measure the index of collection %s: %w", c.name, err)
	}
	return s, nil
}

// Sizes measures the indexes of collections by name, the oldest first.
func (f *Feed) Sizes(ctx context.Context) (map[string]index.Stats, error) {
	rows, err := f.db.Query(ctx, selectCollection+"WHERE c.deleted_at IS NULL ORDER BY c.id LIMIT ?", mostSizes)
	if err != nil {
		return nil, fmt.Errorf("list collections: %w", err)
	}
	defer rows.Close()
	var list []collection
	for rows.Next() {
		c, err := scanCollection(rows)
		if err != nil {
			return nil, fmt.Errorf("list collections: %w", err)
		}
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list collections: %w", err)
	}
	rows.Close() // before the index is asked: it may need the connection
	all := make(map[string]index.Stats, len(list))
	for _, c := range list {
		if all[c.name], err = f.index.Stats(ctx, c.generation); err != nil {
			return nil, fmt.Errorf("measure the index of collection %s: %w", c.name, err)
		}
	}
	return all, nil
}
