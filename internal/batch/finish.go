package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"airfield/internal/db"
	"airfield/internal/id"
)

// writeLease is for how long a worker that writes the files of a batch is believed to be alive between two pages.
const writeLease = time.Minute

// page is how many lines are read at a time.
const page = 200

var errTakenOver = errors.New("another worker writes the files of the batch")

// finish writes the files of a batch whose lines have all ended, and ends it. Two workers that both try do it once: the files
// have their ids from the beginning, and only who holds the lease may end the batch.
func (s *Batches) finish(ctx context.Context, batchID string) (again time.Duration, err error) {
	lease := id.New("lane")
	var b Batch
	ready := false
	err = s.DB.Tx(ctx, func(tx *db.Tx) error {
		ready = false
		var err error
		if b, err = s.locked(ctx, tx, batchID); err != nil || !b.EndedAt.IsZero() {
			return err
		}
		var open, until int64
		if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM batch_lines WHERE batch_id = ? AND state IN (?, ?)", batchID, lineWaiting, lineRunning).Scan(&open); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT leased_until FROM batches WHERE id = ?", batchID).Scan(&until); err != nil {
			return err
		}
		now := s.clock()
		if open > 0 || until > db.Micros(now) {
			return nil // who holds them wakes us, or the sweep
		}
		ready = true
		status, finalizing := b.Status, db.Micros(b.FinalizingAt)
		if status == InProgress {
			status = Finalizing
		}
		if finalizing == 0 {
			finalizing = db.Micros(now)
		}
		_, err = tx.Exec(ctx, "UPDATE batches SET status = ?, finalizing_at = ?, leased_by = ?, leased_until = ? WHERE id = ?", string(status), finalizing, lease, db.Micros(now.Add(writeLease)), batchID)
		return err
	})
	if err != nil || !ready {
		return 0, err
	}
	output, err := s.keep(ctx, b, lease, b.output, "output", 0)
	if err != nil {
		return 0, err
	}
	bad, err := s.keep(ctx, b, lease, b.bad, "error", 1)
	if err != nil {
		return 0, err
	}
	err = s.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE batches SET status = ends_as, has_output = ?, has_errors = ?, ended_at = ?, leased_by = '', leased_until = 0 WHERE id = ? AND leased_by = ? AND ended_at = 0",
			output, bad, db.Micros(s.clock()), b.ID, lease)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM batch_lines WHERE batch_id = ?", b.ID)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end batch %s: %w", b.ID, err)
	}
	return 0, nil
}

// keep writes the lines that went well, or those that did not, into a file; none is no file. It returns 1 where there is one.
func (s *Batches) keep(ctx context.Context, b Batch, lease, fileID, name string, failed int64) (int64, error) {
	var n int64
	if err := s.DB.QueryRow(ctx, "SELECT COUNT(*) FROM batch_lines WHERE batch_id = ? AND failed = ?", b.ID, failed).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(s.writeLines(ctx, w, b.ID, lease, failed))
	}()
	err := s.Files.Keep(ctx, Output{ID: fileID, Name: b.ID + "_" + name + ".jsonl", Purpose: PurposeOutput, Workflow: b.Workflow, Tier: b.Tier, Reader: r})
	r.Close()
	<-done
	if err != nil {
		return 0, fmt.Errorf("write the %s file of batch %s: %w", name, b.ID, err)
	}
	return 1, nil
}

func (s *Batches) writeLines(ctx context.Context, w io.Writer, batchID, lease string, failed int64) error {
	for after := int64(0); ; {
		n, err := s.DB.Exec(ctx, "UPDATE batches SET leased_until = ? WHERE id = ? AND leased_by = ?", db.Micros(s.clock().Add(writeLease)), batchID, lease)
		if err != nil {
			return err
		}
		if n == 0 {
			return errTakenOver
		}
		lines, err := s.ended(ctx, batchID, failed, after)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if after = l.number; l.text == "" {
				l.text = unmade(l)
			}
			if _, err := io.WriteString(w, l.text+"\n"); err != nil {
				return err
			}
		}
		if len(lines) < page {
			return nil
		}
	}
}

// endedLine is a line on its way into a file.
type endedLine struct {
	number                int64
	customID, state, text string
}

func (s *Batches) ended(ctx context.Context, batchID string, failed, after int64) ([]endedLine, error) {
	rows, err := s.DB.Query(ctx, "SELECT number, custom_id, state, answer FROM batch_lines WHERE batch_id = ? AND failed = ? AND number > ? ORDER BY number LIMIT ?", batchID, failed, after, page)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []endedLine
	for rows.Next() {
		var l endedLine
		if err := rows.Scan(&l.number, &l.customID, &l.state, &l.text); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, rows.Err()
}

// unmade tells of a line that was never made, in OpenAI's words.
func unmade(l endedLine) string {
	e := resultError{"batch_expired", "This request could not be executed before the completion window expired."}
	if l.state == lineCancelled {
		e = resultError{"batch_cancelled", "This request was not executed before the batch was cancelled."}
	}
	return encoded(result{ID: id.New("batch_req"), CustomID: l.customID, Error: &e})
}

// stop ends the lines that nobody has begun.
func (s *Batches) stop(ctx context.Context, tx *db.Tx, batchID, state string) error {
	_, err := tx.Exec(ctx, "UPDATE batch_lines SET state = ?, failed = 1, request = '' WHERE batch_id = ? AND state = ?", state, batchID, lineWaiting)
	return err
}
