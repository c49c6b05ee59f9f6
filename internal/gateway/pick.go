package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway/queue"
	"airfield/internal/llm"
)

// hurdle is what keeps a call from every deployment for now.
type hurdle struct {
	paused bool // until a retry's pause is over
	full   bool // limits
	down   bool // breakers, and providers that asked to be left alone
	until  time.Time
	reason []string // one for each deployment
	hopes  bool     // some deployment may yet serve the call
}

func (h *hurdle) note(name, reason string, until time.Time) {
	h.hopes = true
	h.reason = append(h.reason, name+": "+reason)
	if !until.IsZero() && (h.until.IsZero() || until.Before(h.until)) {
		h.until = until
	}
}

// pick takes leave of the first deployment that can be asked now, with its slot. The routes are gone through in their
// order; within one, what was asked less often comes first.
func (c *call) pick(ctx context.Context) (*tried, hurdle) {
	var h hurdle
	now, tokens := time.Now(), c.expected().Total()
	for r := range c.routes {
		route := &c.routes[r]
		if !route.left(c.table.routing.Attempts) {
			continue
		}
		for sent := 0; sent < c.table.routing.Attempts; sent++ {
			for i := range route.list {
				t := &route.list[i]
				if t.sent != sent || t.unfit != "" {
					continue
				}
				if c.take(ctx, t, now, tokens, &h) {
					return t, h
				}
			}
		}
	}
	return nil, h
}

func (c *call) take(ctx context.Context, t *tried, now time.Time, tokens int64, h *hurdle) bool {
	d := t.d
	if now.Before(t.after) {
		h.paused = true
		h.note(d.name, "it has just failed", t.after)
		return false
	}
	if o, is := d.health.obstacle(now, tokens); is {
		h.down = true
		h.note(d.name, o.reason, o.until)
		return false
	}
	if err := c.afford(d); err != nil {
		f := fault.As(err)
		if f.Kind != fault.Unavailable {
			t.unfit = f.Text
			return false
		}
		h.full = true // money for it is on its way
		h.note(d.name, f.Text, now.Add(50*time.Millisecond))
		return false
	}
	slot, full := c.g.limits(ctx, d.asks, c.tokensFor(d.asks), c.slotTime())
	if full != nil {
		h.full = true
		if full.Never {
			t.unfit = "the request asks for more than " + fullText(full)
			return false
		}
		h.note(d.name, fullText(full), full.Free)
		return false
	}
	if !d.health.begin(tokens) {
		slot.Correct(0)
		slot.Release()
		h.down = true
		h.note(d.name, "a probe of it is under way", time.Time{})
		return false
	}
	c.slot, c.asking = slot, t
	return true
}

// find waits until a deployment can be asked. Its second result says why none can, where there is no error.
func (c *call) find() (*tried, hurdle, error) {
	names := c.names()
	var t *tried
	var h hurdle
	if !c.g.queue.Busy(names...) {
		if t, h = c.pick(c.ctx); t != nil || !h.hopes {
			return t, h, nil
		}
	}
	until := c.waitsUntil(h)
	if !h.until.IsZero() && h.until.After(until) || !time.Now().Before(until) {
		return nil, h, nil // nothing can come of waiting
	}
	wait, cancel := context.WithDeadlineCause(c.ctx, until, errWaited)
	defer cancel()
	begin := time.Now()
	err := c.g.queue.Wait(wait, queue.Ticket{
		Lane: c.row.Workflow, Names: strings.Join(names, " "), Priority: c.priority,
		Try: func() queue.Result {
			if t, h = c.pick(wait); t == nil && h.hopes && (h.until.IsZero() || !h.until.After(until)) {
				return queue.Result{On: names[0], At: h.until}
			}
			return queue.Result{OK: true} // found, or nothing to wait for
		},
		Undo: func() { c.leave(neither) },
	})
	c.row.Waited += time.Since(begin)
	switch {
	case err == nil:
		return t, h, nil
	case errors.Is(err, queue.ErrFull):
		return nil, h, c.queueFull()
	case errors.Is(err, errWaited):
		return nil, h, nil
	}
	return nil, h, fault.As(c.ctx.Err())
}

var errWaited = errors.New("the call waited as long as it may")

// names is what the call's deployments are limited by, for the queue.
func (c *call) names() []string {
	names := make([]string, 0, len(c.routes))
	for i := range c.routes {
		names = append(names, c.routes[i].model.name)
	}
	return names
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
	if h.full || !h.hopes {
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

// leave gives a deployment back after an attempt, or after none.
func (c *call) leave(v verdict) {
	if c.asking == nil {
		return
	}
	c.asking.d.health.end(v)
	c.asking = nil
	c.slot.Release()
}

// afford holds money enough for the call at a deployment.
func (c *call) afford(d *deployment) error {
	if c.money == nil || !c.bounded {
		return nil
	}
	most := c.most(d)
	most.USD = most.USD.Add(c.lostCost)
	most.Tokens += c.lost.Total()
	if most == c.held {
		return nil
	}
	if err := c.money.Raise(most); err != nil {
		return err
	}
	c.held = most
	return nil
}

// queueFull refuses a call because too many wait.
func (c *call) queueFull() error {
	most := c.table.routing.Queue.Length
	f := fault.New(fault.Limited, "queue_full", "%d calls wait already, and no more may", most).
		Hinted("try again shortly; airfield route status shows what they wait for")
	f.RetryAfter = time.Second
	return decided(f, llm.Decision{Rule: "queue", Name: "routing.queue.length", Limit: number(int64(most)), Spent: number(int64(c.g.queue.Waiting()))})
}
