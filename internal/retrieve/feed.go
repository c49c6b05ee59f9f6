package retrieve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/index"
)

// Feed keeps the index in line with the database. What is live of a document is read again for every change of it, so
// that applying a change twice, or late, gives the same. One catch-up of a collection is under way at any time, in all
// processes that share the index: it holds the space's claim from before it reads to after it writes.
type Feed struct {
	config Config
	db     *db.DB
	index  index.Index
	log    *slog.Logger
	wake   chan struct{}

	ctx  context.Context // of the catch-ups, which outlive the searches that wait for them
	stop context.CancelFunc

	mu      sync.Mutex
	flights map[string]*flight

	compactions map[string]compaction
	closed      bool
	running     sync.WaitGroup
}

// flight is a catch-up under way.
type flight struct {
	done chan struct{}
	err  error
}

var errClosed = fault.New(fault.Unavailable, "stopping", "the server is stopping")

// NewFeed makes a feed; Close ends what it has under way.
func NewFeed(config Config, database *db.DB, idx index.Index, log *slog.Logger) *Feed {
	f := &Feed{config: config, db: database, index: idx, log: log.With("part", "retrieve"), wake: make(chan struct{}, 1), flights: map[string]*flight{}, compactions: map[string]compaction{}}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// Close stops catch-ups under way and waits for them. What they have not done is done at the next start.
func (f *Feed) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.stop()
	f.running.Wait()
}

const maxFlights = 8 // one after the other; a collection that changes all the time is caught up with by Run

// CatchUp brings the index to where the database was when it was called. A catch-up goes on when ctx ends; the next
// call joins it.
func (f *Feed) CatchUp(ctx context.Context, collectionID string) error {
	return f.catchUp(ctx, collectionID, "")
}

// catchUp is CatchUp for a generation; the live one, whichever that is, where none is named.
func (f *Feed) catchUp(ctx context.Context, collectionID, generation string) error {
	var goal int64
	for try := range maxFlights {
		c, err := f.space(ctx, collectionID, generation)
		if err != nil {
			return err
		}
		at, err := f.index.Sequence(ctx, c.generation)
		if err != nil {
			return fmt.Errorf("read the index's position: %w", err)
		}
		if try == 0 {
			goal = c.sequence
		}
		// Only what a flight left behind may be ahead of what was read here before it.
		if !c.deleted && (at == c.sequence || try > 0 && at >= goal) {
			return nil
		}
		// One that had begun before may have missed the newest changes: hence the next round.
		if err := f.join(ctx, collectionID, c.generation); err != nil || c.deleted {
			return err
		}
	}
	return fault.New(fault.Unavailable, "index_behind", "the index of collection %s does not catch up with its changes", collectionID)
}

