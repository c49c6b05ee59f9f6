package ingest

import (
	"context"
	"strconv"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// DeadLetter is a run that gave up.
type DeadLetter struct {
	Run          Run    `json:"run"`
	DocumentID   string `json:"document_id"`
	CollectionID string `json:"collection_id"`
	Collection   string `json:"collection"`
	Source       string `json:"source"`
	SourceKey    string `json:"source_key"`
	Number       int    `json:"number"` // of the version
}

// DeadLetterFilter narrows a list of dead letters.
type DeadLetterFilter struct {
	Collection string // name or id
	Code       string
	Before     time.Time // only those that gave up before
	After      string    // the run id of the last one of the page before
	Limit      int       // 100 where 0, at most 1000
}

const deadLetterColumns = runColumns + `, d.id, c.id, c.name, d.source, d.source_key, v.number
	FROM runs r JOIN documents d ON d.id = r.document_id JOIN collections c ON c.id = r.collection_id JOIN versions v ON v.id = r.version_id`

func scanDeadLetter(row scanner) (l DeadLetter, err error) {
	dest, finish := runDest(&l.Run)
	if err := row.Scan(append(dest, &l.DocumentID, &l.CollectionID, &l.Collection, &l.Source, &l.SourceKey, &l.Number)...); err != nil {
		return l, err
	}
	finish()
	return l, nil
}

// ListDeadLetters returns dead letters in the order of their runs' ids.
func (p *Pipeline) ListDeadLetters(ctx context.Context, f DeadLetterFilter) ([]DeadLetter, error) {
	query, args := "SELECT "+deadLetterColumns+" WHERE r.state = ? AND r.id > ?", []any{runDead, f.After}
	who := caller.From(ctx)
	if who == nil {
		return []DeadLetter{}, nil
	}
	switch {
	case f.Collection != "":
		c, err := p.GetCollection(ctx, f.Collection)
		if err != nil {
			return nil, err
		}
		query, args = query+" AND r.collection_id = ?", append(args, c.ID)
	case who.Is(caller.Operator):
	default:
		query, args = query+" AND c.workflow <> '' AND c.workflow = ?", append(args, who.Workflow)
	}
	if !who.Is(caller.Operator) { // whoever owns them
		query, args = query+" AND d.tier >= ? AND d.tier <= ?", append(args, int(caller.Public), int(who.Clearance))
	}
	if f.Code != "" {
		query, args = query+" AND r.error_code = ?", append(args, f.Code)
	}
	if !f.Before.IsZero() {
		query, args = query+" AND r.updated_at < ?", append(args, db.Micros(f.Before))
	}
	return collect(ctx, p.DB, scanDeadLetter, query+" ORDER BY r.id LIMIT ?", append(args, pageSize(f.Limit))...)
}

// GetDeadLetter returns one, with the steps that were done, by the id of its run.
func (p *Pipeline) GetDeadLetter(ctx context.Context, runID string) (DeadLetter, error) {
	l, err := scanDeadLetter(p.DB.QueryRow(ctx, "SELECT "+deadLetterColumns+" WHERE r.id = ? AND r.state = ?", runID, runDead))
	if db.IsNone(err) {
		return l, noDeadLetter(runID)
	}
	if err != nil {
		return l, err
	}
	if _, _, err := p.document(ctx, l.DocumentID); err != nil {
		return DeadLetter{}, noDeadLetter(runID)
	}
	l.Run.Steps, err = stepsOf(ctx, p.DB, runID)
	return l, err
}

func noDeadLetter(runID string) error {
	return fault.New(fault.NotFound, "dead_letter_not_found", "there is no dead letter %q", runID).Hinted("see airfield dlq list")
}

// bring finds a dead letter that the caller may act on.
func (p *Pipeline) bring(ctx context.Context, runID string) (DeadLetter, error) {
	l, err := p.GetDeadLetter(ctx, runID)
	if err == nil {
		_, err = p.ownCollection(ctx, l.CollectionID)
	}
	return l, err
}

// Replay puts a dead letter on its way again, from the step that failed.
func (p *Pipeline) Replay(ctx context.Context, runID string) error {
	l, err := p.bring(ctx, runID)
	if err != nil {
		return err
	}
	return p.revive(ctx, l, "dead_letter.replay", func(tx *db.Tx, now time.Time) error {
		if _, err := tx.Exec(ctx, "UPDATE runs SET state = ?, attempts = 0, crashes = 0, error_code = '', error = '', due_at = ?, priority = ?, updated_at = ?, finished_at = NULL WHERE id = ?",
			runWaiting, db.Micros(now), PriorityUpload, db.Micros(now), runID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE versions SET state = ? WHERE id = ?", Pending, l.Run.VersionID); err != nil {
			return err
		}
		return p.Queue.Wake(ctx, tx, Wake{RunID: runID, Key: runID + ":" + strconv.FormatInt(db.Micros(now), 36), Priority: PriorityUpload})
	})
}

// ReplayAll replays every dead letter that the filter matches, and counts them.
func (p *Pipeline) ReplayAll(ctx context.Context, f DeadLetterFilter) (n int, err error) {
	f.Limit = 1000
	for {
		list, err := p.ListDeadLetters(ctx, f)
		if err != nil {
			return n, err
		}
		for _, l := range list {
			if err := p.Replay(ctx, l.Run.ID); err != nil && !fault.Is(err, fault.NotFound) {
				return n, err
			}
			n, f.After = n+1, l.Run.ID
		}
		if len(list) < f.Limit {
			return n, nil
		}
	}
}

// Discard gives up a dead letter for good: its version is deleted; a document that never was live goes with it.
func (p *Pipeline) Discard(ctx context.Context, runID string) error {
	l, err := p.bring(ctx, runID)
	if err != nil {
		return err
	}
	return p.revive(ctx, l, "dead_letter.discard", func(tx *db.Tx, now time.Time) error {
		var others int
		if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM versions WHERE document_id = ? AND id <> ? AND state IN (?,?,?,?)", l.DocumentID, l.Run.VersionID, Live, Pending, Running, Dead).Scan(&others); err != nil {
			return err
		}
		if others == 0 {
			c, err := findCollection(ctx, tx, l.CollectionID)
			if err != nil {
				return err
			}
			_, err = p.remove(ctx, tx, c, l.DocumentID)
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE runs SET state = ?, updated_at = ?, finished_at = ? WHERE id = ?", runCancelled, db.Micros(now), db.Micros(now), runID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE versions SET state = ? WHERE id = ?", Deleted, l.Run.VersionID); err != nil {
			return err
		}
		return dropUnneeded(ctx, tx, l.DocumentID)
	})
}

// revive changes a dead letter, if it still is one, and notes who did.
func (p *Pipeline) revive(ctx context.Context, l DeadLetter, action string, fn func(tx *db.Tx, now time.Time) error) error {
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		doc, err := lockDocument(ctx, tx, l.DocumentID)
		if err != nil {
			return err
		}
		var state string
		if err := tx.QueryRow(ctx, "SELECT state FROM runs WHERE id = ?"+tx.ForUpdate(), l.Run.ID).Scan(&state); err != nil {
			return err
		}
		if doc.Deleted || state != runDead {
			return noDeadLetter(l.Run.ID)
		}
		if err := fn(tx, time.Now()); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: action, Target: l.DocumentID, Detail: map[string]any{"run": l.Run.ID, "version": l.Number, "reason": l.Run.ErrorCode}})
	})
}
