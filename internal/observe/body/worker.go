package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	gohash "hash"
	"time"

	"airfield/internal/llm"
)

const (
	tickEvery  = 100 * time.Millisecond
	linger     = 500 * time.Millisecond // that a frame waits for more to share it; what a killed process loses
	patience   = time.Second            // after which the request of a call that goes on is written down by itself
	frameBytes = 128 << 10              // at which a frame is written
	blockBytes = 1 << 20                // at which a block goes to the bucket
	smallPiece = 64                     // bytes below which a reference is not worth it
	knownMost  = 32 << 10               // pieces, in each of two generations, that are known to be there
	idleClass  = time.Hour
)

// worker writes what was handed over. It is one goroutine.
type worker struct {
	s       *Store
	coder   *coder
	classes map[time.Time]*class
	begun   map[*llm.Exchange]*begun
	list    []handed // that is worked on, from next on
	next    int
	hasher  gohash.Hash
	stuck   time.Time // since when the disk does not take what is to be written; zero: it does
	retry   time.Time
}

// begun is an exchange whose answer is to come.
type begun struct {
	at      time.Time
	room    int
	written bool // its request is
}

// class is what is written for one end of its time: a block that grows, and the pieces that are known to be in this one
// and those before it, which live exactly as long.
type class struct {
	until        time.Time
	known, older map[hash]place
	block        *block
	raw          []byte // the frame to come
	rows         []row  // of what is in it
	since        time.Time
	used         time.Time
}

// asking is a wish that what was handed over be on disk, and the blocks that are open sealed.
type asking struct {
	seal bool
	done chan error
}

func newWorker(s *Store) *worker {
	return &worker{s: s, coder: newCoder(), classes: map[time.Time]*class{}, begun: map[*llm.Exchange]*begun{}, hasher: sha256.New()}
}

func (w *worker) run(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if now.After(w.retry) {
				w.failed(w.pass(now))
			}
		case a := <-w.s.ask:
			err := w.all(a.seal)
			w.failed(err)
			a.done <- err
		}
	}
}

// failed waits a little before the disk is asked again.
func (w *worker) failed(err error) {
	if err == nil {
		if !w.stuck.IsZero() {
			w.s.Log.Info("the disk takes bodies again", "after", time.Since(w.stuck).Round(time.Second).String())
		}
		w.stuck, w.retry = time.Time{}, time.Time{}
		return
	}
	if w.stuck.IsZero() {
		w.stuck = time.Now()
	}
	w.retry = time.Now().Add(time.Second)
	w.s.failed.say(w.s.Log, "bodies cannot be written; it is tried again every second, and what finds no room meanwhile is dropped", "error", err)
}

// pass works on what was handed over, and writes what has waited long enough.
func (w *worker) pass(now time.Time) error {
	if err := w.drain(now); err != nil {
		return err
	}
	for e, b := range w.begun {
		if !b.written && now.Sub(b.at) >= patience {
			if err := w.write(e, request, now); err != nil {
				return err
			}
			b.written = true
			w.release(&b.room)
		}
	}
	for key, c := range w.classes {
		if len(c.raw) > 0 && now.Sub(c.since) >= linger {
			if err := w.flush(c); err != nil {
				return err
			}
		}
		switch {
		case c.block != nil && len(c.raw) == 0 && now.Sub(c.block.born) >= w.s.config.SealAfter:
			if err := w.seal(c); err != nil {
				return err
			}
		case c.block == nil && now.Sub(c.used) >= idleClass:
			delete(w.classes, key)
		}
	}
	return nil
}

