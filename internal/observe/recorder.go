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
	lost    atomic.Int64 // spans that the journal did not take
	told    atomic.Int64 // when that was last logged
}

// NewRecorder returns a recorder over a journal; meter may be nil.
func NewRecorder(journal Appender, meter Meter, log *slog.Logger) *Recorder {
	return &Recorder{journal: journal, meter: meter, log: log.With("part", "observe"), buffers: sync.Pool{New: func() any {
		b := make(encoder, 0, 2048)
		return &b
	}}}
}

// Admit records that a call begins, with what is known of it; it must succeed before anything is sent upstream. What it
// says of usage and cost stands, as an estimate, for a call that our own death cuts off.
func (r *Recorder) Admit(c *llm.Call) error { return r.append(kindAdmit, c) }

// Finish records how a call ended; it must succeed before the client gets the last byte. Call it once for each Admit.
func (r *Recorder) Finish(c *llm.Call) error {
	err := r.append(kindFinish, c)
	if r.meter != nil {
		r.meter.Call(c)
	}
	return err
}

func (r *Recorder) append(kind byte, c *llm.Call) error {
	b := r.buffers.Get().(*encoder)
	*b = (*b)[:0]
	b.call(kind, c)
	err := r.journal.Append(*b)
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
