package cost

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"airfield/internal/access"
	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// ImportOptions say how a file is taken over.
type ImportOptions struct {
	DryRun  bool
	SkipBad bool
	From    Day // for rows that do not say from when they hold; without it always
}

// ImportReport is what an import did, or would do.
type ImportReport struct {
	Format      string       `json:"format" enum:"airfield,LiteLLM"`
	DryRun      bool         `json:"dry_run"`
	Refused     bool         `json:"refused" doc:"Nothing is taken over, because of what is bad."`
	New         int64        `json:"new"`
	Changed     int64        `json:"changed"`
	Unchanged   int64        `json:"unchanged"`
	Written     int64        `json:"written" doc:"Rows that were, or would be, written; also such as charge what the list in the binary charges."`
	Differences []Difference `json:"differences" doc:"Those that are new or changed."`
	Bad         []BadRow     `json:"bad" doc:"Rows that cannot be taken over."`
	Skipped     []Skipped    `json:"skipped,omitempty" doc:"Rows about nothing that a call is charged by."`
}

// Import takes the rows of a file into the database, all of them or none. Where a row is bad it refuses them all, unless
// it is told to leave the bad ones out; the report then says which.
func (i *Imports) Import(ctx context.Context, f *File, o ImportOptions) (ImportReport, error) {
	rows := append([]Placed{}, f.Rows...)
	for n := range rows {
		if rows[n].From.IsZero() && (rows[n].Until.IsZero() || o.From.Before(rows[n].Until.Time)) {
			rows[n].From = o.From
		}
	}
	if err := i.Load(ctx); err != nil { // so that it is told what other processes charge now
		return ImportReport{}, err
	}
	if o.DryRun {
		known, err := i.read(ctx, i.db)
		if err != nil {
			return ImportReport{}, fmt.Errorf("read the imported prices: %w", err)
		}
		return reportOf(f, planImport(i.prices, known, rows), o), nil
	}
	var report ImportReport
	err := i.change(ctx, func(tx *db.Tx) error {
		known, err := i.read(ctx, tx)
		if err != nil {
			return err
		}
		p := planImport(i.prices, known, rows)
		report = reportOf(f, p, o)
		if report.Refused {
			return nil // nothing is written; the report says why
		}
		if err := i.write(ctx, tx, p); err != nil || report.Written == 0 {
			return err
		}
		return i.audit.Record(ctx, tx, access.Entry{Action: "prices.import", Target: f.Format, Detail: map[string]any{
			"new": report.New, "changed": report.Changed, "unchanged": report.Unchanged, "written": report.Written, "left_out": len(report.Bad)}})
	})
	if err != nil {
		return ImportReport{}, fmt.Errorf("import prices: %w", err)
	}
	return report, nil
}

func reportOf(f *File, p *plan, o ImportOptions) ImportReport {
	r := ImportReport{Format: f.Format, DryRun: o.DryRun, Differences: []Difference{}, Bad: append(append([]BadRow{}, f.Bad...), p.bad...), Skipped: f.Skipped}
	for _, d := range p.list {
		switch d.Kind {
		case isNew:
			r.New++
		case isChanged:
			r.Changed++
		default:
			r.Unchanged++
		}
		if d.write {
			r.Written++
		}
		if d.Kind != isSame {
			r.Differences = append(r.Differences, d)
		}
	}
	if len(r.Bad) > 0 && !o.SkipBad {
		r.Refused, r.Written = true, 0
	}
	return r
}

var priceColumns = []string{"provider", "model", "valid_from", "valid_until", "price", "source", "as_of", "imported_at", "imported_by"}

func (i *Imports) write(ctx context.Context, tx *db.Tx, p *plan) error {
	for _, q := range p.gone {
		if _, err := tx.Exec(ctx, "DELETE FROM prices WHERE provider = ? AND model = ? AND valid_from = ?", q.Provider, q.Model, db.Micros(q.From.Time)); err != nil {
			return err
		}
	}
	for _, q := range p.moved {
		if _, err := tx.Exec(ctx, "UPDATE prices SET valid_until = ? WHERE provider = ? AND model = ? AND valid_from = ?", db.Micros(q.Until.Time), q.Provider, q.Model, db.Micros(q.From.Time)); err != nil {
			return err
		}
	}
	var rows []Row
	for _, d := range p.list {
		if d.write {
			rows = append(rows, d.New)
		}
	}
	now, by := db.Micros(time.Now()), caller.From(ctx).Actor()
	return tx.Insert(ctx, "prices", priceColumns, "", len(rows), func(n int, args []any) []any {
		r := rows[n]
		text, _ := json.Marshal(r) // rates, names and days are never refused
		return append(args, r.Provider, r.Model, db.Micros(r.From.Time), db.Micros(r.Until.Time), string(text), r.Source, db.Micros(r.AsOf.Time), now, by)
	})
}

// Remove takes imported prices of a model out, all of them or the one that begins on a day, and returns how many: what
// lies beneath counts again.
func (i *Imports) Remove(ctx context.Context, provider, model string, from Day) (n int64, err error) {
	err = i.change(ctx, func(tx *db.Tx) error {
		query, args := "DELETE FROM prices WHERE provider = ? AND model = ?", []any{provider, model}
		if !from.IsZero() {
			query, args = query+" AND valid_from = ?", append(args, db.Micros(from.Time))
			if err := i.reopen(ctx, tx, provider, model, from); err != nil {
				return fmt.Errorf("remove an imported price: %w", err)
			}
		}
		if n, err = tx.Exec(ctx, query, args...); err != nil {
			return fmt.Errorf("remove an imported price: %w", err)
		}
		if n == 0 {
			return fault.New(fault.NotFound, "price_not_found", "no price of %s/%s was imported", provider, model).Hinted("airfield prices list --layer imported shows those that were")
		}
		return i.audit.Record(ctx, tx, access.Entry{Action: "prices.remove", Target: provider + "/" + model, Detail: map[string]any{"rows": n}})
	})
	return n, err
}

// reopen gives a price that ended only because another began on a day the end that it was imported with, or that of the
// other one.
func (i *Imports) reopen(ctx context.Context, tx *db.Tx, provider, model string, from Day) error {
	known, err := i.read(ctx, tx)
	if err != nil {
		return err
	}
	var before, gone *Quote
	for n := range known {
		switch q := &known[n]; {
		case q.Provider != provider || q.Model != model:
		case q.From.Equal(from.Time):
			gone = q
		case q.Until.Equal(from.Time):
			before = q
		}
	}
	if before == nil || gone == nil || before.meant.Equal(from.Time) {
		return nil
	}
	until := before.meant
	if !gone.Until.IsZero() && (until.IsZero() || gone.Until.Before(until.Time)) {
		until = gone.Until
	}
	_, err = tx.Exec(ctx, "UPDATE prices SET valid_until = ? WHERE provider = ? AND model = ? AND valid_from = ?", db.Micros(until.Time), provider, model, db.Micros(before.From.Time))
	return err
}
