package postgres

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

const (
	defaultInterval = 5 * time.Minute
	wholeInterval   = time.Hour // where changes are read between two comparisons of the whole
	defaultPoll     = time.Second
	afterFailure    = 5 * time.Second
	look            = 2 * time.Second // between two looks for a confirmation, and at who reads the slot
	lookAtSlot      = 30 * time.Second
	share           = 20 // what is read comes again after this many times its own duration
)

// keeper keeps a collection in line with one table.
type keeper struct {
	library source.Library
	table   *Table
	id      ingest.Source // as it was when the keeper began: names and configuration
	woken   <-chan struct{}
	log     *slog.Logger

	removed int       // by parts, since the whole was compared last
	due     time.Time // when the whole is compared next
	told    string    // the trouble that is in the state
}

// Run keeps a collection in line with a table or a query until ctx ends.
func Run(ctx context.Context, library source.Library, s ingest.Source, woken <-chan struct{}, log *slog.Logger) {
	log = log.With("collection", s.Collection, "source", s.Name)
	t := New(s.Config)
	defer t.Close()
	c := s.Config.SQL
	if c.Cursor == "" && c.Replication == nil {
		if s.Config.Interval <= 0 {
			s.Config.Interval = defaultInterval
		}
		source.Loop{Library: library, Backend: t, Source: s, Changed: woken, Settle: time.Second, Log: log}.Run(ctx)
		return
	}
	if s.Config.Interval <= 0 {
		s.Config.Interval = wholeInterval
	}
	k := &keeper{library: library, table: t, id: s, woken: woken, log: log}
	session := k.poll
	if c.Replication != nil {
		session = k.follow
	}
	for ctx.Err() == nil {
		err := session(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := look
		if !errors.Is(err, errTaken) {
			wait = afterFailure
			k.trouble(ctx, err)
		}
		k.pause(ctx, wait)
	}
}

// pause waits, and not for events: what makes it wait is trouble.
func (k *keeper) pause(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// current is the source as it is now.
func (k *keeper) current(ctx context.Context) (ingest.Source, error) {
	return k.library.GetSource(ctx, k.id.CollectionID, k.id.Name)
}

// unread begins what is said of a table that cannot be read.
const unread = "changes are not read: "

// trouble writes what is wrong into the source's state, once. What is held back stays so.
func (k *keeper) trouble(ctx context.Context, err error) {
	text := unread + tell(err)
	if text != k.told {
		k.log.Warn("a source needs attention", "message", text)
	}
	k.state(ctx, ingest.SourceWarning, text)
}

// state writes a state and a message, unless documents are held back, which is what has to be seen then.
func (k *keeper) state(ctx context.Context, state, message string) {
	if k.told == message && message != "" {
		return
	}
	src, err := k.current(ctx)
	if err != nil || src.State == ingest.SourceHeld || (src.State == state && src.Message == message) {
		return
	}
	src.State, src.Message = state, message
	if k.library.SaveSource(ctx, src) == nil {
		k.told = message
	}
}

// well takes back what trouble said. What else is said stays until the whole was compared.
func (k *keeper) well(ctx context.Context) {
	if strings.HasPrefix(k.told, unread) {
		k.state(ctx, ingest.SourceOK, "")
		k.told = ""
	}
}

// whole compares the whole table. Where the table cannot be read the error says so, after the state did.
func (k *keeper) whole(ctx context.Context) error {
	began := time.Now()
	report, err := source.Scan(ctx, k.library, k.table, k.id.CollectionID, k.id.Name)
	if err != nil {
		return err
	}
	took := time.Since(began)
	k.due = time.Now().Add(max(k.id.Config.Interval, share*took))
	k.tell(report)
	switch {
	case report.State == ingest.SourceHeld:
		k.log.Warn("a source needs attention", "state", report.State, "message", report.Message)
	case report.Away:
		return fault.New(fault.Unavailable, "sql_away", "%s", report.Message)
	default:
		k.removed = 0
	}
	k.told = ""
	if report.Unsettled > 0 {
		k.due = time.Now().Add(look)
	}
	return nil
}

func (k *keeper) tell(r source.Report) {
	if r.Added+r.Changed+r.Removed > 0 {
		k.log.Info("a source changed", "added", r.Added, "changed", r.Changed, "removed", r.Removed)
	}
}

// apply brings some rows in line, and compares the whole where a part is not enough.
func (k *keeper) apply(ctx context.Context, p source.Part) error {
	src, err := k.current(ctx)
	if err != nil {
		return err
	}
	report, held, err := source.Apply(ctx, k.library, k.table, src, p, k.removed)
	if err != nil {
		return err
	}
	k.removed += report.Removed
	k.tell(report)
	if report.Failed > 0 {
		k.state(ctx, ingest.SourceWarning, report.Message)
	}
	if report.Unsettled > 0 { // a row changed while it was read: its next change comes, but is waited for no longer than this
		k.due = minTime(k.due, time.Now().Add(look))
	}
	if held && src.State != ingest.SourceHeld {
		return k.whole(ctx)
	}
	return nil
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// dueAfter is when the whole has to be compared that was compared before this process began.
func (k *keeper) dueAfter(src ingest.Source) time.Time {
	if src.State != ingest.SourceOK {
		return time.Time{}
	}
	return src.ScannedAt.Add(k.id.Config.Interval)
}

// poll reads rows with new cursors until something goes wrong.
func (k *keeper) poll(ctx context.Context) error {
	every := k.table.config.Poll
	if every <= 0 {
		every = defaultPoll
	}
	types, err := k.table.check(ctx)
	if err != nil {
		return err
	}
	root, err := k.table.root(ctx)
	if err != nil {
		return err
	}
	src, err := k.current(ctx)
	if err != nil {
		return err
	}
	was, _, ok := k.table.marked(src.Cursor)
	if k.due.IsZero() {
		k.due = k.dueAfter(src)
	}
	if !ok || was != root {
		k.due = time.Now()
	}
	for {
		began := time.Now()
		if src, err = k.current(ctx); err != nil {
			return err
		}
		was, at, ok := k.table.marked(src.Cursor)
		switch {
		case src.Held.Confirmed, !time.Now().Before(k.due):
			if err := k.whole(ctx); err != nil {
				return err
			}
		case ok && was == root:
			newest, err := k.table.recent(ctx, types[k.table.config.Cursor], at, func(entries []source.Entry) error {
				return k.apply(ctx, source.Part{Entries: entries})
			})
			if err != nil {
				return err
			}
			if newest != at { // what came with it is durable
				if err := k.library.SaveCursor(ctx, src.ID, source.Remember(root, k.table.mark(newest))); err != nil {
					return err
				}
			}
			k.well(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(every, share*time.Since(began))):
		case <-k.woken:
			if !ok {
				k.due = time.Now()
			}
		}
	}
}

// errTaken says that another process reads the slot: there is nothing to do but to wait for it to end.
var errTaken = errors.New("another process reads the slot")

// follow reads the slot until something goes wrong.
func (k *keeper) follow(ctx context.Context) error {
	if err := k.table.ready(ctx); err != nil {
		return err
	}
	if _, err := k.table.check(ctx); err != nil {
		return err
	}
	root, err := k.table.root(ctx)
	if err != nil {
		return err
	}
	have, err := k.table.slot(ctx)
	if err != nil {
		return err
	}
	if have.active {
		return errTaken
	}
	src, err := k.current(ctx)
	if err != nil {
		return err
	}
	was, text, known := k.table.marked(src.Cursor)
	at, err := place(text)
	known = known && err == nil && was == root
	gone := "" // what is said of a slot that did not keep what we had not read
	switch {
	case known && !have.there:
		gone = "was gone"
	case have.lost:
		gone = "was lost: the database had dropped the log that it needed"
	case known && have.confirmed > at:
		gone = "was read by somebody else"
	}
	if !have.there || have.lost {
		// First the place is forgotten: after a crash the new slot is one that nothing was compared with.
		if err := k.library.SaveCursor(ctx, src.ID, was); err != nil {
			return err
		}
		known = false
		if err := k.table.makeSlot(ctx, have.lost); err != nil {
			if code(err) == codeExists {
				return errTaken
			}
			return err
		}
		if have, err = k.table.slot(ctx); err != nil {
			return err
		}
	}
	s, err := k.table.follow(ctx)
	if err != nil {
		if code(err) == codeInUse {
			return errTaken
		}
		return err
	}
	reading, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.run(reading) }()
	defer func() {
		stop()
		if !k.stopped(ended) {
			k.log.Warn("a replication stream did not end in time")
		}
		s.close()
	}()
	if gone != "" {
		k.log.Warn("a replication slot did not keep all changes: the whole table is compared", "slot", k.table.config.Replication.Slot, "it", gone)
	}
	if !known || gone != "" {
		if err := k.whole(ctx); err != nil {
			return err
		}
		if err := k.remember(ctx, have.confirmed); err != nil {
			return err
		}
		if gone != "" {
			k.state(ctx, ingest.SourceOK, "the slot "+k.table.config.Replication.Slot+" "+gone+"; the whole table was compared again")
			k.told = ""
		}
	} else if k.due.IsZero() {
		k.due = k.dueAfter(src)
	}
	return k.changes(ctx, s, ended)
}

// codeExists is the database's code for a slot that somebody has made meanwhile.
const codeExists = "42710"

// stopped waits for the stream's end, which the end of its context brings about at once.
func (k *keeper) stopped(ended chan error) bool {
	select {
	case err := <-ended:
		ended <- err
		return true
	case <-time.After(afterFailure):
		return false
	}
}

// changes takes what the stream tells until it ends.
func (k *keeper) changes(ctx context.Context, s *stream, ended chan error) error {
	k.well(ctx)
	again := time.NewTicker(look)
	defer again.Stop()
	slotAt := time.Now().Add(lookAtSlot)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			ended <- err
			return err
		case <-k.woken:
			k.due = time.Now()
		case <-again.C:
			src, err := k.current(ctx)
			if err != nil {
				return err
			}
			if src.Held.Confirmed {
				k.due = time.Now()
			}
			if time.Now().After(slotAt) {
				slotAt = time.Now().Add(lookAtSlot)
				if err := k.watch(ctx); err != nil {
					return err
				}
			}
		case <-s.notify:
			if err := k.batch(ctx, s); err != nil {
				return err
			}
		}
		if !time.Now().Before(k.due) {
			if err := k.whole(ctx); err != nil {
				return err
			}
		}
	}
}

