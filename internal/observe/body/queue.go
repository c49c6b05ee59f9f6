package body

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/llm"
)

// queue is what was handed over and not worked on yet. It is bounded by bytes, not by number.
type queue struct {
	bytes  atomic.Int64 // of what is on its way, until it is in a frame
	mu     sync.Mutex
	list   []handed
	closed bool
}

// handed is an exchange that begins or ends.
type handed struct {
	e    *llm.Exchange
	end  bool
	room int // to give back once it is worked on
}

// overhead is memory that an exchange takes besides its bytes.
const overhead = 512

// Most is how much of a request or an answer is kept.
func (s *Store) Most() int { return int(s.config.MaxBytes) }

// Begin takes a request, fills in until when it is kept, and says what becomes of it: kept, none or dropped.
func (s *Store) Begin(e *llm.Exchange) string {
	mode, lasts := s.config.Mode, s.config.Keep
	if e.Mode != "" {
		mode = e.Mode
	}
	if mode == none {
		return llm.BodiesNone
	}
	if e.Keep > 0 {
		lasts = e.Keep
	}
	if lasts > 0 {
		day := time.Now().UTC().Truncate(24 * time.Hour)
		e.Until = day.Add(24*time.Hour + lasts)
	}
	room := len(e.Request) + overhead
	if !s.room(room) || !s.queue.put(handed{e: e, room: room}) {
		return llm.BodiesDropped
	}
	return llm.BodiesKept
}

// Room takes room for so many bytes of an answer.
func (s *Store) Room(n int) bool { return s.room(n) }

func (s *Store) room(n int) bool {
	reason := ""
	switch {
	case s.spool.full(s.config.SpoolBytes):
		reason = "disk"
	case s.queue.bytes.Add(int64(n)) > s.config.QueueBytes:
		s.queue.bytes.Add(-int64(n))
		reason = "memory"
	default:
		return true
	}
	s.Dropped(reason)
	s.failed.say(s.Log, "bodies are dropped: there is no room for what is on its way", "in", reason)
	return false
}

// End takes the answer of an exchange that was begun, and the room that was taken for it.
func (s *Store) End(e *llm.Exchange, room int) {
	if !s.queue.put(handed{e: e, end: true, room: room}) {
		s.queue.bytes.Add(-int64(room))
	}
}

func (q *queue) put(h handed) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.list = append(q.list, h)
	return true
}

// take returns what is there, in exchange for an empty list to fill.
func (q *queue) take(empty []handed) []handed {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = empty[:0]
	return list
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// complaint says something at most once a minute.
type complaint struct{ last atomic.Int64 }

func (c *complaint) say(log *slog.Logger, text string, args ...any) {
	now, last := time.Now().Unix(), c.last.Load()
	if now-last >= 60 && c.last.CompareAndSwap(last, now) {
		log.Error(text, args...)
	}
}
