package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/db"
	"airfield/internal/fault"
	"airfield/internal/journal"
)

const (
	writeFor   = 30 * time.Second // for one transaction
	lastPass   = 10 * time.Second // for what is left when Run is told to end
	backoffMin = 100 * time.Millisecond
	backoffMax = 5 * time.Second
)

// Lag is how far the database is behind the journal.
type Lag struct {
	Records int64         `json:"records"`           // of this process that are not in the database yet
	Age     time.Duration `json:"age_ns"`            // of the oldest record that waits
	Bytes   int64         `json:"journal_bytes"`     // the journal on disk
	Limit   int64         `json:"journal_limit"`     // at which calls are refused
	Failing string        `json:"failing,omitempty"` // why the last try to write failed
}

// Drain brings a journal into the database: every call exactly once, also across crashes, because how far it got moves
// in the transaction of the rows. Calls that a dead process left without an end become rows with the outcome "cut".
type Drain struct {
	journal *journal.Journal
	intake  *intake
	config  Config
	log     *slog.Logger
	born    uint64 // the first segment of this process: admissions before it are of dead ones
	settled func(context.Context) error

	mu       sync.Mutex
	flushers []*flusher
	wake     context.CancelFunc // ends the wait for records
	failing  string
	oldest   time.Time // of the batch that is being written

	drained atomic.Uint64 // records of this process that are in the database
}

type flusher struct {
	upTo journal.Position
	done chan struct{}
}

// NewDrain returns the drain of a journal that was just opened: call it before anything is appended. estimate may be nil;
// the bytes of a request then stand for its tokens, and its cost is unknown.
func NewDrain(d *db.DB, j *journal.Journal, c Config, estimate Estimator, log *slog.Logger, sinks ...Sink) *Drain {
	log = log.With("part", "observe")
	c.BatchCalls = max(1, c.BatchCalls)
	return &Drain{journal: j, intake: &intake{db: d, journalID: j.ID(), estimate: estimate, sinks: sinks, log: log}, config: c, log: log, born: j.Stats().Tail.Segment}
}

// OnSettled has fn called once the calls of all dead processes that this journal holds are in the database: nothing more
// will come of them. When it fails, it is called again. Call it before Run.
func (d *Drain) OnSettled(fn func(context.Context) error) { d.settled = fn }

// Run follows the journal until ctx ends, then brings in what is left, within ten seconds. While the database is away it
// keeps trying; the journal keeps what waits, also beyond the end of the process.
func (d *Drain) Run(ctx context.Context) error {
	write, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastPass, cancel) })
	defer stop()
	for pause := backoffMin; ; pause = min(2*pause, backoffMax) {
		before := d.drained.Load()
		err := d.follow(ctx, write)
		if err == nil || errors.Is(err, io.EOF) {
			return nil
		}
		if d.drained.Load() != before {
			pause = backoffMin
		}
		d.fail(err)
		if !errors.Is(err, errMoved) {
			d.log.Error("the call log cannot be written; calls wait in the journal", "again_in", pause.String(), "error", err)
		}
		select {
		case <-write.Done():
			d.log.Error("calls were left in the journal; the next start brings them in")
			return nil
		case <-time.After(pause):
		}
	}
}

func (d *Drain) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err.Error()
}

// follow drains from where the database says, until ctx ends and nothing is left, or something fails.
func (d *Drain) follow(ctx, write context.Context) error {
	if err := d.intake.load(write); err != nil {
		return err
	}
	d.trim()
	r := d.journal.Reader(d.intake.position)
	defer r.Close()
	for settled := false; ; {
		b, ending := d.intake.newBatch(), ctx.Err() != nil
		waiting, more, err := d.read(ctx, r, b, settled)
		if err != nil {
			return err
		}
		if !settled && (!more || b.next.Segment >= d.born) {
			settled = true
			d.intake.cut(b, func(a *admission) bool { return a.segment < d.born })
		}
		if err := d.write(write, b); err != nil {
			return err
		}
		if settled && d.settled != nil {
			if err := d.settled(write); err != nil {
				return fmt.Errorf("settle what dead processes left: %w", err)
			}
			d.settled = nil
		}
		d.release(waiting, more)
		if ending && !more {
			return nil
		}
	}
}