// batch brings in what was touched, notes how far that is, and lets the database drop its log up to there: in this order.
func (k *keeper) batch(ctx context.Context, s *stream) error {
	b := s.take()
	if b.whole {
		if err := k.whole(ctx); err != nil {
			return err
		}
	}
	var gone []string
	for part := range slices.Chunk(slices.Sorted(maps.Keys(b.keys)), atOnce) {
		rows, err := k.table.fetch(ctx, part)
		if err != nil {
			return err
		}
		p := source.Part{}
		for _, key := range part {
			if r, there := rows[key]; there {
				p.Entries = append(p.Entries, r.entry)
			} else {
				gone = append(gone, key)
			}
		}
		if err := k.apply(ctx, p); err != nil {
			return err
		}
	}
	if len(gone) > 0 { // all together, so that many are seen to be many
		if err := k.apply(ctx, source.Part{Gone: gone}); err != nil {
			return err
		}
	}
	if err := k.remember(ctx, b.at); err != nil {
		return err
	}
	s.confirm(b.at)
	return nil
}

// remember keeps a place in the log, and lets the table be the one that was compared last: where another in its stead
// is held back, it stays another.
func (k *keeper) remember(ctx context.Context, at uint64) error {
	src, err := k.current(ctx)
	if err != nil {
		return err
	}
	root, _ := source.Remembered(src.Cursor)
	return k.library.SaveCursor(ctx, src.ID, source.Remember(root, k.table.mark(placeText(at))))
}

