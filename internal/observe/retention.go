package observe

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/db"
)

// deleteAtOnce bounds how long a deletion keeps others from writing.
const deleteAtOnce = 1000

// Retain deletes the calls and spans that are older than they are to be kept, a thousand rows at a time; 0 keeps them
// for ever. Roll-ups and the ledger stay.
func (s *Store) Retain(ctx context.Context, now time.Time, keepCalls, keepSpans time.Duration) (calls, spans int64, err error) {
	if keepCalls > 0 {
		before := now.Add(-keepCalls)
		if calls, err = s.deleteAll(ctx, "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE recorded_at < ? AND started_at < ? ORDER BY recorded_at LIMIT ?)", before); err != nil {
			return calls, 0, fmt.Errorf("delete old calls: %w", err)
		}
	}
	if keepSpans > 0 {
		if spans, err = s.deleteAll(ctx, "DELETE FROM spans WHERE (trace_id, span_id) IN (SELECT trace_id, span_id FROM spans WHERE started_at < ? AND ended_at < ? ORDER BY started_at LIMIT ?)", now.Add(-keepSpans)); err != nil {
			return calls, spans, fmt.Errorf("delete old spans: %w", err)
		}
	}
	return calls, spans, nil
}

func (s *Store) deleteAll(ctx context.Context, query string, before time.Time) (total int64, err error) {
	for {
		n, err := s.db.Exec(ctx, query, db.Micros(before), db.Micros(before), deleteAtOnce)
		total += n
		if err != nil || n < deleteAtOnce {
			return total, err
		}
		select { // others get their turn
		case <-ctx.Done():
			return total, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
