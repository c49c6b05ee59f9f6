package body

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
)

// Swept counts what a Sweep took away.
type Swept struct {
	Blocks, Calls, Bytes int64
}

const sweepAtOnce = 100

// Sweep removes the blocks whose time is over, and their rows: first the bytes, so that what no row names never stays.
func (s *Store) Sweep(ctx context.Context, now time.Time) (Swept, error) {
	var swept Swept
	for {
		list, err := s.expired(ctx, now)
		if err != nil || len(list) == 0 {
			return swept, err
		}
		for _, b := range list {
			if _, err := s.Bucket.Purge(ctx, b.object, ""); err != nil {
				return swept, fmt.Errorf("remove a block of bodies: %w", err)
			}
			if err := s.DB.Tx(ctx, func(tx *db.Tx) error {
				// The block's calls are a range of ids: no index by block is needed.
				if _, err := tx.Exec(ctx, "DELETE FROM bodies WHERE call_id >= ? AND call_id <= ? AND block_id = ?", b.first, b.last, b.id); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, "DELETE FROM body_blocks WHERE id = ?", b.id)
				return err
			}); err != nil {
				return swept, fmt.Errorf("remove the rows of a block of bodies: %w", err)
			}
			swept.Blocks, swept.Calls, swept.Bytes = swept.Blocks+1, swept.Calls+b.calls, swept.Bytes+b.bytes
		}
	}
}

type oldBlock struct {
	id, object, first, last string
	calls, bytes            int64
}

func (s *Store) expired(ctx context.Context, now time.Time) (list []oldBlock, err error) {
	rows, err := s.DB.Query(ctx, "SELECT id, object, first_call, last_call, calls, bytes FROM body_blocks WHERE expires_at > 0 AND expires_at <= ? ORDER BY expires_at, id LIMIT ?", db.Micros(now), sweepAtOnce)
	if err != nil {
		return nil, fmt.Errorf("look for bodies whose time is over: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b oldBlock
		if err := rows.Scan(&b.id, &b.object, &b.first, &b.last, &b.calls, &b.bytes); err != nil {
			return nil, fmt.Errorf("look for bodies whose time is over: %w", err)
		}
		list = append(list, b)
	}
	return list, rows.Err()
}
