package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/db"
)

// dropOrphans removes objects whose row never came to be: the process died between the bytes and the transaction. Ids
// sort by time, so that only what was made since the last look is listed.
func (p *Pipeline) dropOrphans(ctx context.Context, prefix, table string, now time.Time) error {
	setting := "ingest.orphans." + table
	var after string
	if err := p.DB.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?", setting).Scan(&after); err != nil && !db.IsNone(err) {
		return err
	}
	start := after
	for done := false; !done; {
		objects, err := p.Bucket.List(ctx, prefix, after, sweepBatch)
		if err != nil {
			return fmt.Errorf("look for bytes that no row names: %w", err)
		}
		done = len(objects) < sweepBatch
		if i := slices.IndexFunc(objects, func(o bucket.Object) bool { return !p.decided(o, now) }); i >= 0 {
			objects, done = objects[:i], true
		}
		if len(objects) == 0 {
			break
		}
		if err := p.dropNameless(ctx, objects, prefix, table); err != nil {
			return err
		}
		after = objects[len(objects)-1].Key
	}
	if after == start {
		return nil
	}
	_, err := p.DB.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", setting, after)
	return err
}

// decided reports whether the transaction that would name an object is over: it is old, or of a process that is dead.
// The latter is not to be told where the clock was set since the start.
func (p *Pipeline) decided(o bucket.Object, now time.Time) bool {
	const age = 24 * time.Hour // far longer than a batch of uploads is on its way
	if now.Sub(o.Modified) >= age {
		return true
	}
	drift := time.Now().Round(0).Sub(p.alone.Round(0)) - time.Since(p.alone)
	return !p.alone.IsZero() && drift.Abs() < time.Second && o.Modified.Before(p.alone)
}

// dropNameless removes those of the objects that no row of the table names.
func (p *Pipeline) dropNameless(ctx context.Context, objects []bucket.Object, prefix, table string) error {
	owner := func(o bucket.Object) string {
		id, _, _ := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
		return id
	}
	owners := make([]any, len(objects))
	for i, o := range objects {
		owners[i] = owner(o)
	}
	named, err := collect(ctx, p.DB, scanText, "SELECT id FROM "+table+" WHERE id IN ("+db.Marks(len(owners))+")", owners...)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if slices.Contains(named, owner(o)) {
			continue
		}
		if _, err := p.Bucket.Purge(ctx, o.Key, ""); err != nil {
			return fmt.Errorf("remove bytes that no row names: %w", err)
		}
	}
	return nil
}
