package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/journal"
)

// Drained is what DrainDir brought in.
type Drained struct {
	Journal string `json:"journal,omitempty"` // its id
	Records int    `json:"records"`
	Calls   int    `json:"calls"`
	Cut     int    `json:"cut"` // of the calls: those without an end, whose usage is an estimate
	Spans   int    `json:"spans"`
	Skipped int64  `json:"skipped_bytes"` // damaged
}

// DrainDir brings the journal of a replica that is gone into the database, exactly once however often it is run. A journal
// that a living process holds is refused.
func DrainDir(ctx context.Context, d *db.DB, dir string, c Config, estimate Estimator, log *slog.Logger, sinks ...Sink) (Drained, error) {
	log = log.With("part", "observe")
	archive, err := journal.OpenReader(dir, log)
	if err != nil {
		return Drained{}, err
	}
	defer archive.Close()
	var sum Drained
	if archive.ID() == "" {
		return sum, nil
	}
	sum.Journal = archive.ID()
	in := &intake{db: d, journalID: archive.ID(), estimate: estimate, sinks: sinks, log: log}
	if err := in.load(ctx); err != nil {
		return sum, err
	}
	r := archive.Reader(in.position)
	defer r.Close()
	size := max(1, c.BatchCalls)
	for end := false; !end; {
		b := in.newBatch()
		for len(b.calls) < size && b.records < 4*size && !end {
			record, next, err := r.Next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				end = true
				before := len(b.calls)
				in.cut(b, func(*admission) bool { return true })
				sum.Cut = len(b.calls) - before
			case err != nil:
				return sum, err
			default:
				in.add(b, record, next)
			}
		}
		if b.empty() {
			continue
		}
		if err := in.commit(ctx, b); errors.Is(err, errMoved) {
			return sum, fault.New(fault.Conflict, "journal_busy", "the journal in %s, or a copy of it, is being drained by another process: %w", dir, err).Hinted("wait for it, then run this again")
		} else if err != nil {
			return sum, fmt.Errorf("drain %s: %w", dir, err)
		}
		sum.Records, sum.Calls, sum.Spans, sum.Skipped = sum.Records+b.records, sum.Calls+len(b.calls), sum.Spans+len(b.spans), r.Skipped()
	}
	return sum, nil
}
