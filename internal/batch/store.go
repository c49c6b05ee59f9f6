package batch

import (
	"context"
	"encoding/json"
	"fmt"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

const columns = `SELECT id, workflow, key_id, tier, endpoint, input_file, output_file, error_file, completion_window, metadata, status, ends_as, errors, total, completed, failed,
	has_output, has_errors, nanos_usd, unpriced, tiers, created_at, in_progress_at, expires_at, finalizing_at, cancelling_at, ended_at, outputs_expire_at FROM batches`

type scanner interface{ Scan(into ...any) error }

func scan(row scanner) (b Batch, err error) {
	var metadata, errors, tiers string
	var hasOutput, hasErrors, created, began, expires, finalizing, cancelling, ended, outputs int64
	err = row.Scan(&b.ID, &b.Workflow, &b.KeyID, &b.Tier, &b.Endpoint, &b.InputFile, &b.output, &b.bad, &b.Window, &metadata, &b.Status, &b.endsAs, &errors, &b.Total, &b.Completed, &b.Failed,
		&hasOutput, &hasErrors, (*int64)(&b.Cost), &b.Unpriced, &tiers, &created, &began, &expires, &finalizing, &cancelling, &ended, &outputs)
	if err != nil {
		return b, err
	}
	if hasOutput != 0 {
		b.OutputFile = b.output
	}
	if hasErrors != 0 {
		b.ErrorFile = b.bad
	}
	b.CreatedAt, b.InProgressAt, b.ExpiresAt = db.Time(created), db.Time(began), db.Time(expires)
	b.FinalizingAt, b.CancellingAt, b.EndedAt, b.OutputsExpireAt = db.Time(finalizing), db.Time(cancelling), db.Time(ended), db.Time(outputs)
	for text, into := range map[string]any{metadata: &b.Metadata, tiers: &b.Tiers} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return b, fmt.Errorf("read batch %s: %w", b.ID, err)
		}
	}
	if err := json.Unmarshal([]byte(errors), &b.Errors); err != nil {
		return b, fmt.Errorf("read the errors of batch %s: %w", b.ID, err)
	}
	return b, nil
}

func list(ctx context.Context, q db.Querier, query string, args ...any) ([]Batch, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Batch{}
	for rows.Next() {
		b, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, rows.Err()
}

// mayRead reports whether a batch is the caller's workflow's, and within its clearance.
func (b *Batch) mayRead(who *caller.Caller) bool {
	return who.Is(caller.Operator) || (who.Owns(b.Workflow) && who.Clearance.Sees(b.Tier))
}

// Get returns a batch of the caller's workflow.
func (s *Batches) Get(ctx context.Context, batchID string) (Batch, error) {
	b, err := scan(s.DB.QueryRow(ctx, columns+" WHERE id = ?", batchID))
	if db.IsNone(err) || err == nil && !b.mayRead(caller.From(ctx)) {
		return Batch{}, fault.New(fault.NotFound, "batch_not_found", "there is no batch %q", batchID)
	}
	return b, err
}

// Filter narrows a list of batches.
type Filter struct {
	After    string // the last one of the page before
	Limit    int
	Workflow string // for operators
}

// List returns the batches of the caller's workflow, the newest first; an operator sees everybody's.
func (s *Batches) List(ctx context.Context, f Filter) ([]Batch, error) {
	query, args := columns+" WHERE 1 = 1", []any{}
	if f.After != "" {
		query, args = query+" AND id < ?", append(args, f.After)
	}
	who := caller.From(ctx)
	switch {
	case who.Is(caller.Operator):
		if f.Workflow != "" {
			query, args = query+" AND workflow = ?", append(args, f.Workflow)
		}
	case who == nil || who.Workflow == "":
		return []Batch{}, nil
	default:
		query, args = query+" AND workflow = ? AND tier >= ? AND tier <= ?", append(args, who.Workflow, int(caller.Public), int(who.Clearance))
	}
	limit := f.Limit
	if limit < 1 || limit > 1001 {
		limit = 20
	}
	return list(ctx, s.DB, query+" ORDER BY id DESC LIMIT ?", append(args, limit)...)
}
