package access

import (
	"context"
	"fmt"

	"airfield/internal/db"
)

// Report is what Verify found. Whole is true only where every row, the witness and the noted head agree.
type Report struct {
	Whole    bool   `json:"whole"`
	Entries  int64  `json:"entries"` // rows that were read
	Head     Head   `json:"head"`    // the last good row
	BrokenAt int64  `json:"broken_at,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

func (r *Report) broken(at int64, format string, args ...any) {
	r.BrokenAt, r.Reason = at, fmt.Sprintf(format, args...)
}

// Verify reads the whole log in order and recomputes every hash. It finds edits, deletions, insertions and reordering,
// and a cut end by the witness in settings. A head that was noted outside earlier, unless it is zero, must be on the
// chain: that is what finds a chain rewritten as a whole. It holds one row in memory at a time.
func (a *Audit) Verify(ctx context.Context, noted Head) (Report, error) {
	// The witness is read in the same statement as the rows: both engines then show one moment of a log that grows.
	rows, err := a.db.Query(ctx, "SELECT sequence, at, actor, action, target, detail, previous, hash, (SELECT value FROM settings WHERE name = ?) FROM audit ORDER BY sequence", headSetting)
	if err != nil {
		return Report{}, fmt.Errorf("read the audit log: %w", err)
	}
	defer rows.Close()
	report, witness := Report{Head: Head{Hash: genesis}}, (*string)(nil)
	for rows.Next() {
		r, err := scanRecord(rows, &witness)
		if err != nil {
			return Report{}, fmt.Errorf("read the audit log: %w", err)
		}
		report.Entries++
		switch {
		case r.Sequence != report.Head.Sequence+1:
			report.broken(report.Head.Sequence+1, "entry %d is followed by %d: what was between them is gone", report.Head.Sequence, r.Sequence)
		case r.Previous != report.Head.Hash:
			report.broken(r.Sequence, "entry %d does not follow from the one before it", r.Sequence)
		case r.Hash != r.sum():
			report.broken(r.Sequence, "entry %d was changed after it was written", r.Sequence)
		case noted.Sequence == r.Sequence && noted.Hash != r.Hash:
			report.broken(r.Sequence, "entry %d is not the one that was noted: the chain was written anew", r.Sequence)
		}
		if report.Reason != "" {
			return report, nil
		}
		report.Head = Head{Sequence: r.Sequence, Hash: r.Hash}
	}
	if err := rows.Err(); err != nil {
		return Report{}, fmt.Errorf("read the audit log: %w", err)
	}
	return a.atEnd(ctx, report, witness, noted)
}

// atEnd compares the end of the chain with the witness and the noted head.
func (a *Audit) atEnd(ctx context.Context, report Report, witness *string, noted Head) (Report, error) {
	end := Head{Hash: genesis}
	switch {
	case witness != nil:
		var err error
		if end, err = parseHead(*witness); err != nil {
			report.broken(report.Head.Sequence, "the witness of the last entry is damaged")
			return report, nil
		}
	case report.Entries > 0:
		report.broken(report.Head.Sequence, "the witness of the last entry is gone")
		return report, nil
	default: // no rows: the witness did not come with one
		var n int64
		var err error
		if end, err = a.Head(ctx); err != nil {
			return Report{}, err
		}
		if err := a.db.QueryRow(ctx, "SELECT COUNT(*) FROM audit").Scan(&n); err != nil {
			return Report{}, fmt.Errorf("read the audit log: %w", err)
		}
		if n > 0 { // the first entry came in between
			return a.Verify(ctx, noted)
		}
	}
	switch {
	case end.Sequence > report.Head.Sequence:
		report.broken(report.Head.Sequence+1, "the log ends at entry %d, but %d were written: the end was cut off", report.Head.Sequence, end.Sequence)
	case end != report.Head:
		report.broken(report.Head.Sequence, "the last entry is not the one that the witness names")
	case noted.Sequence > report.Head.Sequence:
		report.broken(report.Head.Sequence+1, "the log ends at entry %d, but entry %d was noted: the end was cut off", report.Head.Sequence, noted.Sequence)
	default:
		report.Whole = true
	}
	return report, nil
}

func scanRecord(row interface{ Scan(...any) error }, more ...any) (Record, error) {
	var r Record
	var at int64
	var detail string
	err := row.Scan(append([]any{&r.Sequence, &at, &r.Actor, &r.Action, &r.Target, &detail, &r.Previous, &r.Hash}, more...)...)
	r.At, r.Detail = db.Time(at), []byte(detail)
	return r, err
}
