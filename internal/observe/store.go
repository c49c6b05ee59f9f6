package observe

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/llm"
)

// Store reads the call log.
type Store struct{ db *db.DB }

// NewStore returns the log's readers.
func NewStore(d *db.DB) *Store { return &Store{db: d} }

// Filter chooses calls; zero fields choose all.
type Filter struct {
	Workflow string
	Model    string
	Outcome  llm.Outcome
	TraceID  string
	Prompt   string
	Version  int       // of the prompt
	Since    time.Time // that began then or later
	Until    time.Time // that began before
	Before   string    // continue a list: the id of the last call of the page before
	Limit    int       // 50 where it is 0, at most 1,000
}

const selectCalls = "SELECT id, started_at, duration_us, workflow, model, outcome, nanos_usd, priced, trace_id, detail, recorded_at FROM calls"

// Calls lists calls by when they began, the newest first.
func (s *Store) Calls(ctx context.Context, f Filter) ([]llm.Call, error) {
	q := where{}
	q.add(f.Workflow != "", "workflow = ?", f.Workflow)
	q.add(f.Model != "", "model = ?", f.Model)
	q.add(f.Outcome != "", "outcome = ?", string(f.Outcome))
	q.add(f.TraceID != "", "trace_id = ?", f.TraceID)
	q.add(f.Prompt != "", "prompt = ? AND prompt <> ''", f.Prompt) // the index is of those that have one
	q.add(f.Version != 0, "prompt_version = ?", f.Version)
	// The id begins with the time: its key is walked, and the rows it finds are then held to the exact time.
	q.add(!f.Since.IsZero(), "id >= ?", idAt(f.Since.Add(-slack)))
	q.add(!f.Since.IsZero(), "started_at >= ?", db.Micros(f.Since))
	q.add(!f.Until.IsZero(), "id < ?", idAt(f.Until.Add(slack)))
	q.add(!f.Until.IsZero(), "started_at < ?", db.Micros(f.Until))
	q.add(f.Before != "", "id < ?", f.Before)
	if f.Limit <= 0 {
		f.Limit = 50
	}
	rows, err := s.db.Query(ctx, selectCalls+q.String()+" ORDER BY id DESC LIMIT ?", append(q.args, min(f.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("list calls: %w", err)
	}
	list, _, err := readCalls(rows)
	return list, err
}

// slack is how far the start of a call and the moment in its id may be apart.
const slack = time.Minute

// idAt sorts before the ids that are made from a moment on, and after those made before.
func idAt(t time.Time) string {
	text := id.At("call", t)
	return text[:len("call_")+10] // ten characters of five bits are the time, the rest is chance
}

// Call returns one call.
func (s *Store) Call(ctx context.Context, callID string) (llm.Call, error) {
	c, _, err := scanCall(s.db.QueryRow(ctx, selectCalls+" WHERE id = ?", callID))
	if db.IsNone(err) {
		return c, fault.New(fault.NotFound, "call_not_found", "there is no call %s in the log", callID).Hinted("a call is in the log a moment after it ended, and until retention takes it")
	}
	if err != nil {
		return c, fmt.Errorf("read a call: %w", err)
	}
	return c, nil
}

// Place is where a reader of Follow has got to. The zero place is the end of the log.
type Place struct {
	Recorded int64  `json:"recorded"`
	ID       string `json:"id"`
}

// settle is how old a row must be to be followed. Several gateways write to a PostgreSQL, and a transaction that began
// earlier may be seen later; one that takes longer than this is passed over by those who follow, but not by lists.
const settle = time.Second

// Follow returns the calls that were recorded after a place in the log, the oldest first, and the next place. Ask again
// every second or so.
func (s *Store) Follow(ctx context.Context, after Place, limit int) ([]llm.Call, Place, error) {
	until := time.Now()
	if s.db.Engine() == db.Postgres {
		until = until.Add(-settle)
	}
	if after == (Place{}) {
		return nil, Place{Recorded: db.Micros(until)}, nil
	}
	rows, err := s.db.Query(ctx, selectCalls+" WHERE recorded_at >= ? AND (recorded_at > ? OR id > ?) AND recorded_at < ? ORDER BY recorded_at, id LIMIT ?",
		after.Recorded, after.Recorded, after.ID, db.Micros(until), max(1, min(limit, 1000)))
	if err != nil {
		return nil, after, fmt.Errorf("follow calls: %w", err)
	}
	list, recorded, err := readCalls(rows)
	if n := len(list); n > 0 {
		after = Place{Recorded: recorded, ID: list[n-1].ID}
	}
	return list, after, err
}

// readCalls also returns when the last of them was recorded.
func readCalls(rows *sql.Rows) ([]llm.Call, int64, error) {
	defer rows.Close()
	list, recorded := []llm.Call{}, int64(0)
	for rows.Next() {
		c, at, err := scanCall(rows)
		if err != nil {
			return nil, 0, fmt.Errorf("read calls: %w", err)
		}
		list, recorded = append(list, c), at
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read calls: %w", err)
	}
	return list, recorded, nil
}

// where collects conditions that must all hold.
type where struct {
	clauses []string
	args    []any
}

func (w *where) add(use bool, clause string, arg any) {
	if use {
		w.clauses, w.args = append(w.clauses, clause), append(w.args, arg)
	}
}

func (w *where) String() string {
	if len(w.clauses) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.clauses, " AND ")
}
