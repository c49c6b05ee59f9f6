package gateway

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// attempt asks deployments until one answers, as far as attempts, time and the caller's patience go. What it returns is
// an answer to relay, or nothing: then c.refusal or c.failure says what the last deployment came to, if one was asked.
func (c *call) attempt() (*Response, error) {
	for {
		t, h, err := c.find()
		if err != nil {
			return nil, err
		}
		if t == nil {
			c.hurdle = h
			return nil, nil
		}
		answer, again, err := c.try(t)
		switch {
		case answer != nil:
			return answer, nil
		case !again:
			return nil, err
		}
	}
}

// elsewhere reports whether another deployment, or this one a little later, may succeed where one answered with this
// status: it is overloaded, limits us, failed, or does not accept our key.
func elsewhere(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusUnauthorized
}

// try makes one attempt, up to the first bytes of an answer. Where there is none, again says whether the call may go on.
func (c *call) try(t *tried) (answer *Response, again bool, err error) {
	d := t.d
	if c.watch != nil {
		c.watch.stop()
	}
	c.serveFrom(d)
	t.sent++
	now := time.Now()
	c.row.Attempts = append(c.row.Attempts, llm.Attempt{Deployment: d.name, Provider: d.providerName, Model: d.upstream, Start: now})
	c.watch = newWatch(c.ctx, d, now, c.until)
	bound := int64(0)
	if c.bounded || c.outputLimit() > 0 {
		bound = c.outputCap(d)
	}
	answer, err = c.send(d, bound)
	c.watch.rest()
	last := c.lastAttempt()
	if err != nil {
		f := c.watch.explain(c.ctx, err)
		used := llm.Usage{Source: llm.Estimated}
		if f.Kind == fault.Timeout || f.Kind == fault.Cancelled {
			used.Input = c.expected().Input // it was left while it worked
			c.lose(used)
		}
		return nil, c.missed(t, f, 0, used.Total()), f
	}
	last.Status, last.RequestID, last.FirstByte = answer.Status, answer.RequestID, time.Since(now)
	d.health.quota.learn(now, answer.Quota)
	if answer.Status >= 400 {
		r := c.refused(answer)
		if c.ctx.Err() != nil {
			return nil, false, c.gone()
		}
		c.refusal, c.failure = &r, nil
		if !elsewhere(answer.Status) {
			c.leave(healthy, 0) // it works: the request is at fault
			return nil, false, nil
		}
		return nil, c.missed(t, r.problem, cooling(now, r), 0), nil
	}
	if f := c.receive(answer); f != nil {
		answer.Body.Close()
		used := c.torn(answer)
		c.lose(used)
		return nil, c.missed(t, f, 0, used.Total()), f
	}
	c.watch.extend(c.deadline) // it is answered: no rung needs its slice any more
	return answer, false, nil
}

// missed ends an attempt that brought no answer and used so many tokens, and reports whether the call may go on.
func (c *call) missed(t *tried, f *fault.Fault, cool time.Duration, tokens int64) (again bool) {
	outcome, v := llm.Failed, failing
	switch {
	case f.Kind == fault.Cancelled:
		outcome, v = llm.Cancelled, neither
	case f.Kind == fault.Limited || f.Kind == fault.Invalid:
		v = neither
	case f.Kind == fault.Timeout && c.watch.ours() && time.Since(c.lastAttempt().Start) < fairTime:
		v = neither
	}
	c.endAttempt(outcome, f.Error())
	t.after, t.soon = time.Now().Add(c.table.routing.pause(t.sent)), f.Kind != fault.Timeout
	if cool > 0 {
		t.d.health.cool(time.Now().Add(cool))
	}
	c.leave(v, tokens)
	if f.Kind == fault.Cancelled || c.ctx.Err() != nil {
		return false
	}
	if f.Kind == fault.Invalid {
		t.unfit = f.Text
	}
	if c.refusal == nil || c.refusal.problem != f {
		c.failure, c.refusal = f, nil
	}
	return true
}

// fairTime is how long a deployment must have had for its silence to count against it, where the call's own time ended
// the attempt: a caller in a hurry must not close it to others.
const fairTime = 10 * time.Second

// cooling is how long a provider wants to be left alone. A 429 that does not say leaves it alone for a second.
func cooling(now time.Time, r refusal) time.Duration {
	limited := r.upstream == http.StatusTooManyRequests
	if r.retryAfter == "" && r.retryIn == 0 || !limited && r.upstream != http.StatusServiceUnavailable {
		if limited {
			return time.Second
		}
		return 0
	}
	if r.retryIn > 0 {
		return min(r.retryIn, time.Hour)
	}
	if seconds, err := strconv.ParseFloat(r.retryAfter, 64); err == nil && !math.IsNaN(seconds) {
		return time.Duration(max(0, min(seconds, 3600)) * float64(time.Second))
	}
	if at, err := http.ParseTime(r.retryAfter); err == nil {
		return max(0, min(at.Sub(now), time.Hour))
	}
	return time.Second
}

// lose counts what a deployment used for an attempt that brought nothing: some providers charge for it.
func (c *call) lose(u llm.Usage) {
	c.lost = c.lost.Add(u)
	price, ok := c.served.priceAt(c.g.prices, c.row.Start)
	if !ok {
		c.lostUnpriced = true
		return
	}
	c.lostCost = c.lostCost.Add(price.Cost(u))
}

func (c *call) lastAttempt() *llm.Attempt { return &c.row.Attempts[len(c.row.Attempts)-1] }

func (c *call) endAttempt(outcome llm.Outcome, problem string) {
	if len(c.row.Attempts) == 0 {
		return
	}
	last := c.lastAttempt()
	if last.Outcome == "" {
		last.Outcome, last.Error, last.Duration = outcome, clip(c.hidden(problem), 500), time.Since(last.Start)
	}
}

