package retrieve

import (
	"context"
	"fmt"
	"time"
)

const (
	// compactAfter is how long deletions are gathered before what they left on the disk is taken off it: one rewriting
	// serves them all.
	compactAfter = 3 * time.Second
	// compactShare keeps a large collection from being rewritten all the time: the next rewriting begins this many times
	// the duration of the last after it.
	compactShare = 20
)

// compaction is what was asked for and done of one collection.
type compaction struct {
	asked time.Time // zero: nobody waits
	began time.Time // of the last one that was finished
	took  time.Duration
}

// Compacted reports whether what the collection's index had let go of by a moment has been taken off the disk too. If
// not, it is done soon, by Run: ask again.
func (f *Feed) Compacted(collectionID string, by time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.compactions[collectionID]
	if c.began.After(by) {
		return true
	}
	if c.asked.IsZero() {
		c.asked = time.Now()
		f.compactions[collectionID] = c
	}
	return false
}

// due are the collections whose compaction was asked for a while ago.
func (f *Feed) due() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, c := range f.compactions {
		if !c.asked.IsZero() && time.Since(c.asked) >= compactAfter && time.Since(c.began) >= compactShare*c.took {
			ids = append(ids, id)
		}
	}
	return ids
}

// compact rewrites the spaces of a collection without what was removed.
func (f *Feed) compact(ctx context.Context, collectionID string) error {
	f.mu.Lock()
	last := f.compactions[collectionID]
	last.asked = time.Time{}
	f.compactions[collectionID] = last
	f.mu.Unlock()
	began := time.Now()
	spaces, err := generations(ctx, f.db, collectionID)
	for i := 0; err == nil && i < len(spaces); i++ {
		err = f.index.Compact(ctx, spaces[i])
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.compactions[collectionID]
	if err != nil {
		c.asked = time.Now()
		err = fmt.Errorf("compact the index: %w", err)
	} else {
		c.began, c.took = began, time.Since(began)
	}
	f.compactions[collectionID] = c
	return err
}
