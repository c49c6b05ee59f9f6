package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"airfield/internal/db"
	"airfield/internal/llm"
)

// commit writes the batch in one transaction. After an error the state in memory is void: load again.
func (in *intake) commit(ctx context.Context, b *batch) error {
	ctx, cancel := context.WithTimeoutCause(ctx, writeFor, errors.New("the database took too long to write a batch of calls"))
	defer cancel()
	err := in.db.Tx(ctx, func(tx *db.Tx) error { return in.write(ctx, tx, b) })
	if db.IsUnique(err) {
		if err := in.dropKnown(ctx, b); err != nil {
			return err
		}
		err = in.db.Tx(ctx, func(tx *db.Tx) error { return in.write(ctx, tx, b) })
	}
	if err != nil {
		return fmt.Errorf("write %d records of the journal: %w", b.records, err)
	}
	in.position, in.calls = b.next, b.calls
	for _, callID := range b.opened {
		if a := in.open[callID]; a != nil {
			a.stored = true
		}
	}
	return nil
}

func (in *intake) write(ctx context.Context, tx *db.Tx, b *batch) error {
	now := time.Now().UnixMicro()
	moved, err := tx.Exec(ctx, "UPDATE journal_positions SET position = ?, updated_at = ? WHERE journal_id = ? AND position = ?", positionText(b.next), now, in.journalID, positionText(in.position))
	if err != nil {
		return err
	}
	if moved != 1 {
		return errMoved
	}
	scratch := make([]byte, 0, 2048)
	if err := tx.Insert(ctx, "calls", callColumns, "", len(b.calls), func(i int, args []any) []any { return callArgs(&b.calls[i], now, &scratch, args) }); err != nil {
		return err
	}
	for _, s := range in.sinks {
		if err := s.Post(ctx, tx, b.calls); err != nil {
			return err
		}
	}
	if err := postUsage(ctx, tx, b.calls); err != nil {
		return err
	}
	if err := tx.Insert(ctx, "spans", spanColumns, "ON CONFLICT DO NOTHING", len(b.spans), func(i int, args []any) []any { return spanArgs(&b.spans[i], args) }); err != nil {
		return err
	}
	return in.writeOpen(ctx, tx, b)
}

// writeOpen keeps the admissions of calls that are still open, which the journal may forget from now on.
func (in *intake) writeOpen(ctx context.Context, tx *db.Tx, b *batch) error {
	still := make([]string, 0, 64)
	for _, callID := range b.opened {
		if a := in.open[callID]; a != nil && !a.stored {
			still = append(still, callID)
		}
	}
	if err := tx.Insert(ctx, "calls_open", []string{"call_id", "journal_id", "segment", "admission"}, "ON CONFLICT DO NOTHING", len(still), func(i int, args []any) []any {
		a := in.open[still[i]]
		return append(args, still[i], in.journalID, int64(a.segment), a.record)
	}); err != nil {
		return err
	}
	for chunk := range slices.Chunk(b.closed, 500) {
		if _, err := tx.Exec(ctx, "DELETE FROM calls_open WHERE call_id IN ("+db.Marks(len(chunk))+")", db.Args(chunk)...); err != nil {
			return err
		}
	}
	return nil
}

// dropKnown takes calls out of the batch that are in the log already, or come twice: a mistake of who recorded them,
// which must not hold up the rest.
func (in *intake) dropKnown(ctx context.Context, b *batch) error {
	known := map[string]bool{}
	for chunk := range slices.Chunk(b.calls, 500) {
		ids := make([]any, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].ID
		}
		rows, err := in.db.Query(ctx, "SELECT id FROM calls WHERE id IN ("+db.Marks(len(ids))+") UNION SELECT id FROM ledger WHERE id IN ("+db.Marks(len(ids))+")", append(ids, ids...)...)
		if err != nil {
			return fmt.Errorf("look for calls that were recorded twice: %w", err)
		}
		for rows.Next() {
			var callID string
			if err = rows.Scan(&callID); err != nil {
				break
			}
			known[callID] = true
		}
		if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return fmt.Errorf("look for calls that were recorded twice: %w", err)
		}
	}
	b.calls = slices.DeleteFunc(b.calls, func(c llm.Call) bool {
		if !known[c.ID] {
			known[c.ID] = true
			return false
		}
		in.log.Error("a call was recorded twice; the first record stands", "call", c.ID, "second_outcome", string(c.Outcome), "second_status", c.Status)
		return true
	})
	return nil
}
