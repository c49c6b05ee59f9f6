package retrieve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/index"
)

const (
	sweepEvery = 10 * time.Minute
	patience   = 20 * time.Second // with one collection
)

// Notify says that something changed, so that Run does not wait for its next round. It never blocks.
func (f *Feed) Notify() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run keeps every collection's index current until ctx ends. A collection that cannot be brought forward is reported
// once for each reason and tried again with every round.
func (f *Feed) Run(ctx context.Context) error {
	tick := time.NewTicker(f.config.Interval)
	defer tick.Stop()
	var swept time.Time
	var beside string
	reported := map[string]string{}
	report := func(about string, err error) {
		text := ""
		if err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		if text != "" && reported[about] != text {
			f.log.Error("the index is behind the database", "collection", about, "error", err)
		}
		reported[about] = text
	}
	for {
		ids, err := column(f.db.Query(ctx, "SELECT id FROM collections WHERE deleted_at IS NULL ORDER BY id"))
		report("all", err)
		for _, id := range ids {
			report(id, f.catchUpFor(ctx, id, ""))
		}
		besides, err := f.besides(ctx)
		report("generations", err)
		for _, c := range besides {
			report(c.name+" generation "+c.generation, f.catchUpFor(ctx, c.id, c.generation))
		}
		if names := spaceNames(besides); err == nil && names != beside {
			beside, swept = names, time.Time{} // one of them may be gone: so is its space then
		}
		for _, id := range f.due() {
			report("compaction of "+id, f.compact(ctx, id))
		}
		if time.Since(swept) > sweepEvery {
			report("dropped ones", f.sweep(ctx))
			swept = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-f.wake:
		}
	}
}

// catchUpFor leaves a long rebuild to itself after a while, so that other collections have their turn.
func (f *Feed) catchUpFor(ctx context.Context, collectionID, generation string) error {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := f.catchUp(wait, collectionID, generation)
	if wait.Err() != nil || index.IsBusy(err) || generation != "" && fault.Is(err, fault.NotFound) { // busy: another process feeds it
		return nil
	}
	return err
}

// besides are the generations that are fed beside the live ones, so that each can become live at once.
func (f *Feed) besides(ctx context.Context) (list []collection, err error) {
	rows, err := f.db.Query(ctx, selectBeside+"WHERE c.deleted_at IS NULL ORDER BY g.id")
	if err != nil {
		return nil, fmt.Errorf("list generations: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanCollection(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

func spaceNames(list []collection) string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.generation
	}
	return strings.Join(names, " ")
}

// sweep drops the spaces that no collection has any more.
func (f *Feed) sweep(ctx context.Context) error {
	// Spaces first: a space is fed only after its generation's row is there.
	spaces, err := f.index.Spaces(ctx)
	if err != nil {
		return fmt.Errorf("list spaces: %w", err)
	}
	keep, err := column(f.db.Query(ctx, "SELECT g.id FROM generations g JOIN collections c ON c.id = g.collection_id WHERE c.deleted_at IS NULL AND (g.id = c.generation_id OR g.reclaimed_at = 0)"))
	if err != nil {
		return fmt.Errorf("list generations: %w", err)
	}
	for _, space := range spaces {
		if slices.Contains(keep, space) {
			continue
		}
		if err := f.index.Drop(ctx, space); err != nil {
			return fmt.Errorf("drop space %s: %w", space, err)
		}
		f.log.Info("dropped the index of a generation that is gone", "space", space)
	}
	return nil
}
