package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"airfield/internal/db"
)

// Recover frees what a process that is gone had in hand: only where no other can be at work, at an embedded start.
func (s *Batches) Recover(ctx context.Context) error {
	if _, err := s.DB.Exec(ctx, "UPDATE batches SET leased_until = 0 WHERE ended_at = 0"); err != nil {
		return fmt.Errorf("free batches: %w", err)
	}
	return s.free(ctx, s.clock().Add(100*s.config.LeaseFor))
}

// Sweep takes lines from workers that died, ends batches whose window is over, wakes those that were forgotten, and removes
// files that have expired.
func (s *Batches) Sweep(ctx context.Context) error {
	return errors.Join(s.free(ctx, s.clock()), s.expire(ctx), s.wakeForgotten(ctx), s.dropOutputs(ctx))
}

// free takes lines from workers whose leases ended before a time. What ends with the batch is ended by the batch's own worker.
func (s *Batches) free(ctx context.Context, before time.Time) error {
	n, err := s.DB.Exec(ctx, "UPDATE batch_lines SET state = ?, leased_by = '', cut = cut + 1, due_at = ? WHERE state = ? AND leased_until < ?", lineWaiting, db.Micros(s.clock()), lineRunning, db.Micros(before))
	if err != nil {
		return fmt.Errorf("free lines of batches: %w", err)
	}
	if n > 0 {
		s.Log.Warn("lines of batches were taken from workers that died; they are made again", "lines", n)
	}
	return nil
}

// expire ends what was not begun of batches whose window is over.
func (s *Batches) expire(ctx context.Context) error {
	now := s.clock()
	late, err := list(ctx, s.DB, columns+" WHERE ended_at = 0 AND status IN (?, ?) AND expires_at <= ?", string(Validating), string(InProgress), db.Micros(now))
	if err != nil {
		return err
	}
	for _, b := range late {
		err := s.DB.Tx(ctx, func(tx *db.Tx) error {
			now, err := s.locked(ctx, tx, b.ID)
			if err != nil || now.Status != b.Status {
				return err
			}
			if _, err := tx.Exec(ctx, "UPDATE batches SET status = ?, ends_as = ? WHERE id = ?", string(InProgress), string(Expired), b.ID); err != nil {
				return err
			}
			if err := s.stop(ctx, tx, b.ID, lineExpired); err != nil {
				return err
			}
			return s.wake(ctx, tx, b.ID, 0, time.Time{})
		})
		if err != nil {
			return fmt.Errorf("expire batch %s: %w", b.ID, err)
		}
	}
	return nil
}

// wakeForgotten asks again for batches that go on: the job that should have been at it was lost, or gave up.
func (s *Batches) wakeForgotten(ctx context.Context) error {
	open, err := list(ctx, s.DB, columns+" WHERE ended_at = 0 ORDER BY id LIMIT 200")
	if err != nil || len(open) == 0 {
		return err
	}
	return s.DB.Tx(ctx, func(tx *db.Tx) error {
		for _, b := range open {
			if b.Status == Cancelling || b.endsAs == Expired { // what a dead worker had in hand ends, too
				state := lineCancelled
				if b.endsAs == Expired {
					state = lineExpired
				}
				if err := s.stop(ctx, tx, b.ID, state); err != nil {
					return err
				}
			}
			if err := s.wakeLanes(ctx, tx, b.ID, int(max(b.Total-b.Completed-b.Failed, 1))); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropOutputs removes the files of batches that were made to keep them for a while.
func (s *Batches) dropOutputs(ctx context.Context) error {
	old, err := list(ctx, s.DB, columns+" WHERE outputs_expire_at > 0 AND outputs_expire_at <= ? AND ended_at > 0 AND has_output + has_errors > 0 LIMIT 100", db.Micros(s.clock()))
	if err != nil {
		return err
	}
	for _, b := range old {
		for _, fileID := range []string{b.OutputFile, b.ErrorFile} {
			if fileID == "" {
				continue
			}
			if err := s.Files.Drop(ctx, fileID); err != nil {
				return fmt.Errorf("remove a file of batch %s: %w", b.ID, err)
			}
		}
		if _, err := s.DB.Exec(ctx, "UPDATE batches SET has_output = 0, has_errors = 0 WHERE id = ?", b.ID); err != nil {
			return err
		}
	}
	return nil
}