// read fills a batch. It waits for a first record, unless calls of dead processes must be settled first, and lingers for
// others to share the transaction, unless somebody waits in Flush. more says that there may be further records already.
func (d *Drain) read(ctx context.Context, r *journal.Reader, b *batch, settled bool) (waiting []*flusher, more bool, err error) {
	wait, wake := context.WithCancel(ctx)
	defer wake()
	d.mu.Lock()
	waiting = slices.Clone(d.flushers)
	d.wake = wake
	d.mu.Unlock()
	if len(waiting) > 0 {
		wake()
	}
	lingered := false
	for len(b.calls) < d.config.BatchCalls && b.records < 4*d.config.BatchCalls {
		record, next, ok, err := r.TryNext()
		switch {
		case err != nil:
			return nil, false, err
		case ok:
			d.add(b, record, next)
			continue
		case b.records == 0 && settled && wait.Err() == nil:
			if record, next, err = r.Next(wait); err == nil {
				d.add(b, record, next)
				continue
			} else if wait.Err() == nil {
				return nil, false, err
			}
		case b.records > 0 && wait.Err() == nil && !lingered:
			lingered = true
			select {
			case <-time.After(d.config.Linger):
			case <-wait.Done():
			}
			continue
		}
		return waiting, false, nil
	}
	return waiting, true, nil
}

func (d *Drain) add(b *batch, record []byte, next journal.Position) {
	d.intake.add(b, record, next)
	if next.Segment >= d.born {
		b.live++
	}
}

func (d *Drain) write(ctx context.Context, b *batch) error {
	if b.empty() {
		return nil
	}
	d.mu.Lock()
	d.oldest = b.oldest
	d.mu.Unlock()
	before := d.intake.position.Segment
	if err := d.intake.commit(ctx, b); err != nil {
		return err
	}
	d.drained.Add(b.live)
	d.mu.Lock()
	d.oldest, d.failing = time.Time{}, ""
	d.mu.Unlock()
	if before != b.next.Segment {
		d.trim()
	}
	return nil
}

func (d *Drain) trim() {
	if err := d.journal.Trim(d.intake.position); err != nil {
		d.log.Warn("the journal's space was not given back", "error", err)
	}
}

// release ends the waits in Flush. Without more, everything that was there before the batch was read is written.
func (d *Drain) release(waiting []*flusher, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range waiting {
		if !more || f.upTo.Compare(d.intake.position) <= 0 {
			close(f.done)
			d.drop(f)
		}
	}
}

// drop needs mu.
func (d *Drain) drop(f *flusher) {
	d.flushers = slices.DeleteFunc(d.flushers, func(g *flusher) bool { return g == f })
}

// Flush returns when everything that was appended before is in the database. Run must be running.
func (d *Drain) Flush(ctx context.Context) error {
	f := &flusher{upTo: d.journal.Stats().Tail, done: make(chan struct{})}
	d.mu.Lock()
	d.flushers = append(d.flushers, f)
	if d.wake != nil {
		d.wake()
	}
	d.mu.Unlock()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		d.mu.Lock()
		defer d.mu.Unlock()
		d.drop(f)
		if d.failing != "" {
			return fault.New(fault.Unavailable, "log_behind", "the call log is behind: %w", errors.New(d.failing)).Hinted("calls wait in the journal and are brought in when the database is back")
		}
		return context.Cause(ctx)
	}
}

// Lag says how far the database is behind.
func (d *Drain) Lag() Lag {
	s := d.journal.Stats()
	d.mu.Lock()
	defer d.mu.Unlock()
	l := Lag{Records: max(0, int64(s.Appended)-int64(d.drained.Load())), Bytes: s.Bytes, Limit: s.MaxBytes, Failing: d.failing}
	if !d.oldest.IsZero() {
		l.Age = max(0, time.Since(d.oldest))
	}
	return l
}
