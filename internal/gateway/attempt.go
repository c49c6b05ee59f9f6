package gateway

import (
	"io"
	"net/http"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway/scan"
	"airfield/internal/llm"
)

// attempt tries the candidates until one answers. What it returns is the answer to relay: a good one, or the last
// candidate's refusal.
func (c *call) attempt() (*Response, error) {
	for i, d := range c.candidates {
		answer, err := c.try(d)
		another := i < len(c.candidates)-1 && c.ctx.Err() == nil
		if err != nil {
			if !another {
				return nil, err
			}
			continue
		}
		if another && elsewhere(answer.Status) {
			c.refused(answer)
			continue
		}
		return answer, nil
	}
	return nil, fault.New(fault.Unavailable, "no_deployment", "model %s has no deployment", c.asked.model)
}

// elsewhere reports whether another deployment may succeed where one answered with this status: it is overloaded,
// limits us, failed, or does not accept our key.
func elsewhere(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusUnauthorized
}

// try makes one attempt, up to the header of the answer.
func (c *call) try(d *deployment) (*Response, error) {
	if c.watch != nil {
		c.watch.stop()
	}
	c.serveFrom(d)
	now := time.Now()
	c.row.Attempts = append(c.row.Attempts, llm.Attempt{Deployment: d.name, Provider: d.providerName, Model: d.upstream, Start: now})
	c.watch = newWatch(c.ctx, d, c.row.Start)
	answer, err := d.provider.Send(c.watch.ctx, &Attempt{
		Surface: c.req.Surface, Model: d.upstream, Stream: c.asked.stream, CallID: c.row.ID, Traceparent: c.traceparent,
		Body: c.asked.upstreamBody(c.req.Surface, c.req.Body, d),
	})
	c.watch.rest()
	last := c.lastAttempt()
	if err != nil {
		f := c.watch.explain(c.ctx, err)
		outcome := llm.Failed
		if f.Kind == fault.Cancelled {
			outcome = llm.Cancelled
		}
		c.endAttempt(outcome, f.Error())
		return nil, f
	}
	last.Status, last.RequestID, last.FirstByte = answer.Status, answer.RequestID, time.Since(now)
	return answer, nil
}

func (c *call) lastAttempt() *llm.Attempt { return &c.row.Attempts[len(c.row.Attempts)-1] }

func (c *call) endAttempt(outcome llm.Outcome, problem string) {
	last := c.lastAttempt()
	if last.Outcome == "" {
		last.Outcome, last.Error, last.Duration = outcome, clip(problem, 500), time.Since(last.Start)
	}
}

// refused reads what a deployment said when it refused, and ends its attempt.
func (c *call) refused(answer *Response) refusal {
	c.watch.arm(nextChunk, c.watch.limits.BetweenChunks)
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal)) // a torn refusal is still one
	c.watch.rest()
	answer.Body.Close()
	r := readRefusal(c.served, answer, body)
	c.endAttempt(llm.Failed, r.problem.Text)
	return r
}

// maxRefusal bounds what is read of an upstream's error.
const maxRefusal = 64 << 10

// refusal is an upstream's error as the caller gets it.
type refusal struct {
	status     int
	body       []byte
	retryAfter string
	problem    *fault.Fault // the same, for the row
}

// readRefusal keeps the provider's words where they have the shape of an error, and puts them into it where they have
// not. A key that was not accepted is ours, not the caller's, and is said to be.
func readRefusal(d *deployment, answer *Response, body []byte) refusal {
	r := refusal{status: answer.Status, body: body, retryAfter: answer.RetryAfter}
	if answer.Status == http.StatusUnauthorized {
		r.status = http.StatusBadGateway
		r.problem = fault.New(fault.Upstream, "upstream_key", "provider %s did not accept the key of this Airfield", d.providerName)
		r.body = ErrorBody(r.problem)
		return r
	}
	kind := fault.Invalid
	switch {
	case answer.Status == http.StatusTooManyRequests:
		kind = fault.Limited
	case answer.Status >= 500:
		kind = fault.Upstream
	}
	message, ok := errorMessage(body)
	if !ok {
		message = http.StatusText(answer.Status)
	}
	r.problem = fault.New(kind, "upstream_error", "%s answered %d: %s", d.name, answer.Status, clip(message, 300))
	if !ok {
		r.body = ErrorBody(r.problem)
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
