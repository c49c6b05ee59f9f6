package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"airfield/internal/fault"
	"airfield/internal/llm"
)

// relay brings an answer to the caller, settles and records the call, and gives the last byte.
func (c *call) relay(answer *Response, w http.ResponseWriter) error {
	defer answer.Body.Close()
	switch {
	case answer.Stream:
		return c.relayStream(answer, w)
	case c.large:
		return c.relayLarge(answer, c.whole.Bytes(), w)
	}
	return c.relayWhole(answer, w)
}

// Header names in their canonical form, so that setting them costs no rewriting.
const (
	headerCallID      = "X-Airfield-Call-Id"
	headerCost        = "X-Airfield-Cost-Usd"
	headerUsage       = "X-Airfield-Usage"
	headerTraceparent = "Traceparent"
	headerCache       = "X-Airfield-Cache"
	headerDegraded    = "X-Airfield-Degraded"
	headerModel       = "X-Airfield-Model"
)

// name sets the headers that say which call this is, on every answer and every refusal.
func (c *call) name(h http.Header) {
	values := [2]string{c.row.ID, c.traceparent}
	h[headerCallID] = values[0:1:1]
	h[headerTraceparent] = values[1:2:2]
	if name := shapeOf(c.req.Surface).requestID; name != "" {
		h[name] = values[0:1:1]
	}
}

// marked sets the headers that say where an answer comes from, where that is not simply the model that was asked.
func (c *call) marked(h http.Header) {
	if c.row.Cache != "" {
		h[headerCache] = []string{c.row.Cache}
	}
	if c.row.Degraded != "" {
		h[headerDegraded] = []string{c.row.Degraded}
	}
	if c.served != nil && c.served.model.name != c.asked.model {
		h[headerModel] = []string{c.served.model.name}
	}
}

// charged sets the headers that say what the call cost; "unknown" where there is no price.
func (c *call) charged(h http.Header) {
	cost := "unknown"
	if c.row.Priced {
		cost = c.row.Cost.Decimal()
	}
	h[headerCost] = []string{cost}
	h[headerUsage] = []string{string(c.usage(make([]byte, 0, 128)))}
}

// relayRefusal gives the caller what the provider said.
func (c *call) relayRefusal(w http.ResponseWriter) error {
	r := c.refusal
	c.row.Status, c.row.ResponseSize = r.status, int64(len(r.body))
	c.charge(llm.Usage{})
	c.row.FirstByte = time.Since(c.row.Start)
	c.finish(llm.Failed, r.problem)
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	if r.retryAfter != "" {
		h["Retry-After"] = []string{r.retryAfter}
	}
	told := *r
	told.upstream = http.StatusTooManyRequests // whatever it was: only how long is asked
	if cooling(time.Now(), told) > longestRetry {
		h["X-Should-Retry"] = []string{"false"} // OpenAI's clients wait as long as they are told, and obey this
	}
	w.WriteHeader(r.status)
	w.Write(r.body) // the call is over; a caller who left misses nothing that is not in the log
	return nil
}

// longestRetry is how long a client may be told to wait before it tries again by itself.
const longestRetry = time.Minute

// relayWhole gives an answer that was taken in as a whole.
func (c *call) relayWhole(answer *Response, w http.ResponseWriter) error {
	body := c.whole.Bytes()
	c.row.Status, c.row.ResponseSize = answer.Status, int64(len(body))
	c.row.FirstByte = time.Since(c.row.Start)
	c.settle(answer.Meter.Reading(), llm.OK, nil)
	c.flight.whole(answer, body)
	h := w.Header()
	h["Content-Type"] = []string{answer.ContentType}
	c.marked(h)
	c.charged(h)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(answer.Status)
	if len(body) > smallAnswer {
		c.readersDeadline(w)
	}
	w.Write(body) // as above: the call is over
	return nil
}

// bytesPerToken estimates text that was not looked at.
const bytesPerToken = 4

// relayLarge passes on an answer that is too large to be held. The last part is given only when the answer is
// complete and the call is written down; one that breaks off ends in an aborted connection.
func (c *call) relayLarge(answer *Response, head []byte, w http.ResponseWriter) error {
	h := w.Header()
	h["Content-Type"] = []string{answer.ContentType}
	c.marked(h)
	if answer.Size > 0 {
		h["Content-Length"] = []string{strconv.FormatInt(answer.Size, 10)}
	}
	c.row.Status = answer.Status
	c.row.FirstByte = time.Since(c.row.Start)
	w.WriteHeader(answer.Status)
	c.readersDeadline(w)

	body := timedReader{c.watch, answer.Body}
	held := bytes.Clone(head[len(head)-tailSize:])
	size := int64(len(head))
	_, gone := w.Write(head[:len(head)-tailSize])
	chunk := make([]byte, tailSize)
	var err error
	for err == nil && gone == nil {
		var n int
		n, err = body.Read(chunk)
		size += int64(n)
		held = append(held, chunk[:n]...)
		if ready := len(held) - tailSize; ready > 0 {
			_, gone = w.Write(held[:ready])
			held = append(held[:0], held[ready:]...)
		}
	}
	c.row.ResponseSize = size
	answer.Meter.Body(held, true) // the tail of an answer may be anything: what is not found in it is estimated
	read := answer.Meter.Reading()
	if c.asked.shape.generates {
		read.Output = max(read.Output, c.madeOf(answer, size))
	}
	switch {
	case gone != nil:
		c.settle(read, llm.Cancelled, &fault.Fault{Kind: fault.Cancelled, Code: "cancelled", Text: "the caller left", Err: gone})
	case !errors.Is(err, io.EOF):
		f := c.watch.explain(c.ctx, err)
		outcome := llm.Broken
		if f.Kind == fault.Cancelled {
			outcome = llm.Cancelled
		}
		c.settle(read, outcome, f)
		panic(http.ErrAbortHandler)
	default:
		c.settle(read, llm.OK, nil)
		w.Write(held)
	}
	return nil
}

// tailSize is how much of the end of a large answer is held: the usage stands there.
const tailSize = 16 << 10

// smallAnswer fits into the buffers between us and the caller, however slowly it is read.
const smallAnswer = 32 << 10

// readersDeadline bounds how long a caller may take to read: until a little after the call's own deadline, so that it
// can still be told that the call has ended. A writer without deadlines has no slow readers.
func (c *call) readersDeadline(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(c.watch.end().Add(10 * time.Second))
}

// timedReader reads an answer and bounds the silence in it.
type timedReader struct {
	watch *watch
	body  io.Reader
}

func (t *timedReader) Read(p []byte) (int, error) {
	t.watch.arm(nextChunk, t.watch.limits.BetweenChunks)
	n, err := t.body.Read(p)
	t.watch.rest()
	return n, err
}
