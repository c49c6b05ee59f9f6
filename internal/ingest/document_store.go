package ingest

import (
	"context"
	"encoding/json"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
)

// docRow is what the steps need of a document, locked to the end of the transaction.
type docRow struct {
	ID         string
	Collection string
	Source     string
	SourceKey  string
	Tier       caller.Tier
	Live       string
	Last       int
	Deleted    bool
}

const docRowColumns = "SELECT id, collection_id, source, source_key, tier, COALESCE(live_version_id, ''), last_number, COALESCE(deleted_at, 0) FROM documents"

func scanDocRow(row scanner) (d docRow, err error) {
	var deleted int64
	err = row.Scan(&d.ID, &d.Collection, &d.Source, &d.SourceKey, &d.Tier, &d.Live, &d.Last, &deleted)
	d.Deleted = deleted != 0
	return d, err
}

// lockDocument reads a document for a change. Every transaction locks documents first, then runs, then the collection.
func lockDocument(ctx context.Context, tx *db.Tx, id string) (docRow, error) {
	return scanDocRow(tx.QueryRow(ctx, docRowColumns+" WHERE id = ?"+tx.ForUpdate(), id))
}

const documentColumns = `d.id, d.collection_id, c.name, d.source, d.source_key, d.title, d.tier, d.business_unit, d.type, d.date, d.tags, d.metadata,
	COALESCE(d.live_version_id, ''), d.created_at, d.updated_at, COALESCE(d.deleted_at, 0), ` + versionColumns + `
	FROM documents d JOIN collections c ON c.id = d.collection_id JOIN versions v ON v.document_id = d.id AND v.number = d.last_number`

const versionColumns = "v.id, v.document_id, v.number, v.state, v.name, v.sha256, v.bytes, v.media_type, v.pages, v.partial, v.warnings, v.created_at, COALESCE(v.live_at, 0)"

// versionDest gives the places a version is scanned to, and what finishes it.
func versionDest(v *Version) (dest []any, finish func() error) {
	var partial, created, live int64
	var warnings string
	dest = []any{&v.ID, &v.DocumentID, &v.Number, &v.State, &v.Name, &v.SHA256, &v.Bytes, &v.MediaType, &v.Pages, &partial, &warnings, &created, &live}
	return dest, func() error {
		v.Partial, v.CreatedAt, v.LiveAt = partial != 0, db.Time(created), db.Time(live)
		return json.Unmarshal([]byte(warnings), &v.Warnings)
	}
}

func scanVersion(row scanner) (v Version, err error) {
	dest, finish := versionDest(&v)
	if err := row.Scan(dest...); err != nil {
		return v, err
	}
	return v, finish()
}

func scanDocument(row scanner) (d Document, err error) {
	var tags, metadata string
	var created, updated, deleted int64
	dest, finish := versionDest(&d.Newest)
	dest = append([]any{&d.ID, &d.CollectionID, &d.Collection, &d.Source, &d.SourceKey, &d.Title, &d.Tier, &d.BusinessUnit, &d.Type, &d.Date, &tags, &metadata,
		&d.LiveVersion, &created, &updated, &deleted}, dest...)
	if err := row.Scan(dest...); err != nil {
		return d, err
	}
	if err := finish(); err != nil {
		return d, err
	}
	if err := json.Unmarshal([]byte(tags), &d.Tags); err != nil {
		return d, err
	}
	d.CreatedAt, d.UpdatedAt, d.DeletedAt = db.Time(created), db.Time(updated), db.Time(deleted)
	return d, json.Unmarshal([]byte(metadata), &d.Metadata)
}

const runColumns = `r.id, r.kind, r.version_id, r.state, r.step, r.attempts, r.crashes, r.leased_by, r.leased_until, r.due_at, r.error_code, r.error, r.trace_id,
	r.created_at, r.updated_at, COALESCE(r.finished_at, 0)`

func runDest(r *Run) (dest []any, finish func()) {
	var until, due, created, updated, finished int64
	dest = []any{&r.ID, &r.Kind, &r.VersionID, &r.State, &r.Step, &r.Attempts, &r.Crashes, &r.LeasedBy, &until, &due, &r.ErrorCode, &r.Error, &r.TraceID, &created, &updated, &finished}
	return dest, func() {
		r.LeasedUntil, r.DueAt, r.CreatedAt, r.UpdatedAt, r.FinishedAt = db.Time(until), db.Time(due), db.Time(created), db.Time(updated), db.Time(finished)
	}
}

func scanRun(row scanner) (r Run, err error) {
	dest, finish := runDest(&r)
	if err := row.Scan(dest...); err != nil {
		return r, err
	}
	finish()
	return r, nil
}

// newestRun reads the newest run that matches, nil where there is none.
func newestRun(ctx context.Context, q db.Querier, where string, args ...any) (*Run, error) {
	r, err := scanRun(q.QueryRow(ctx, "SELECT "+runColumns+" FROM runs r WHERE "+where+" ORDER BY r.created_at DESC, r.id DESC LIMIT 1", args...))
	if db.IsNone(err) {
		return nil, nil
	}
	return &r, err
}

func scanStep(row scanner) (s Step, err error) {
	var started, ended int64
	var detail string
	if err := row.Scan(&s.Name, &s.Attempts, &started, &ended, &detail); err != nil {
		return s, err
	}
	s.StartedAt, s.EndedAt = db.Time(started), db.Time(ended)
	return s, json.Unmarshal([]byte(detail), &s.Detail)
}

func stepsOf(ctx context.Context, q db.Querier, runID string) ([]Step, error) {
	return collect(ctx, q, scanStep, "SELECT step, attempts, started_at, ended_at, detail FROM run_steps WHERE run_id = ? ORDER BY ended_at", runID)
}

// keepStep notes that a step is done, with what is worth knowing of it.
func keepStep(ctx context.Context, tx *db.Tx, runID, step string, attempts int, started time.Time, detail any) error {
	raw, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO run_steps (run_id, step, attempts, started_at, ended_at, detail) VALUES (?,?,?,?,?,?)
		ON CONFLICT (run_id, step) DO UPDATE SET attempts = excluded.attempts, started_at = excluded.started_at, ended_at = excluded.ended_at, detail = excluded.detail`,
		runID, step, attempts, db.Micros(started), db.Micros(time.Now()), string(raw))
	return err
}
