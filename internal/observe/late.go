package observe

import (
	"bytes"
	"log/slog"
	"sync"
	"time"
)

const (
	lateEvery  = 200 * time.Millisecond
	maxLate    = 16 << 20 // bytes of ends that wait
	maxRefused = maxLate / 2
)

// late holds the ends of calls that the journal did not take, because it or its disk is full, until it does. A process
// that dies meanwhile leaves their admissions, from which the next start makes rows with an estimate.
type late struct {
	journal Appender
	log     *slog.Logger

	mu     sync.Mutex
	ends   [][]byte // in the order in which they came
	bytes  int
	timer  *time.Timer // nil while nothing waits
	closed bool
}

// keep takes a record in, unless too much waits; of calls that brought nothing only half as much may.
func (l *late) keep(record []byte, served bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := maxLate
	if !served {
		most = maxRefused
	}
	if l.closed || l.bytes+len(record) > most {
		return false
	}
	l.ends = append(l.ends, bytes.Clone(record))
	l.bytes += len(record)
	if l.timer == nil {
		l.timer = time.AfterFunc(lateEvery, l.again)
		l.log.Warn("the journal does not take the ends of calls: they wait in memory")
	}
	return true
}

// again tries to bring in what waits, and comes back for what is left.
func (l *late) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil || l.closed {
		return
	}
	if l.bring(); len(l.ends) > 0 {
		l.timer.Reset(lateEvery)
		return
	}
	l.timer = nil
	l.log.Info("the journal has taken the ends of all calls")
}

// bring appends what waits, as far as the journal takes it.
func (l *late) bring() {
	n := 0
	for n < len(l.ends) && l.journal.Append(l.ends[n]) == nil {
		l.bytes -= len(l.ends[n])
		n++
	}
	if l.ends = l.ends[n:]; len(l.ends) == 0 {
		l.ends = nil
	}
}

// close tries once more.
func (l *late) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer == nil {
		return
	}
	l.timer.Stop()
	if l.bring(); len(l.ends) > 0 {
		l.log.Error("the ends of calls could not be written down: they will be counted by their estimates", "calls", len(l.ends))
	}
}
