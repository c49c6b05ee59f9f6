package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway/scan"
	"airfield/internal/gateway/sse"
	"airfield/internal/llm"
)

// stream is one answer of server-sent events on its way to the caller.
type stream struct {
	*call
	answer *Response
	events *sse.Reader
	w      http.ResponseWriter
	flush  *http.ResponseController
	usage  []byte // the event that carries usage and nothing else, held back until the end
	passed int64  // tokens of text in events too large to be looked into
	gone   error  // what the caller's side said when it could not be written to
}

// relayStream passes events on as they come. Those that end the stream are held until the call is written down.
func (c *call) relayStream(answer *Response, w http.ResponseWriter) error {
	s := &stream{call: c, answer: answer, events: c.events, w: w, flush: http.NewResponseController(w)}
	h := w.Header()
	h["Content-Type"] = []string{answer.ContentType}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"} // proxies on the way must not collect events
	c.marked(h)
	c.row.Status = answer.Status
	c.row.FirstByte = time.Since(c.row.Start)
	w.WriteHeader(answer.Status)
	c.readersDeadline(w)
	s.run()
	return nil
}

func (s *stream) run() {
	for err := s.readErr; ; err = s.events.Fill() {
		for s.gone == nil {
			e, ok := s.events.Next()
			if !ok {
				break
			}
			if s.pass(e) {
				return
			}
		}
		s.forward(s.events.Ready())
		switch {
		case s.gone != nil:
			s.end(llm.Cancelled, &fault.Fault{Kind: fault.Cancelled, Code: "cancelled", Text: "the caller left", Err: s.gone})
			return
		case errors.Is(err, io.EOF):
			s.eof()
			return
		case err != nil:
			s.broken(s.watch.explain(s.ctx, err))
			return
		}
	}
}

// pass deals with one event and reports whether it was the last.
func (s *stream) pass(e sse.Event) bool {
	if e.Part {
		s.passed += int64(len(e.Raw)) / bytesPerToken
		return false
	}
	if e.Data == nil {
		if first := e.Raw[0]; first != ':' && first != '\n' && first != '\r' {
			s.passed += int64(len(e.Raw)) / bytesPerToken // no event, but sent and perhaps charged
		}
		return false
	}
	switch s.answer.Meter.Event(e.Data) {
	case UsageOnly:
		s.usage = append(s.usage[:0], e.Raw...)
		s.forward(s.events.Hold())
	case Failure:
		if s.forward(s.events.Hold()); s.gone != nil {
			return false
		}
		problem, raw := []byte(s.answer.Meter.Reading().Problem), e.Raw
		if s.answer.Clean != nil {
			problem, raw = s.answer.Clean(problem), s.answer.Clean(raw)
		}
		s.end(llm.Broken, fault.New(fault.Upstream, "upstream_error", "%s failed in the middle of its answer: %s", s.served.name, clip(string(problem), 300)))
		s.write(append(s.comment(nil), raw...))
		return true
	case Done:
		if s.forward(s.events.Hold()); s.gone != nil {
			return false
		}
		s.end(llm.OK, nil)
		s.flight.ended(s.answer, s.usage, e.Raw)
		s.closing(e.Raw)
		s.drain()
		return true
	default:
		if e.Unended && scan.Valid(e.Data) != nil {
			s.forward(s.events.Hold()) // the torn rest of an event is not passed on
		}
	}
	return false
}

// drain reads what follows the end mark, normally nothing, so that the connection can be used again.
func (s *stream) drain() {
	s.watch.arm(nextChunk, 20*time.Millisecond)
	io.CopyN(io.Discard, s.answer.Body, 4<<10) // a connection that cannot be used again is closed
	s.watch.rest()
}

// eof is the upstream's end without the end mark. Some never send one; then the reason why the generation ended is what
// tells a whole answer from a torn one. An end mark that was not sent is not invented.
func (s *stream) eof() {
	if s.answer.Meter.Reading().Finish == "" || s.events.Inside() {
		s.broken(fault.New(fault.Upstream, "upstream_broken", "%s ended in the middle of its answer", s.served.name))
		return
	}
	s.end(llm.OK, nil)
	s.flight.ended(s.answer, s.usage, nil)
	s.closing(nil)
}

// broken tells a caller who is still there that the answer ends here and is not whole.
func (s *stream) broken(f *fault.Fault) {
	if f.Kind == fault.Cancelled {
		s.end(llm.Cancelled, f)
		return
	}
	s.end(llm.Broken, f)
	var b []byte
	if s.events.Inside() {
		b = append(b, "\n\n"...) // ends the event whose beginning was passed on
	}
	b = s.comment(b)
	s.write(s.asked.shape.torn(b, s.asked.shape.errs(f)))
}

// end settles the call with what the meter read.
func (s *stream) end(outcome llm.Outcome, problem *fault.Fault) {
	read := s.answer.Meter.Reading()
	read.Output += s.passed
	s.row.ResponseSize = s.events.Size()
	s.settle(read, outcome, problem)
}

// closing gives the caller the events that ended the stream.
func (s *stream) closing(done []byte) { s.write(s.ending(s.usage, done)) }

// ending is how a stream ends: usage if it was asked for, with our own statement inside, the statement as a comment,
// which clients that do not know it skip, and the end mark as the provider sent it.
func (c *call) ending(usage, done []byte) []byte {
	var b []byte
	if c.asked.includeUsage && len(usage) > 0 {
		at := bytes.LastIndexByte(usage, '}')
		b = append(b, usage[:at]...)
		b = append(append(b, `,"airfield":`...), c.statement()...)
		b = append(b, usage[at:]...)
	}
	return append(c.comment(b), done...)
}

// forward gives the caller what the provider sent, and keeps it where the answer is to be given again.
func (s *stream) forward(b []byte) {
	s.flight.part(b)
	s.write(b)
}

func (c *call) comment(b []byte) []byte {
	return append(append(append(b, ": airfield "...), c.statement()...), "\n\n"...)
}

// write gives bytes to the caller at once.
func (s *stream) write(b []byte) {
	if s.gone != nil || len(b) == 0 {
		return
	}
	if _, s.gone = s.w.Write(b); s.gone != nil {
		return
	}
	if err := s.flush.Flush(); !errors.Is(err, http.ErrNotSupported) { // a writer without buffers has nothing to flush
		s.gone = err
	}
}
