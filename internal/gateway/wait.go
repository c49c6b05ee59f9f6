package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway/queue"
	"airfield/internal/llm"
)

// find waits until a deployment can be asked. Its second result says why none can, where there is no error.
func (c *call) find() (*tried, hurdle, error) {
	for c.ctx.Err() == nil {
		now := time.Now()
		if !now.Before(c.until) {
			return nil, hurdle{reason: []string{"the call's time is over"}}, nil
		}
		var h hurdle
		if c.g.queue.Waiting() > 0 && c.g.queue.Busy(c.line()) {
			h = c.survey(c.ctx)
		} else {
			var t *tried
			if t, h = c.pick(c.ctx, now); t != nil {
				return t, h, nil
			}
		}
		until := c.waitsUntil(h)
		if !now.Before(until) || !h.worth(until) {
			return nil, h, nil
		}
		if h.paused && !h.full && !h.down {
			c.sleep(h.until) // nobody else is concerned
			continue
		}
		t, h, err := c.inLine(until, h)
		switch {
		case !errors.Is(err, queue.ErrFull):
			return t, h, err
		case h.paused:
			c.sleep(h.until)
		default:
			if c.refusal == nil && c.failure == nil {
				c.failure = c.queueFull()
			}
			return nil, h, nil
		}
	}
	return nil, hurdle{}, c.gone()
}

// inLine waits in the queue. Who also waits for a pause of its own stands in a line of its own, so that it keeps nobody
// from going on.
func (c *call) inLine(until time.Time, h hurdle) (*tried, hurdle, error) {
	line := c.line()
	ticket := queue.Ticket{Lane: c.row.Workflow, Names: line, Priority: c.priority, Undo: func() { c.leave(neither, 0) }}
	if h.paused {
		ticket.Names = c.row.ID
	}
	wait, cancel := context.WithDeadlineCause(c.ctx, until, errWaited)
	defer cancel()
	var t *tried
	ticket.Try = func() queue.Result {
		if wait.Err() != nil {
			return queue.Result{}
		}
		found, met := c.pick(wait, time.Now())
		if t = found; t == nil && wait.Err() == nil {
			h = met // what was met last stays known where its turn and the end of its wait fall together
		}
		switch {
		case t != nil || !h.worth(until):
			return queue.Result{OK: true} // found, or nothing to wait for
		case h.paused:
			return queue.Result{At: h.until}
		}
		return queue.Result{On: line, At: h.until}
	}
	begin := time.Now()
	err := c.g.queue.Wait(wait, ticket)
	c.row.Waited += time.Since(begin)
	switch {
	case err == nil:
		return t, h, nil
	case errors.Is(err, queue.ErrFull):
		return nil, h, err
	case errors.Is(err, errWaited):
		return nil, h, nil
	}
	return nil, h, c.gone()
}

// sleep waits for a time, as far as the call's own goes and its caller stays.
func (c *call) sleep(until time.Time) {
	begin := time.Now()
	timer := time.NewTimer(min(until.Sub(begin), c.until.Sub(begin)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
	c.row.Waited += time.Since(begin)
}

var errWaited = errors.New("the call waited as long as it may")

// line is what the call waits for, for the queue: the deployments that can serve it. Who can be served by others, too,
// is not held up by those who cannot.
func (c *call) line() string {
	var names []string
	c.candidates(func(t *tried) (taken, stay bool) {
		names = append(names, t.d.name)
		return false, false
	})
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// waitsUntil is how long a hurdle is worth waiting for: a pause to the end of the call's time, limits as long as a call
// queues, and a deployment that is down as the workflow's ladder says.
func (c *call) waitsUntil(h hurdle) time.Time {
	now := time.Now()
	until := now
	later := func(t time.Time) {
		if t.After(until) {
			until = t
		}
	}
	if h.paused {
		later(c.until)
	}
	if h.full {
		later(now.Add(c.table.routing.Queue.Wait))
	}
	if h.down {
		later(now.Add(c.patience))
	}
	if until.After(c.until) {
		return c.until
	}
	return until
}

// queueFull refuses a call because too many wait.
func (c *call) queueFull() *fault.Fault {
	most := c.table.routing.Queue.Length
	f := fault.New(fault.Limited, "queue_full", "%d calls wait already, and no more may", most).
		Hinted("try again shortly; airfield route status shows what they wait for")
	f.RetryAfter = time.Second
	return decided(f, llm.Decision{Rule: "queue", Name: "routing.queue.length", Limit: number(int64(most)), Spent: number(int64(c.g.queue.Waiting()))})
}