// all works on everything now.
func (w *worker) all(seal bool) error {
	if err := w.drain(time.Now()); err != nil {
		return err
	}
	for _, c := range w.classes {
		if err := w.flush(c); err != nil {
			return err
		}
		if seal && c.block != nil {
			if err := w.seal(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish works on everything for the last time, and returns how many exchanges are left because the disk fails.
func (w *worker) finish() (left int) {
	err := w.drain(time.Now())
	for e, b := range w.begun { // calls that were not waited for
		if err == nil && !b.written {
			err = w.write(e, request, time.Now())
		}
		if err != nil {
			left++
		}
	}
	if err == nil {
		err = w.all(true)
	}
	if err == nil {
		return 0
	}
	left += len(w.list) - w.next
	for _, c := range w.classes {
		left += len(c.rows)
	}
	return left
}

func (w *worker) drain(now time.Time) error {
	for {
		for w.next < len(w.list) {
			if err := w.work(w.list[w.next], now); err != nil {
				return err
			}
			w.list[w.next] = handed{}
			w.next++
		}
		if w.list, w.next = w.s.queue.take(w.list), 0; len(w.list) == 0 {
			return nil
		}
	}
}

func (w *worker) work(h handed, now time.Time) error {
	if !h.end {
		w.begun[h.e] = &begun{at: now, room: h.room}
		return nil
	}
	b := w.begun[h.e]
	if b == nil {
		return nil
	}
	what := request | answer
	if b.written {
		what = answer
	}
	if h.e.Answer == nil && h.e.AnswerSize > 0 {
		what &^= answer
	}
	if what != 0 {
		if err := w.write(h.e, what, now); err != nil {
			return err
		}
	}
	delete(w.begun, h.e)
	w.release(&b.room)
	w.release(&h.room)
	return nil
}

func (w *worker) release(room *int) {
	w.s.queue.bytes.Add(-int64(*room))
	*room = 0
}

// write puts a record into the frame to come, and the frame into the block where it is full. After an error nothing of
// the record was taken in.
func (w *worker) write(e *llm.Exchange, what int, now time.Time) error {
	c := w.classes[e.Until]
	if c == nil {
		c = &class{until: e.Until, known: map[hash]place{}}
		w.classes[e.Until] = c
	}
	c.used = now
	if len(c.raw) >= frameBytes {
		if err := w.flush(c); err != nil {
			return err
		}
	}
	if c.block != nil && c.block.size >= blockBytes && len(c.raw) == 0 {
		if err := w.seal(c); err != nil {
			return err
		}
	}
	if c.block == nil {
		b, err := w.s.spool.create(w.s.Dir, e.Until, now)
		if err != nil {
			return err
		}
		c.block = b
	}
	if len(c.raw) == 0 {
		c.since = now
	}
	rec := record{callID: e.CallID, what: what}
	red := w.redactor(e.Workflow)
	if red != nil {
		rec.redaction = red.Version()
	}
	p := pieces{worker: w, class: c, redactor: red, scope: scope(e, rec.redaction)}
	if what&request != 0 {
		rec.bodies = append(rec.bodies, p.recipe(e.Request, e.RequestSize, "application/json"))
	}
	if what&answer != 0 {
		rec.bodies = append(rec.bodies, p.recipe(e.Answer, e.AnswerSize, e.AnswerType))
	}
	at := len(c.raw)
	c.raw, _ = entry(c.raw, entryCall, rec.encode(nil))
	c.rows = append(c.rows, row{callID: e.CallID, what: what, frame: c.block.size, at: at})
	return nil
}

func (w *worker) redactor(workflow string) Redactor {
	if w.s.Redact == nil {
		return nil
	}
	return w.s.Redact(workflow)
}

// flush writes the frame. Where the disk does not take it, it stays and is tried again.
func (w *worker) flush(c *class) error {
	if len(c.raw) == 0 {
		return nil
	}
	if err := w.s.spool.append(c.block, w.coder.frame(c.raw), c.rows); err != nil {
		return err
	}
	c.raw, c.rows = c.raw[:0], nil
	if cap(c.raw) > 4*frameBytes {
		c.raw = nil
	}
	return nil
}

func (w *worker) seal(c *class) error {
	if err := w.s.spool.seal(c.block); err != nil {
		return err
	}
	c.block = nil
	return nil
}

// scope keeps what is known apart: of what one workflow said another never refers to.
func scope(e *llm.Exchange, redaction string) []byte {
	b := make([]byte, 0, 128)
	for _, text := range [...]string{e.Environment, e.Workflow, redaction} {
		b = append(append(b, text...), 0)
	}
	return b
}

// pieces makes recipes of bodies.
type pieces struct {
	*worker
	class    *class
	redactor Redactor
	scope    []byte
}

func (p *pieces) recipe(body []byte, size int64, media string) recipe {
	r := recipe{size: size, media: media, truncated: size > int64(len(body))}
	if r.truncated {
		body = cutBack(body)
	}
	if l, ok := split(body); ok && !r.truncated {
		rest := p.redact(append(bytes.Clone(l.before), l.after...))
		if at, ok := l.hole(rest); ok {
			r.parts = append(r.parts, part{plain: rest[:at]})
			for i, item := range l.items {
				r.parts = append(r.parts, p.piece(item))
				if i < len(l.gaps) {
					r.parts = append(r.parts, part{plain: l.gaps[i]})
				}
			}
			r.parts = append(r.parts, part{plain: rest[at:]})
			return r
		}
	}
	r.parts = append(r.parts, p.piece(body))
	return r
}

// cutBack takes the last word of a beginning away: cut in two, a secret would not be recognised.
func cutBack(b []byte) []byte {
	const most = 1 << 10
	if i := bytes.LastIndexAny(b[max(0, len(b)-most):], " \n\t,"); i >= 0 {
		return b[:max(0, len(b)-most)+i]
	}
	return b[:max(0, len(b)-most)]
}

func (p *pieces) redact(b []byte) []byte {
	switch {
	case p.redactor == nil:
		return b
	case bytes.HasPrefix(b, []byte("data:")) || bytes.HasPrefix(b, []byte("event:")) || bytes.HasPrefix(b, []byte(":")):
		return redactStream(p.redactor, b)
	}
	return p.redactor.JSON(nil, b)
}

// piece refers to b where it is there already, and otherwise puts it there, redacted.
func (p *pieces) piece(b []byte) part {
	if len(b) < smallPiece {
		return part{plain: p.redact(b)}
	}
	c := p.class
	key := p.sum(p.scope, b)
	if there, ok := c.known[key]; ok {
		return part{piece: &there}
	}
	there, ok := c.older[key]
	if !ok {
		clean := p.redact(b)
		var at int
		c.raw, at = entry(c.raw, entryPiece, clean)
		there = place{block: c.block.id, frame: c.block.size, at: at, size: len(clean), sum: p.sum(nil, clean)}
	}
	if len(c.known) >= knownMost {
		c.older, c.known = c.known, make(map[hash]place, knownMost)
	}
	c.known[key] = there
	return part{piece: &there}
}

func (w *worker) sum(scope, b []byte) (h hash) {
	var full [sha256.Size]byte
	w.hasher.Reset()
	w.hasher.Write(scope)
	w.hasher.Write(b)
	copy(h[:], w.hasher.Sum(full[:0]))
	return h
}
