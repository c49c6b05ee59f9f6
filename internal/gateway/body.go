package gateway

import (
	"net/http"
	"time"

	"airfield/internal/caller"
	"airfield/internal/llm"
)

// Bodies keeps what was asked and answered, apart from the rows of calls. Nothing in it waits or fails a call: what it
// has no room for is said on the row.
type Bodies interface {
	// Most is how much of a request or an answer is kept.
	Most() int
	// Begin takes a request, says what becomes of it (kept, none or dropped), and until when it is kept.
	Begin(*llm.Exchange) string
	// Room takes room for so many bytes of an answer to come, or says that there is none.
	Room(n int) bool
	// End takes the answer of an exchange that was begun, and gives back the room that was taken for it.
	End(e *llm.Exchange, room int)
}

// What a workflow may say of its bodies.
const (
	keepBodies = "keep"
	noBodies   = "none"
)

// bodies is what of a call's request and answer goes to be kept.
type bodies struct {
	sent     []byte // the request as the caller sent it
	exchange *llm.Exchange
	room     int
	told     told
}

// told is the writer to the caller, and holds what was written.
type told struct {
	http.ResponseWriter
	body []byte
	size int64
	most int
}

func (t *told) Write(p []byte) (int, error) {
	n, err := t.ResponseWriter.Write(p)
	t.hold(p[:n])
	return n, err
}

func (t *told) hold(p []byte) {
	t.size += int64(len(p))
	if room := t.most - len(t.body); room > 0 {
		t.body = append(t.body, p[:min(room, len(p))]...)
	}
}

// Unwrap is for http.ResponseController: flushing and deadlines are the connection's.
func (t *told) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// listen returns the writer that holds what the caller is told, where that is to be kept.
func (c *call) listen(w http.ResponseWriter) http.ResponseWriter {
	if c.g.bodies == nil {
		return w
	}
	c.bodies.told = told{ResponseWriter: w, most: c.g.bodies.Most()}
	return &c.bodies.told
}

// keepRequest gives the request to be kept, once: at admission, so that it is known also of a call that our own death
// cuts in two, or at the end of a call that was not admitted.
func (c *call) keepRequest() {
	if c.row.Bodies != "" {
		return
	}
	c.row.Bodies = llm.BodiesNone
	if c.g.bodies == nil {
		return
	}
	if who := caller.From(c.ctx); who != nil && who.Role == caller.System {
		return // Airfield's own work: what it sends are documents, which have a place, a tier and an end of their own
	}
	e := &llm.Exchange{CallID: c.row.ID, Environment: c.row.Environment, Workflow: c.row.Workflow, Surface: c.row.Surface, Request: c.bodies.sent, RequestSize: int64(len(c.bodies.sent))}
	if c.policy != nil {
		e.Mode, e.Keep = c.policy.Bodies, c.policy.KeepBodies
	}
	if most := c.g.bodies.Most(); len(e.Request) > most {
		e.Request = append([]byte(nil), e.Request[:most]...) // the rest need not stay for it
	}
	c.row.Bodies = c.g.bodies.Begin(e)
	if c.row.Bodies != llm.BodiesKept {
		return
	}
	c.bodies.exchange, c.row.BodiesUntil = e, e.Until
	if e.RequestSize > int64(len(e.Request)) {
		c.row.Bodies = llm.BodiesTruncated
	}
}

// keepAnswer takes room for the answer, of which the row knows the size, so that the row can say whether it is kept.
func (c *call) keepAnswer() {
	c.keepRequest()
	if c.bodies.exchange == nil {
		return
	}
	most := c.g.bodies.Most()
	room := int(min(c.row.ResponseSize+answerEnd, int64(most)))
	if c.row.ResponseSize > int64(most) {
		c.row.Bodies = llm.BodiesTruncated
	}
	if !c.g.bodies.Room(room) {
		c.row.Bodies, c.bodies.told.most = llm.BodiesRequest, 0
		return
	}
	c.bodies.room = room
}

// answerEnd is room for what an answer's size does not count: the end of a stream, or a refusal.
const answerEnd = 1 << 10

// endBodies gives the answer to be kept, as far as the caller got it.
func (c *call) endBodies() {
	e := c.bodies.exchange
	if e == nil {
		return
	}
	t := &c.bodies.told
	if t.ResponseWriter != nil {
		e.AnswerType = t.Header().Get("Content-Type")
	}
	if t.most > 0 {
		e.Answer = t.body
	}
	e.AnswerSize = t.size
	c.g.bodies.End(e, c.bodies.room)
}

func checkBodies(where, mode string, keep time.Duration, refuse func(string, ...any)) {
	if mode != "" && mode != keepBodies && mode != noBodies {
		refuse("%s.bodies: keep or none, not %q", where, mode)
	}
	if keep < 0 {
		refuse("%s.keep_bodies: not negative", where)
	}
}