// refused reads what a deployment said when it refused, and ends its attempt.
func (c *call) refused(answer *Response) refusal {
	c.watch.arm(nextChunk, c.watch.limits.BetweenChunks)
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal)) // a torn refusal is still one
	c.watch.rest()
	answer.Body.Close()
	r := readRefusal(c.asked.shape, c.served, answer, body)
	c.endAttempt(llm.Failed, r.problem.Text)
	return r
}

// maxRefusal bounds what is read of an upstream's error.
const maxRefusal = 64 << 10

// refusal is an upstream's error as the caller gets it.
type refusal struct {
	status     int
	upstream   int // the provider's own status
	body       []byte
	retryAfter string
	retryIn    time.Duration
	problem    *fault.Fault // the same, for the row
}

// readRefusal keeps the provider's words where they have the shape of an error, and puts them into it where they have
// not. A key that was not accepted is ours, not the caller's, and is said to be.
func readRefusal(s *shape, d *deployment, answer *Response, body []byte) refusal {
	r := refusal{status: answer.Status, upstream: answer.Status, body: body, retryAfter: answer.RetryAfter, retryIn: answer.RetryIn}
	if answer.Status == http.StatusUnauthorized {
		r.status = http.StatusBadGateway
		r.problem = fault.New(fault.Upstream, "upstream_key", "provider %s did not accept the key of this Airfield", d.providerName)
		r.body = s.errs(r.problem)
		return r
	}
	kind := fault.Invalid
	switch {
	case answer.Status == http.StatusTooManyRequests:
		kind = fault.Limited
	case answer.Status >= 500 || answer.Status == http.StatusRequestTimeout:
		kind = fault.Upstream
	}
	message, ok := errorMessage(body)
	if !ok {
		message = http.StatusText(answer.Status)
	}
	r.problem = fault.New(kind, "upstream_error", "%s answered %d: %s", d.name, answer.Status, clip(message, 300))
	if !ok {
		r.body = s.errs(r.problem)
	}
	return r
}

// errorMessage finds the message in an error of the shape {"error":{"message":…}}, or {"error":"…"}.
func errorMessage(body []byte) (string, bool) {
	message, found := "", false
	m := scan.Object(body)
	for m.Next() {
		if string(m.Key) != "error" {
			continue
		}
		found = scan.Kind(m.Value) == '{'
		message, _ = scan.Text(m.Value)
		for e := scan.Object(m.Value); e.Next(); {
			if string(e.Key) == "message" {
				message, _ = scan.Text(e.Value)
			}
		}
	}
	return message, found && m.Err() == nil
}

// upstreamFault is an upstream's refusal for a caller in the process, from what the row says of it.
func (c *call) upstreamFault(status int) *fault.Fault {
	f := fault.New(fault.Kind(c.row.ErrorKind), "upstream_error", "%s", c.row.Error)
	if status == http.StatusTooManyRequests {
		f.Hint = "the provider limits us: try again later, or give the model another deployment"
	}
	return f
}

// receive takes in what must be there before anything is given to the caller: a whole answer, as long as it is of a
// size that is held, or the first event of a stream. Until then another deployment can still answer.
func (c *call) receive(answer *Response) *fault.Fault {
	if answer.Stream {
		events := streams.take()
		events.Reset(&timedReader{c.watch, answer.Body})
		c.events = events
		for c.readErr = events.Fill(); c.readErr == nil && !events.Begun(); {
			c.readErr = events.Fill()
		}
		switch {
		case events.Begun():
			return nil
		case errors.Is(c.readErr, io.EOF):
			return fault.New(fault.Upstream, "upstream_broken", "%s began to answer and ended before its first event", c.served.name)
		}
		return c.watch.explain(c.ctx, c.readErr)
	}
	c.whole = buffers.take()
	if answer.Size > 0 && answer.Size <= c.keep {
		c.whole.Grow(int(answer.Size) + 512)
	}
	body := io.LimitedReader{R: &timedReader{c.watch, answer.Body}, N: c.keep + 1}
	if _, err := c.whole.ReadFrom(&body); err != nil {
		return c.watch.explain(c.ctx, err)
	}
	c.large = int64(c.whole.Len()) > c.keep
	switch {
	case c.large && c.local:
		return fault.New(fault.Upstream, "upstream_answer", "%s gave an answer of more than %d bytes", c.served.name, c.keep)
	case c.large:
		return nil
	}
	if err := answer.Meter.Body(c.whole.Bytes(), false); err != nil {
		return fault.New(fault.Upstream, "upstream_answer", "%s gave an answer that cannot be read: %w", c.served.name, err)
	}
	return nil
}

// madeOf estimates the output of a whole answer of which so much has come: all of it was made before its first byte came.
func (c *call) madeOf(answer *Response, came int64) int64 {
	made, bound := answer.Size/bytesPerToken, c.asked.maxTokens
	if bound == 0 && c.bounded {
		bound = c.served.maxOutput
	}
	if bound > 0 {
		made = min(made, min(bound, mostExpected)*min(c.asked.choices, mostExpected))
	}
	return max(min(made, mostExpected), came/bytesPerToken)
}

// torn is what an answer used that broke off, or is none, before anything of it was given to the caller.
func (c *call) torn(answer *Response) llm.Usage {
	read := answer.Meter.Reading()
	if c.events != nil {
		read.Output = max(read.Output, c.events.Size()/bytesPerToken)
		c.dropEvents()
	}
	if c.whole != nil {
		if c.asked.shape.generates {
			read.Output = max(read.Output, c.madeOf(answer, int64(c.whole.Len())))
		}
		buffers.give(c.whole)
		c.whole = nil
	}
	return c.usageOf(read, llm.Broken)
}
