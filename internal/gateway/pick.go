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

// hurdle is what keeps a call from every deployment for now.
type hurdle struct {
	paused  bool // until a retry's pause is over
	full    bool // limits
	down    bool // breakers, and providers that asked to be left alone
	until   time.Time
	anytime bool     // one of them may end at any moment
	reason  []string // one for each deployment
	hopes   bool     // some deployment may yet serve the call
}

func (h *hurdle) note(name, reason string, until time.Time) {
	h.hopes = true
	h.reason = append(h.reason, name+": "+reason)
	switch {
	case until.IsZero():
		h.anytime = true
	case h.until.IsZero() || until.Before(h.until):
		h.until = until
	}
}

// worth reports whether anything can come of waiting that long.
func (h *hurdle) worth(until time.Time) bool {
	return h.hopes && (h.anytime || !h.until.After(until))
}

// candidates calls each for the deployments that may be asked once more, in the order in which they are: the routes in
// theirs, and within one what was asked less often first. It goes on to the next route where each says so of all.
func (c *call) candidates(each func(t *tried) (taken, stay bool)) {
	most := c.table.routing.Attempts
	for r := range c.routes {
		route, stays := &c.routes[r], false
		if !route.left(most) {
			continue
		}
		for sent := 0; sent < most; sent++ {
			for i := range route.list {
				t := &route.list[i]
				if t.sent != sent || t.unfit != "" {
					continue
				}
				taken, stay := each(t)
				if taken {
					return
				}
				stays = stays || stay
			}
		}
		if stays {
			return
		}
	}
}

// pick takes leave of the first deployment that can be asked now, with its slot. Where one of a model failed at once and
// is soon asked again, the model's fallbacks are not asked yet.
func (c *call) pick(ctx context.Context, now time.Time) (found *tried, h hurdle) {
	tokens := c.expected().Total()
	c.candidates(func(t *tried) (taken, stay bool) {
		if o, is := t.d.health.obstacle(now, tokens); is {
			h.down = true
			h.note(t.d.name, o.reason, o.until)
			return false, false
		}
		if now.Before(t.after) {
			h.paused = true
			h.note(t.d.name, justFailed, t.after)
			return false, t.soon && !t.after.After(c.until)
		}
		if c.take(ctx, t, now, tokens, &h) {
			found = t
		}
		return found != nil, false
	})
	return found, h
}

// moneyTime is how long a lease of money takes, about.
const moneyTime = 20 * time.Millisecond

const justFailed = "it has just failed"

func (c *call) take(ctx context.Context, t *tried, now time.Time, tokens int64, h *hurdle) bool {
	d := t.d
	if refused := c.afford(d); refused != nil {
		if refused.Kind == fault.Unavailable { // there is money, and it is on its way from the database
			h.full = true
			h.note(d.name, refused.Text, now.Add(moneyTime))
			return false
		}
		t.unfit, c.broke = refused.Text, refused
		return false
	}
	slot, full := c.room(ctx, d.asks)
	if full != nil {
		if full.Never {
			t.unfit = "the request asks for more than " + fullText(full)
			return false
		}
		h.full = true
		h.note(d.name, fullText(full), full.Free)
		return false
	}
	turn, ok := d.health.begin(now, tokens)
	if !ok {
		slot.Correct(0)
		slot.Release()
		h.down = true
		h.note(d.name, probed, time.Time{})
		return false
	}
	c.slot, c.asking, c.turn = slot, t, turn
	return true
}

// survey says what keeps the call from every deployment, without taking anything.
func (c *call) survey(ctx context.Context) (h hurdle) {
	c.candidates(func(t *tried) (taken, stay bool) {
		switch o, why := c.blocked(ctx, t); why {
		case isDown:
			h.down = true
			h.note(t.d.name, o.reason, o.until)
		case isPaused:
			h.paused = true
			h.note(t.d.name, o.reason, o.until)
		default:
			h.full = true
			if why == isFree {
				o.reason = "others wait for it"
			}
			h.note(t.d.name, o.reason, time.Time{})
		}
		return false, false
	})
	return h
}

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
		t, h = c.pick(wait, time.Now())
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

// leave gives a deployment back after an attempt that used so many tokens, or after none.
func (c *call) leave(v verdict, tokens int64) {
	if c.asking == nil {
		return
	}
	t := c.asking
	c.asking = nil
	c.slot.Correct(tokens)
	c.slot.Release()
	t.d.health.end(c.turn, v)
}

// afford holds money enough for the call at a deployment; else it says why not.
func (c *call) afford(d *deployment) *fault.Fault {
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
		return fault.As(err)
	}
	c.held = most
	return nil
}

// queueFull refuses a call because too many wait.
func (c *call) queueFull() *fault.Fault {
	most := c.table.routing.Queue.Length
	f := fault.New(fault.Limited, "queue_full", "%d calls wait already, and no more may", most).
		Hinted("try again shortly; airfield route status shows what they wait for")
	f.RetryAfter = time.Second
	return decided(f, llm.Decision{Rule: "queue", Name: "routing.queue.length", Limit: number(int64(most)), Spent: number(int64(c.g.queue.Waiting()))})
}
