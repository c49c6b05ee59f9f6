package observe

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

// Appender is the journal as the Recorder needs it.
type Appender interface {
	Append(record []byte) error
}

// Meter is told of every call that ended, for the metrics.
type Meter interface {
	Call(*llm.Call)
}

// Recorder puts calls and spans into the journal. It is on the way of every call: an append takes one encoding into
// a pooled buffer and no memory of its own.
type Recorder struct {
	journal Appender
	meter   Meter
	log     *slog.Logger
	buffers sync.Pool
	late    late
	lost    atomic.Int64 // spans that the journal did not take
	told    atomic.Int64 // when that was last logged
}

// NewRecorder returns a recorder over a journal; meter may be nil.
func NewRecorder(journal Appender, meter Meter, log *slog.Logger) *Recorder {
	log = log.With("part", "observe")
	return &Recorder{journal: journal, meter: meter, log: log, late: late{journal: journal, log: log}, buffers: sync.Pool{New: func() any {
		b := make(encoder, 0, 2048)
		return &b
	}}}
}

// Admit records that a call begins, with what is known of it; it must succeed before anything is sent upstream. What it
// says of usage and cost stands, as an estimate, for a call that our own death cuts off.
func (r *Recorder) Admit(c *llm.Call) error { return r.append(kindAdmit, c) }

// Finish records how a call ended; it must succeed before the client gets the last byte. Call it once for each Admit.
// While the journal is full, the end waits in memory for it: an error means that there is no room there either.
func (r *Recorder) Finish(c *llm.Call) error {
	err := r.append(kindFinish, c)
	if r.meter != nil {
		r.meter.Call(c)
	}
	return err
}

// Retry brings in at once what waits for a journal that was full, as far as it now takes it.
func (r *Recorder) Retry() { r.late.again() }

// Close ends the wait for a journal that is full. Close the journal after it.
func (r *Recorder) Close() error {
	r.late.close()
	return nil
}

func (r *Recorder) append(kind byte, c *llm.Call) error {
	b := r.buffers.Get().(*encoder)
	*b = (*b)[:0]
	b.call(kind, c)
	err := r.journal.Append(*b)
	if err != nil && kind == kindFinish && r.late.keep(*b, c.Outcome == llm.OK || len(c.Attempts) > 0) {
		err = nil
	}
	r.release(b)
	return err
}

// Span records a span that ended. A span that the journal does not take is lost and counted: no work fails for it.
func (r *Recorder) Span(s *telemetry.Span) {
	b := r.buffers.Get().(*encoder)
	*b = (*b)[:0]
	b.span(s)
	err := r.journal.Append(*b)
	r.release(b)
	if err == nil {
		return
	}
	lost, now, last := r.lost.Add(1), time.Now().Unix(), r.told.Load()
	if now-last >= 60 && r.told.CompareAndSwap(last, now) {
		r.log.Error("spans were lost: the journal does not take them", "lost", lost, "error", err)
	}
}

// release keeps a buffer for the next call, unless an unusual one made it large.
func (r *Recorder) release(b *encoder) {
	if cap(*b) <= 64<<10 {
		r.buffers.Put(b)
	}
}
