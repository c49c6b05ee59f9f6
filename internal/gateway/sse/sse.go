// Package sse takes a stream of server-sent events apart without copying it: every event comes with its bytes as they
// came, so that the gateway can pass them on, and with its data, so that it can look into them.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
package sse

import (
	"bytes"
	"errors"
	"io"
)

// MaxEvent is the size up to which an event is looked into. A larger one is passed on in parts.
const MaxEvent = 1 << 20

const (
	firstBuffer = 16 << 10
	keepBuffer  = 64 << 10
)

// Event is one event, or a part of one that is too large. Its bytes are valid until the next Fill.
type Event struct {
	Raw     []byte // everything, with the blank line that ends it
	Data    []byte // of the data fields, joined by line feeds; nil where there is none, and for parts
	Part    bool
	Unended bool // the stream ended before the blank line, which was put there by us
}

// Reader reads events. The events that were seen are passed on by Ready, or withheld by Hold.
type Reader struct {
	Most int // the size up to which events are looked into, set after Reset; 0 is MaxEvent

	src     io.Reader
	buf     []byte
	from    int // of what was seen and neither taken nor withheld
	event   int // of the event seen last
	next    int // of the first event that was not seen
	looked  int // no event ends before it
	line    int // where the line begins that looked is in
	joined  []byte
	size    int64
	inside  bool
	midline bool // the line at r.line is the rest of one whose beginning was given out
	unended bool
	came    int // what of the buffer came from the stream, where its end was put there by us
}

// NewReader returns a reader without a stream.
func NewReader() *Reader { return &Reader{} }

// Reset makes the reader ready for a stream, or without one lets go of the last.
func (r *Reader) Reset(src io.Reader) {
	buf, joined := r.buf[:0], r.joined[:0]
	if cap(buf) > keepBuffer || cap(joined) > keepBuffer {
		buf, joined = nil, nil
	}
	*r = Reader{src: src, buf: buf, joined: joined}
}

// Fill reads once from the stream. Its error is the stream's, io.EOF at the end; events may have come with it.
func (r *Reader) Fill() error {
	if r.from > 0 {
		n := copy(r.buf, r.buf[r.from:])
		r.buf = r.buf[:n]
		r.event, r.next, r.looked, r.line = r.event-r.from, r.next-r.from, r.looked-r.from, r.line-r.from
		r.from = 0
	}
	if len(r.buf) == cap(r.buf) {
		larger := make([]byte, len(r.buf), max(firstBuffer, 2*cap(r.buf)))
		copy(larger, r.buf)
		r.buf = larger
	}
	n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	r.size += int64(n)
	if errors.Is(err, io.EOF) && r.next < len(r.buf) && !r.inside && !r.ends() {
		r.unended, r.came = true, len(r.buf)
		if r.buf[len(r.buf)-1] != '\n' {
			r.buf = append(r.buf, '\n')
		}
		r.buf = append(r.buf, '\n')
	}
	return err
}

func (r *Reader) most() int {
	if r.Most > 0 {
		return r.Most
	}
	return MaxEvent
}

// ends reports whether the buffer ends with an event's end.
func (r *Reader) ends() bool {
	return bytes.HasSuffix(r.buf, []byte("\n\n")) || bytes.HasSuffix(r.buf, []byte("\n\r\n"))
}

// Begun reports whether an event, or a part of one that is too large, came from the stream. An event that the stream's
// end cut off is none.
func (r *Reader) Begun() bool {
	b := r.buf
	if r.unended {
		b = b[:r.came]
	}
	return len(b) >= r.most() || bytes.Contains(b, []byte("\n\n")) || bytes.Contains(b, []byte("\n\r\n"))
}

// Next returns the next event that is complete, or the next part of one that is too large; false until the next Fill.
func (r *Reader) Next() (Event, bool) {
	for {
		i := bytes.IndexByte(r.buf[r.looked:], '\n')
		if i < 0 {
			r.looked = len(r.buf)
			return r.part()
		}
		end := r.looked + i + 1
		blank := !r.midline && len(trim(r.buf[r.line:end])) == 0
		r.looked, r.line, r.midline = end, end, false
		if !blank {
			continue
		}
		e := r.take(end)
		if r.inside {
			r.inside, e.Part = false, true
			return e, true
		}
		e.Data = r.data(e.Raw)
		e.Unended = r.unended && end == len(r.buf)
		return e, true
	}
}

// part gives out what there is of an event that is, or has become, too large.
func (r *Reader) part() (Event, bool) {
	if r.next == len(r.buf) || (!r.inside && len(r.buf)-r.next < r.most()) {
		return Event{}, false
	}
	// A line end at the end is kept back: with the next byte it may be the end of the event.
	end := len(r.buf)
	for end > r.next && (r.buf[end-1] == '\n' || r.buf[end-1] == '\r') {
		end--
	}
	if end == r.next {
		return Event{}, false
	}
	r.inside = true
	e := r.take(end)
	if r.line < end {
		r.line, r.midline = end, true
	}
	e.Part = true
	return e, true
}

func (r *Reader) take(end int) Event {
	r.event = r.next
	r.next = end
	return Event{Raw: r.buf[r.event:end]}
}

// Hold withholds the event that Next returned last, and returns those before it as Ready does.
func (r *Reader) Hold() []byte {
	b := r.buf[r.from:r.event]
	r.from = r.next
	return b
}

// Ready returns the bytes of the events that were seen since the last time; they are valid until the next Fill.
func (r *Reader) Ready() []byte {
	b := r.buf[r.from:r.next]
	r.from = r.next
	return b
}

// Inside reports whether parts of an event were given out whose end has not come.
func (r *Reader) Inside() bool { return r.inside }

// Size is how many bytes were read.
func (r *Reader) Size() int64 { return r.size }

// data joins the data fields of an event.
func (r *Reader) data(raw []byte) []byte {
	var first []byte
	lines := 0
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n') + 1
		line := trim(raw[:end])
		raw = raw[end:]
		value, ok := bytes.CutPrefix(line, []byte("data"))
		if !ok || (len(value) > 0 && value[0] != ':') {
			continue
		}
		value = bytes.TrimPrefix(bytes.TrimPrefix(value, []byte(":")), []byte(" "))
		switch lines++; lines {
		case 1:
			first = value
		case 2:
			r.joined = append(append(append(r.joined[:0], first...), '\n'), value...)
		default:
			r.joined = append(append(r.joined, '\n'), value...)
		}
	}
	if lines > 1 {
		return r.joined
	}
	return first
}

func trim(line []byte) []byte { return bytes.TrimRight(line, "\r\n") }
