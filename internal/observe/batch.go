package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/journal"
	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

// Sink is told of every batch of calls in the transaction that writes them: the ledger. The calls are the sink's only
// until it returns.
type Sink interface {
	Post(ctx context.Context, tx *db.Tx, calls []llm.Call) error
}

// Estimator completes the usage and the cost of a call whose process died: all that is known is its admission.
type Estimator interface {
	Estimate(*llm.Call)
}

// intake is the database's side of one journal: how far it was read, and which calls are open there.
type intake struct {
	db        *db.DB
	journalID string
	estimate  Estimator
	sinks     []Sink
	log       *slog.Logger

	position journal.Position
	open     map[string]*admission
	calls    []llm.Call // the room of the last batch, for the next
}

// admission is a call that has begun and not ended, as far as the journal was read.
type admission struct {
	record  []byte
	segment uint64
	stored  bool // in the table calls_open, and not only in the journal before the position
}

// batch is what one transaction brings.
type batch struct {
	records int
	live    uint64 // of them, those of this process
	calls   []llm.Call
	spans   []telemetry.Span
	opened  []string  // admitted in this batch; most have ended in it, too
	closed  []string  // ended, and in calls_open
	oldest  time.Time // of its records
	next    journal.Position
}

func (b *batch) empty() bool { return b.records == 0 && len(b.calls) == 0 }

// errMoved says that another process drained the same journal, or that a commit that seemed to fail did not.
var errMoved = errors.New("the journal's position in the database is not where it was left")

// load reads what the database knows of the journal.
func (in *intake) load(ctx context.Context) error {
	if _, err := in.db.Exec(ctx, "INSERT INTO journal_positions (journal_id, position, updated_at) VALUES (?, '', ?) ON CONFLICT (journal_id) DO NOTHING", in.journalID, time.Now().UnixMicro()); err != nil {
		return fmt.Errorf("read the journal's position: %w", err)
	}
	var text string
	err := in.db.QueryRow(ctx, "SELECT position FROM journal_positions WHERE journal_id = ?", in.journalID).Scan(&text)
	if err == nil {
		in.position, err = journal.ParsePosition(text)
	}
	if err != nil {
		return fmt.Errorf("read the journal's position: %w", err)
	}
	rows, err := in.db.Query(ctx, "SELECT call_id, segment, admission FROM calls_open WHERE journal_id = ?", in.journalID)
	if err != nil {
		return fmt.Errorf("read the open calls: %w", err)
	}
	defer rows.Close()
	in.open = map[string]*admission{}
	for rows.Next() {
		var callID string
		a := &admission{stored: true}
		if err := rows.Scan(&callID, &a.segment, &a.record); err != nil {
			return fmt.Errorf("read the open calls: %w", err)
		}
		in.open[callID] = a
	}
	return rows.Err()
}

// positionText is the form in the database, where a journal that was never drained has none.
func positionText(p journal.Position) string {
	if p == (journal.Position{}) {
		return ""
	}
	return p.String()
}

// add takes a record into the batch. The record is not kept, next is the position after it.
func (in *intake) add(b *batch, record []byte, next journal.Position) {
	b.records++
	b.next = next
	at, err := in.take(b, record, next.Segment)
	if err != nil {
		in.log.Error("a record of the journal cannot be read and is left out", "before", next.String(), "error", err)
		return
	}
	if b.oldest.IsZero() || at.Before(b.oldest) {
		b.oldest = at
	}
}

// take returns when the record was made.
func (in *intake) take(b *batch, record []byte, segment uint64) (at time.Time, err error) {
	if len(record) > 0 && record[0] == kindAdmit {
		callID, started, err := decodeAdmission(record)
		if err == nil && in.open[callID] == nil {
			in.open[callID] = &admission{record: slices.Clone(record), segment: segment}
			b.opened = append(b.opened, callID)
		}
		return started, err
	}
	e, err := decode(record)
	if err != nil {
		return time.Time{}, err
	}
	if e.kind == kindSpan {
		b.spans = append(b.spans, e.span)
		return e.span.End, nil
	}
	b.calls = append(b.calls, e.call)
	in.ended(b, e.call.ID)
	return e.call.Start.Add(e.call.Duration), nil
}

// newBatch begins a batch where the last one ended; that one must not be used any more.
func (in *intake) newBatch() *batch {
	clear(in.calls)
	return &batch{next: in.position, calls: in.calls[:0]}
}

// ended takes a call out of the open ones.
func (in *intake) ended(b *batch, callID string) {
	if a := in.open[callID]; a != nil {
		if a.stored {
			b.closed = append(b.closed, callID)
		}
		delete(in.open, callID)
	}
}

// cut ends the open calls whose process is dead: nothing more will be heard of them.
func (in *intake) cut(b *batch, dead func(*admission) bool) {
	for callID, a := range in.open {
		if !dead(a) {
			continue
		}
		in.ended(b, callID)
		e, err := decode(a.record)
		if err != nil {
			in.log.Error("the admission of a call that was cut cannot be read", "call", callID, "error", err)
			continue
		}
		c := e.call
		c.Outcome, c.ErrorKind, c.Error = llm.Cut, string(fault.Internal), "the gateway's process ended before the call did; usage and cost are estimates"
		if c.Usage.Total() == 0 {
			c.Usage.Input = (c.RequestSize + 3) / 4 // about four bytes a token
		}
		c.Usage.Source = llm.Estimated
		if in.estimate != nil {
			in.estimate.Estimate(&c)
		}
		b.calls = append(b.calls, c)
	}
}
