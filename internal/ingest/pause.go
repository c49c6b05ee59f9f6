package ingest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
)

// Pause keeps runs of a collection, of one of its sources, or one run, from being begun. It is a row: it outlives the
// process. What a worker has in its hands is done to its end.
type Pause struct {
	Target   string    `json:"target"` // COLLECTION, COLLECTION/SOURCE, or a run's id
	Reason   string    `json:"reason,omitempty"`
	PausedBy string    `json:"paused_by"`
	PausedAt time.Time `json:"paused_at"`
	Waiting  int       `json:"waiting"` // runs that it holds up
}

// scope is what a pause, or a cancellation, is about. All of it in one collection.
type scope struct {
	collection, source, run string // ids, and the source's name
	name                    string // as it is shown
}

// where narrows a query over runs r to the scope.
func (s scope) where() (string, []any) {
	switch {
	case s.run != "":
		return "r.id = ?", []any{s.run}
	case s.source != "":
		return "r.collection_id = ? AND EXISTS (SELECT 1 FROM documents d WHERE d.id = r.document_id AND d.source = ?)", []any{s.collection, s.source}
	}
	return "r.collection_id = ?", []any{s.collection}
}

// notPaused narrows a query over runs r to those that no pause is about. A purge is never paused.
const notPaused = `NOT EXISTS (SELECT 1 FROM pauses p WHERE p.collection_id = r.collection_id AND r.kind = 'ingest' AND (p.run_id = '' OR p.run_id = r.id)
	AND (p.source = '' OR EXISTS (SELECT 1 FROM documents d WHERE d.id = r.document_id AND d.source = p.source)))`

// scopeOf reads a target, for operators: whose runs are held up is a matter of the whole place.
func (p *Pipeline) scopeOf(ctx context.Context, target string) (s scope, err error) {
	if !caller.From(ctx).Is(caller.Operator) {
		return s, fault.New(fault.Denied, "pause_not_yours", "ingestion is paused, resumed and cancelled by operators")
	}
	if id.Has(target, "run") {
		s.run, s.name = target, target
		err = p.DB.QueryRow(ctx, "SELECT collection_id FROM runs WHERE id = ? AND kind = ?", target, kindIngest).Scan(&s.collection)
		if db.IsNone(err) {
			err = fault.New(fault.NotFound, "run_not_found", "there is no run %q of a document", target)
		}
		return s, err
	}
	collection, source, within := strings.Cut(target, "/")
	c, err := p.GetCollection(ctx, collection)
	if err != nil {
		return s, err
	}
	s.collection, s.name = c.ID, c.Name
	if !within {
		return s, nil
	}
	s.source, s.name = source, c.Name+"/"+source
	if source != SourceUpload && source != SourceFiles {
		_, err = p.GetSource(ctx, c.ID, source)
	}
	return s, err
}

// PauseRuns keeps the target's runs from being begun until it is resumed.
func (p *Pipeline) PauseRuns(ctx context.Context, target, reason string) error {
	s, err := p.scopeOf(ctx, target)
	if err != nil {
		return err
	}
	if reason = strings.TrimSpace(storable(reason)); len(reason) > maxFieldBytes {
		return fault.New(fault.Invalid, "reason_too_long", "the reason has %d bytes; at most %d are kept", len(reason), maxFieldBytes).At("/reason")
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "INSERT INTO pauses (collection_id, source, run_id, name, reason, paused_by, paused_at) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
			s.collection, s.source, s.run, s.name, reason, caller.From(ctx).Actor(), db.Micros(time.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "paused_already", "%s is paused already", s.name)
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "ingest.pause", Target: s.name, Detail: map[string]any{"reason": reason}})
	})
}

// Resume ends a pause, and wakes what it held up.
func (p *Pipeline) Resume(ctx context.Context, target string) error {
	s, err := p.scopeOf(ctx, target)
	if err != nil {
		return err
	}
	return p.DB.Tx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM pauses WHERE collection_id = ? AND source = ? AND run_id = ?", s.collection, s.source, s.run)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "not_paused", "%s is not paused", s.name).Hinted("airfield ingest pauses lists what is; a collection, its sources and its runs are paused each by itself")
		}
		if err := p.wakeScope(ctx, tx, s); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "ingest.resume", Target: s.name})
	})
}

