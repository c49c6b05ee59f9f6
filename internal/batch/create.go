package batch

import (
	"context"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// NewBatch is what a batch is made from.
type NewBatch struct {
	InputFile     string
	Endpoint      string
	Window        string
	Metadata      map[string]string
	OutputsExpire time.Duration // after the batch was made; 0 is never
}

// window is the only completion window there is, as at OpenAI.
const window = "24h"

// Create accepts a batch. Its input is looked into afterwards: what is wrong with it makes the batch fail.
func (s *Batches) Create(ctx context.Context, n NewBatch) (Batch, error) {
	if _, ok := endpoints[n.Endpoint]; !ok {
		return Batch{}, fault.New(fault.Invalid, "batch_endpoint", "lines of a batch ask /v1/chat/completions, /v1/responses, /v1/embeddings or /v1/moderations, not %q", clip(n.Endpoint, 100)).At("endpoint")
	}
	if n.Window != window {
		return Batch{}, fault.New(fault.Invalid, "batch_window", "the completion window is %s, not %q", window, clip(n.Window, 100)).At("completion_window")
	}
	if n.OutputsExpire != 0 && (n.OutputsExpire < time.Hour || n.OutputsExpire > 30*24*time.Hour) {
		return Batch{}, fault.New(fault.Invalid, "batch_expiry", "the files of a batch expire after an hour to thirty days").At("output_expires_after.seconds")
	}
	if err := checkMetadata(n.Metadata); err != nil {
		return Batch{}, err
	}
	who := caller.From(ctx)
	if who == nil || who.KeyID == "" || (who.Role != caller.Workflow && !who.Is(caller.Operator)) {
		return Batch{}, fault.New(fault.Denied, "batch_create", "this key may not make batches").Hinted("use a key of a workflow")
	}
	f, err := s.Files.Find(ctx, n.InputFile)
	switch {
	case err != nil:
		return Batch{}, err
	case f.Purpose != PurposeInput:
		return Batch{}, fault.New(fault.Invalid, "batch_purpose", "the file %s has the purpose %q, not %q", f.ID, f.Purpose, PurposeInput).At("input_file_id").Hinted("upload it with purpose=batch")
	case f.Bytes > s.config.MaxBytes:
		return Batch{}, fault.New(fault.TooLarge, "batch_too_large", "the file %s has more than the %d bytes that a batch may have", f.ID, s.config.MaxBytes).Hinted("divide it, or raise batch.max_bytes")
	}
	now := s.clock().UTC().Truncate(time.Microsecond)
	b := Batch{
		ID: id.At("batch", now), Workflow: who.Workflow, KeyID: who.KeyID, Tier: who.Clearance, Endpoint: n.Endpoint, InputFile: f.ID, Window: n.Window, Metadata: n.Metadata,
		Status: Validating, Tiers: map[string]int64{}, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour), output: id.New("file"), bad: id.New("file"),
	}
	if n.OutputsExpire > 0 {
		b.OutputsExpireAt = now.Add(n.OutputsExpire)
	}
	if b.Metadata == nil {
		b.Metadata = map[string]string{}
	}
	err = s.DB.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO batches (id, workflow, key_id, tier, endpoint, input_file, output_file, error_file, completion_window, metadata, status, ends_as, errors, total, completed,
			failed, has_output, has_errors, nanos_usd, unpriced, tiers, created_at, in_progress_at, expires_at, finalizing_at, cancelling_at, ended_at, outputs_expire_at, leased_by, leased_until)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,'[]',0,0,0,0,0,0,0,'{}',?,0,?,0,0,0,?,'',0)`,
			b.ID, b.Workflow, b.KeyID, int(b.Tier), b.Endpoint, b.InputFile, b.output, b.bad, b.Window, encoded(b.Metadata), string(b.Status), string(Completed),
			db.Micros(b.CreatedAt), db.Micros(b.ExpiresAt), db.Micros(b.OutputsExpireAt)); err != nil {
			return err
		}
		if err := s.wake(ctx, tx, b.ID, 0, time.Time{}); err != nil {
			return err
		}
		return s.Audit.Record(ctx, tx, access.Entry{Action: "batch.create", Target: b.ID, Detail: map[string]any{"input_file": b.InputFile, "endpoint": b.Endpoint}})
	})
	if err != nil {
		return Batch{}, fmt.Errorf("create a batch: %w", err)
	}
	return b, nil
}

func checkMetadata(m map[string]string) error {
	if len(m) > 16 {
		return fault.New(fault.Invalid, "batch_metadata", "metadata has at most 16 entries, not %d", len(m)).At("metadata")
	}
	for k, v := range m {
		if k == "" || len(k) > 64 || len(v) > 512 {
			return fault.New(fault.Invalid, "batch_metadata", "metadata has names of at most 64 bytes and texts of at most 512").At("metadata")
		}
	}
	return nil
}

// Cancel stops what has not begun of a batch. Lines in flight are finished.
func (s *Batches) Cancel(ctx context.Context, batchID string) (Batch, error) {
	b, err := s.Get(ctx, batchID)
	if err != nil {
		return b, err
	}
	err = s.DB.Tx(ctx, func(tx *db.Tx) error {
		now, err := s.locked(ctx, tx, b.ID)
		if err != nil {
			return err
		}
		switch now.Status {
		case Cancelling, Cancelled:
			return nil
		case Validating, InProgress:
		default:
			return fault.New(fault.Conflict, "batch_ended", "the batch %s is %s and cannot be cancelled", b.ID, now.Status)
		}
		at := db.Micros(s.clock())
		if _, err := tx.Exec(ctx, "UPDATE batches SET status = ?, ends_as = ?, cancelling_at = ? WHERE id = ?", string(Cancelling), string(Cancelled), at, b.ID); err != nil {
			return err
		}
		if err := s.stop(ctx, tx, b.ID, lineCancelled); err != nil {
			return err
		}
		if err := s.wake(ctx, tx, b.ID, 0, time.Time{}); err != nil {
			return err
		}
		return s.Audit.Record(ctx, tx, access.Entry{Action: "batch.cancel", Target: b.ID})
	})
	if err != nil {
		return Batch{}, err
	}
	return s.Get(ctx, batchID)
}

// locked reads a batch for a change.
func (s *Batches) locked(ctx context.Context, tx *db.Tx, batchID string) (Batch, error) {
	return scan(tx.QueryRow(ctx, columns+" WHERE id = ?"+tx.ForUpdate(), batchID))
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