const tooSlow = " of the database's log: what changes is taken in too slowly, or a transaction is open for long"

// watch says so where the slot keeps too much of the database's log.
func (k *keeper) watch(ctx context.Context) error {
	have, err := k.table.slot(ctx)
	if err != nil {
		return err
	}
	if have.retained > heldLog {
		k.state(ctx, ingest.SourceWarning, "the slot "+k.table.config.Replication.Slot+" keeps "+size(have.retained)+tooSlow)
	} else if strings.HasSuffix(k.told, tooSlow) {
		k.state(ctx, ingest.SourceOK, "")
		k.told = ""
	}
	return nil
}

// Reach reports whether the rows can be read, and the changes followed.
func Reach(ctx context.Context, c ingest.SourceConfig) (detail string, err error) {
	t := New(c)
	defer t.Close()
	if _, err := t.check(ctx); err != nil {
		return "", err
	}
	if _, _, err := t.one(ctx, "read the rows", "SELECT * FROM "+t.from+" LIMIT 0"); err != nil {
		return "", err
	}
	r := c.SQL.Replication
	if r == nil {
		return "the rows can be read", nil
	}
	if err := t.ready(ctx); err != nil {
		return "", fault.New(fault.KindOf(err), "sql_replication", "%s", tell(err))
	}
	have, err := t.slot(ctx)
	switch {
	case err != nil:
		return "", err
	case !have.there:
		return "the rows can be read; the slot " + r.Slot + " will be made", nil
	case have.lost:
		return "", fault.New(fault.Conflict, "sql_slot", "the slot %s is lost; it is made anew, and the whole table compared, when a worker starts", r.Slot)
	case have.retained > heldLog:
		return "", fault.New(fault.Conflict, "sql_slot", "the slot %s keeps %s of the database's log: start a worker that reads it, or drop it with SELECT pg_drop_replication_slot('%s')", r.Slot, size(have.retained), r.Slot)
	}
	return "the rows can be read, and the slot " + r.Slot + " is there", nil
}