// wakeScope asks for a worker for every run of the scope that is due, and that no other pause holds up.
func (p *Pipeline) wakeScope(ctx context.Context, tx *db.Tx, s scope) error {
	where, args := s.where()
	now := db.Micros(time.Now())
	list, err := collect(ctx, tx, func(row scanner) (w Wake, err error) { return w, row.Scan(&w.RunID, &w.Priority) },
		"SELECT r.id, r.priority FROM runs r WHERE "+where+" AND r.state = ? AND r.due_at <= ? AND "+notPaused+" ORDER BY r.due_at", append(args, runWaiting, now)...)
	if err != nil {
		return fmt.Errorf("look for runs that were held up: %w", err)
	}
	for _, w := range list {
		w.Key = w.RunID + ":resume:" + strconv.FormatInt(now, 36)
		if err := p.Queue.Wake(ctx, tx, w); err != nil {
			return err
		}
	}
	return nil
}

// pausedBy is the pause that holds a run up, nil where none does.
func pausedBy(ctx context.Context, q db.Querier, runID string) (*Pause, error) {
	var pause Pause
	var at int64
	err := q.QueryRow(ctx, `SELECT p.name, p.reason, p.paused_by, p.paused_at FROM pauses p JOIN runs r ON r.collection_id = p.collection_id
		WHERE r.id = ? AND r.kind = ? AND (p.run_id = '' OR p.run_id = r.id)
		AND (p.source = '' OR EXISTS (SELECT 1 FROM documents d WHERE d.id = r.document_id AND d.source = p.source)) ORDER BY p.paused_at LIMIT 1`, runID, kindIngest).
		Scan(&pause.Target, &pause.Reason, &pause.PausedBy, &at)
	if db.IsNone(err) {
		return nil, nil
	}
	pause.PausedAt = db.Time(at)
	return &pause, err
}

// ListPauses returns all pauses, the oldest first.
func (p *Pipeline) ListPauses(ctx context.Context) ([]Pause, error) {
	if !caller.From(ctx).Is(caller.Operator, caller.Auditor, caller.Viewer) {
		return nil, fault.New(fault.Denied, "pause_not_yours", "pauses are listed for operators, auditors and viewers")
	}
	type row struct {
		Pause
		scope
	}
	rows, err := collect(ctx, p.DB, func(from scanner) (r row, err error) {
		var at int64
		err = from.Scan(&r.collection, &r.source, &r.run, &r.Target, &r.Reason, &r.PausedBy, &at)
		r.PausedAt = db.Time(at)
		return r, err
	}, "SELECT collection_id, source, run_id, name, reason, paused_by, paused_at FROM pauses ORDER BY paused_at, name")
	if err != nil {
		return nil, err
	}
	list := make([]Pause, 0, len(rows))
	for _, r := range rows {
		where, args := r.where()
		if err := p.DB.QueryRow(ctx, "SELECT COUNT(*) FROM runs r WHERE "+where+" AND r.kind = ? AND r.state = ?", append(args, kindIngest, runWaiting)...).Scan(&r.Waiting); err != nil {
			return nil, err
		}
		list = append(list, r.Pause)
	}
	return list, nil
}

// CancelRuns ends the target's runs that wait or are worked on, and counts them. Their versions are not ingested; what is
// live stays live. Uploads of the same bytes make a new version.
func (p *Pipeline) CancelRuns(ctx context.Context, target string) (n int, err error) {
	s, err := p.scopeOf(ctx, target)
	if err != nil {
		return 0, err
	}
	where, args := s.where()
	type open struct{ run, document string }
	list, err := collect(ctx, p.DB, func(row scanner) (o open, err error) { return o, row.Scan(&o.run, &o.document) },
		"SELECT r.id, r.document_id FROM runs r WHERE "+where+" AND r.kind = ? AND r.state IN (?,?) ORDER BY r.id", append(args, kindIngest, runWaiting, runRunning)...)
	if err != nil {
		return 0, fmt.Errorf("look for runs to cancel: %w", err)
	}
	for _, o := range list {
		done, err := p.cancelOne(ctx, o.run, o.document)
		if err != nil {
			return n, fmt.Errorf("cancel run %s: %w", o.run, err)
		}
		if done {
			n++
		}
	}
	return n, nil
}

func (p *Pipeline) cancelOne(ctx context.Context, runID, documentID string) (done bool, err error) {
	err = p.DB.Tx(ctx, func(tx *db.Tx) error {
		done = false
		doc, err := lockDocument(ctx, tx, documentID)
		if err != nil {
			return err
		}
		r := &runRow{ID: runID, Document: documentID}
		var state string
		if err := tx.QueryRow(ctx, "SELECT state, version_id FROM runs WHERE id = ?"+tx.ForUpdate(), runID).Scan(&state, &r.Version); err != nil {
			return err
		}
		if doc.Deleted || (state != runWaiting && state != runRunning) {
			return nil
		}
		done = true
		if err := p.cancelRun(ctx, tx, r); err != nil {
			return err
		}
		return p.Audit.Record(ctx, tx, access.Entry{Action: "ingest.cancel", Target: documentID, Detail: map[string]any{"run": runID}})
	})
	return done, err
}