// join waits for the generation's flight, starting one where there is none.
func (f *Feed) join(ctx context.Context, collectionID, generation string) error {
	f.mu.Lock()
	fl := f.flights[generation]
	if fl == nil {
		if f.closed {
			f.mu.Unlock()
			return errClosed
		}
		fl = &flight{done: make(chan struct{})}
		f.flights[generation] = fl
		f.running.Go(func() {
			fl.err = f.fly(f.ctx, collectionID, generation)
			f.mu.Lock()
			delete(f.flights, generation)
			f.mu.Unlock()
			close(fl.done)
		})
	}
	f.mu.Unlock()
	select {
	case <-fl.done:
		return fl.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// space reads a collection together with one of its generations that are fed; the live one where none is named.
func (f *Feed) space(ctx context.Context, id, generation string) (collection, error) {
	c, err := scanCollection(f.db.QueryRow(ctx, selectCollection+"WHERE c.id = ?", id))
	if err == nil && generation != "" && generation != c.generation && !c.deleted {
		c, err = scanCollection(f.db.QueryRow(ctx, selectBeside+"WHERE c.id = ? AND g.id = ?", id, generation))
		if db.IsNone(err) {
			return c, fault.New(fault.NotFound, "generation_not_found", "the collection %s has no generation %s that can be searched", id, generation)
		}
	}
	if db.IsNone(err) {
		return c, fault.New(fault.NotFound, "collection_not_found", "there is no collection %q", id)
	}
	if err != nil {
		return c, fmt.Errorf("read collection %s: %w", id, err)
	}
	return c, nil
}

// fly does what is to be done, once.
func (f *Feed) fly(ctx context.Context, collectionID, generation string) error {
	c, err := f.space(ctx, collectionID, generation)
	if err != nil {
		return err
	}
	if c.deleted {
		return f.dropAll(ctx, collectionID)
	}
	claim, err := f.index.Claim(ctx, c.generation)
	if err != nil {
		return fmt.Errorf("claim the index of collection %s: %w", c.name, err)
	}
	defer claim.Release()
	at, err := f.index.Sequence(ctx, c.generation)
	if err != nil {
		return fmt.Errorf("read the index's position: %w", err)
	}
	// Read again: the database only goes forward, so a position beyond this one is of another database, one that a
	// backup has since replaced.
	fresh, err := f.space(ctx, collectionID, generation)
	if err != nil {
		return err
	}
	if at > fresh.sequence {
		f.log.Warn("the index is ahead of the database and is built anew", "collection", c.name, "index", at, "database", fresh.sequence)
		if err := claim.Drop(ctx); err != nil {
			return fmt.Errorf("drop the index of collection %s: %w", c.name, err)
		}
		at = 0
	}
	switch {
	case at == fresh.sequence:
		return nil
	case at == 0:
		return f.rebuild(ctx, claim, fresh)
	}
	return f.follow(ctx, claim, fresh, at)
}

// follow applies the changes after the position, in order.
func (f *Feed) follow(ctx context.Context, claim index.Claim, c collection, at int64) error {
	b, deleted := f.batch(claim, c), false
	for at < c.sequence {
		rows, err := f.db.Query(ctx, "SELECT sequence, document_id, kind FROM changes WHERE collection_id = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT 256", c.id, at, c.sequence)
		if err != nil {
			return fmt.Errorf("read changes: %w", err)
		}
		last := map[string]int64{} // a document that changed often is read once
		var order []string
		first := at + 1
		for rows.Next() {
			var sequence int64
			var document, kind string
			if err := rows.Scan(&sequence, &document, &kind); err != nil {
				rows.Close()
				return fmt.Errorf("read changes: %w", err)
			}
			if sequence != at+1 {
				break
			}
			if last[document] == 0 {
				order = append(order, document)
			}
			at, last[document] = sequence, sequence
			deleted = deleted || kind == "delete"
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return fmt.Errorf("read changes: %w", err)
		}
		if at < first {
			f.log.Warn("the changes after the index's position are gone; the index is built anew", "collection", c.name, "position", at)
			return f.rebuild(ctx, claim, c)
		}
		for _, document := range order {
			if err := b.add(ctx, document); err != nil {
				return err
			}
		}
		if err := b.flush(ctx, at); err != nil {
			return err
		}
	}
	if deleted {
		f.Compacted(c.id, time.Now()) // asks for it: in every process that has an index, not only in the one that purges
	}
	return nil
}

// rebuild makes the space hold exactly the live documents. The position is recorded at the end: one that was cut short
// begins again.
func (f *Feed) rebuild(ctx context.Context, claim index.Claim, c collection) error {
	start, seen, after := time.Now(), map[string]bool{}, ""
	b := f.batch(claim, c)
	for {
		ids, err := column(f.db.Query(ctx, `SELECT id FROM documents WHERE collection_id = ? AND id > ? AND deleted_at IS NULL AND live_version_id IS NOT NULL
			ORDER BY id LIMIT 256`, c.id, after))
		if err != nil {
			return fmt.Errorf("list documents: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		for _, id := range ids {
			seen[id], after = true, id
			if err := b.add(ctx, id); err != nil {
				return err
			}
		}
	}
	if err := b.flush(ctx, 0); err != nil {
		return err
	}
	var orphans []index.Document
	for id, err := range f.index.Documents(ctx, c.generation) {
		if err != nil {
			return fmt.Errorf("list the index's documents: %w", err)
		}
		if !seen[id] {
			orphans = append(orphans, index.Document{ID: id})
		}
	}
	if err := claim.Replace(ctx, orphans, c.sequence); err != nil {
		return fmt.Errorf("feed the index of collection %s: %w", c.name, err)
	}
	f.log.Info("index built", "collection", c.name, "documents", len(seen), "orphans", len(orphans), "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// Count says how many entries of a document are left in the collection's spaces: the proof of its deletion.
func (f *Feed) Count(ctx context.Context, collectionID, documentID string) (int, error) {
	spaces, err := generations(ctx, f.db, collectionID)
	if err != nil {
		return 0, fmt.Errorf("list generations: %w", err)
	}
	sum := 0
	for _, space := range spaces {
		n, err := f.index.Count(ctx, space, documentID)
		if err != nil {
			return 0, fmt.Errorf("count a document's entries: %w", err)
		}
		sum += n
	}
	return sum, nil
}

func (f *Feed) dropAll(ctx context.Context, collectionID string) error {
	spaces, err := generations(ctx, f.db, collectionID)
	if err != nil {
		return fmt.Errorf("list generations: %w", err)
	}
	for _, space := range spaces {
		if err := f.index.Drop(ctx, space); err != nil {
			return fmt.Errorf("drop a space of collection %s: %w", collectionID, err)
		}
	}
	return nil
}
