package gateway

import (
	"context"
	"time"

	"airfield/internal/fault"
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
		slot.End(0)
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

// leave gives a deployment back after an attempt that used so many tokens, or after none.
func (c *call) leave(v verdict, tokens int64) {
	if c.asking == nil {
		return
	}
	t := c.asking
	c.asking = nil
	c.slot.End(tokens)
	t.d.health.end(c.turn, v)
}

// afford holds money enough for the call at a deployment; else it says why not.
func (c *call) afford(d *deployment) *fault.Fault {
	if c.money == nil || !c.bounded {
		return nil
	}
	most := c.boundAt(d).most
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
