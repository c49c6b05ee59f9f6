package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway/queue"
	"airfield/internal/limit"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Amount is what a call costs in both units that budgets have.
type Amount struct {
	USD    money.Nanos
	Tokens int64
}

// Standing is how a spender's budgets stand.
type Standing struct {
	HardUSD    bool          // a hard one in dollars applies: what a call can cost must be known
	HardTokens bool          // a hard one in tokens
	Economy    *llm.Decision // a soft one is so far used that calls move to the economy tier
	Any        bool          // some budget applies
}

// Budgets hold money for calls in flight; cost has them.
type Budgets interface {
	Standing(s *llm.Spender, at time.Time) Standing
	// Reserve holds the most that a call can cost in every hard budget it falls under, all or nothing. Near the edge it
	// waits, until ctx ends, for other calls to settle. A refusal is a fault with a *llm.Decision as its detail.
	Reserve(ctx context.Context, s *llm.Spender, at time.Time, most Amount) (Hold, error)
}

// Hold is money held for one call.
type Hold interface {
	Raise(most Amount) error // to a new bound of the whole call; does not wait
	Settle(used Amount)      // once: what was not used is free again
	Mark(row *llm.Call)      // writes into the row what it was held from
}

// number writes a number for people.
func number(n int64) string { return strconv.FormatInt(n, 10) }

// limits takes room from limits; without any there is always room.
func (g *Gateway) limits(ctx context.Context, asks []limit.Ask, tokens int64, slot time.Duration) (*limit.Taken, *limit.Full) {
	if len(asks) == 0 || g.limiter == nil {
		return nil, nil
	}
	taken, full, err := g.limiter.Take(ctx, asks, tokens, slot)
	if err != nil { // the context's end, which the caller of this notices too
		return nil, &limit.Full{Name: asks[0].Name}
	}
	return taken, full
}

// room takes what the call needs from limits.
func (c *call) room(ctx context.Context, asks []limit.Ask) (*limit.Taken, *limit.Full) {
	if len(asks) == 0 {
		return nil, nil
	}
	return c.g.limits(ctx, asks, c.tokensFor(asks), c.slotTime())
}

// slotTime is how long a slot may be held: as long as the call may take, and then some.
func (c *call) slotTime() time.Duration { return time.Until(c.deadline) + 5*time.Second }

// enter takes what the workflow's and the key's limits give, and waits for it where that is too little.
func (c *call) enter() error {
	asks := c.asks()
	if len(asks) == 0 {
		return nil
	}
	var full *limit.Full
	if c.g.queue.Waiting() == 0 || !c.g.queue.Busy(namesOf(asks)...) {
		if c.taken, full = c.room(c.ctx, asks); full == nil {
			return nil
		}
		if full.Never {
			return c.overLimit(full, 0)
		}
	}
	wait, cancel := c.queueing(0)
	defer cancel()
	begin := time.Now()
	err := c.g.queue.Wait(wait, queue.Ticket{
		Lane: c.row.Workflow, Names: strings.Join(namesOf(asks), " "), Priority: c.priority,
		Try: func() queue.Result {
			if wait.Err() != nil {
				return queue.Result{}
			}
			if c.taken, full = c.room(wait, asks); full == nil || full.Never {
				return queue.Result{OK: true}
			}
			return queue.Result{On: full.Name, At: full.Free}
		},
		Undo: func() { c.exit(0) },
	})
	waited := time.Since(begin)
	c.row.Waited += waited
	switch {
	case err == nil && full == nil:
		return nil
	case err == nil:
		return c.overLimit(full, 0)
	case errors.Is(err, queue.ErrFull):
		return c.queueFull()
	case errors.Is(err, errWaited):
		if full == nil || full.Unit == "" {
			full = c.fullest(asks, c.tokensFor(asks)) // its turn never came
		}
		return c.overLimit(full, waited)
	}
	return c.gone()
}

func namesOf(asks []limit.Ask) []string {
	names := make([]string, len(asks))
	for i := range asks {
		names[i] = asks[i].Name
	}
	return names
}

// fullest is the limit that has the least room, for a call that never came to be tried.
func (c *call) fullest(asks []limit.Ask, tokens int64) *limit.Full {
	full := &limit.Full{Name: asks[0].Name, Unit: limit.RequestsPerMinute, Limit: asks[0].Rate.RequestsPerMinute}
	most := -1.0
	for _, u := range c.g.uses(c.ctx, asks) {
		if share := float64(u.Used) / float64(u.Limit); share > most {
			most = share
			full = &limit.Full{Name: u.Name, Unit: limit.Unit(u.Unit), Limit: u.Limit, Used: u.Used, Asked: 1}
			if full.Unit == limit.TokensPerMinute {
				full.Asked = tokens
			}
		}
	}
	return full
}

// tokensFor is what the call takes from limits beforehand. Where the caller set no bound the output is a guess, which
// must not be the reason why a call can never pass.
func (c *call) tokensFor(asks []limit.Ask) int64 {
	tokens := c.expected().Total()
	if c.asked.maxTokens == 0 {
		for _, a := range asks {
			if most := a.Rate.TokensPerMinute; most > 0 {
				tokens = max(c.expected().Input, min(tokens, most))
			}
		}
	}
	return tokens
}

// queueing bounds a wait by what the queue allows, if that is not too little, and by the call's own time.
func (c *call) queueing(least time.Duration) (context.Context, context.CancelFunc) {
	until := time.Now().Add(max(least, c.table.routing.Queue.Wait))
	if until.After(c.until) {
		until = c.until
	}
	late := &lateContext{Context: c.ctx, until: until}
	return late, late.end
}

// asks is what the caller is limited by.
func (c *call) asks() []limit.Ask {
	if c.policy == nil {
		return nil
	}
	asks := appendAsk(c.fewAsks[:0], c.policy.ask)
	if rate := c.policy.KeyLimits; !rate.Zero() && c.row.KeyID != "" {
		asks = append(asks, limit.Ask{Name: "key:" + c.row.KeyID, Rate: rate})
	}
	return asks
}

// exit gives back what enter took; tokens is what the call really used.
func (c *call) exit(tokens int64) {
	c.taken.End(tokens)
	c.taken = nil
}

// overLimit refuses a call for which a limit had no room in time.
func (c *call) overLimit(full *limit.Full, waited time.Duration) error {
	scope, of, _ := strings.Cut(full.Name, ":")
	text := fullText(full)
	switch {
	case full.Never:
		text = "the request asks for more than " + text
	case waited > 0:
		text += fmt.Sprintf(", and the call has waited %s", waited.Round(time.Millisecond))
	}
	f := fault.New(fault.Limited, "limit_reached", "%s", text).Hinted("try again later, or have the limit raised in airfield.yaml")
	if !full.Free.IsZero() {
		f.RetryAfter = max(0, time.Until(full.Free))
	}
	return decided(f, llm.Decision{
		Rule: "limit", Name: full.Name, Scope: scope, Of: of, Unit: string(full.Unit), Limit: number(full.Limit), Spent: number(full.Used), Asked: number(full.Asked), FreesAt: full.Free, Waited: waited.Milliseconds(),
	})
}

func fullText(full *limit.Full) string {
	scope, of, _ := strings.Cut(full.Name, ":")
	unit := strings.ReplaceAll(string(full.Unit), "_", " ")
	if full.Unit == limit.Parallel {
		if unit = "calls at once"; full.Limit == 1 {
			unit = "call at once"
		}
	}
	return fmt.Sprintf("%s %s is limited to %d %s, of which %d are used", scope, of, full.Limit, unit, full.Used)
}

// decided puts the record of a decision into a fault.
func decided(f *fault.Fault, d llm.Decision) *fault.Fault {
	d.Reason = f.Text
	f.Detail = &d
	return f
}

// decision is the record in a fault as the row keeps it.
func decision(f *fault.Fault) string {
	d, ok := f.Detail.(*llm.Decision)
	if !ok {
		return ""
	}
	b, err := json.Marshal(d)
	if err != nil {
		return ""
	}
	return string(b)
}

// reserve holds the most that the call can cost, where it falls under budgets.
func (c *call) reserve() error {
	if !c.standing.Any && c.req.Allowance == nil {
		return nil
	}
	var most Amount
	if c.bounded {
		first := c.firstFit()
		if first == nil {
			return c.noneFits()
		}
		most = c.boundAt(first).most
	}
	if a := c.req.Allowance; a != nil {
		if err := a.take(most.USD); err != nil {
			return err
		}
		own := &allowed{of: a, held: most.USD}
		c.money, c.held = own, most
		if !c.standing.Any {
			return nil
		}
		hold, err := c.hold(most)
		own.below = hold
		return err
	}
	hold, err := c.hold(most)
	if err == nil {
		c.money, c.held = hold, most
	}
	return err
}

// hold takes the most that the call can cost from the budgets that it falls under.
func (c *call) hold(most Amount) (Hold, error) {
	wait, cancel := c.queueing(time.Second) // also where no call queues: to hold money may take a look at the database
	defer cancel()
	begin := time.Now()
	hold, err := c.g.budgets.Reserve(wait, &c.spender, c.row.Start, most)
	if waited := time.Since(begin); waited > time.Millisecond {
		c.row.Waited += waited
	}
	if err != nil {
		return nil, err
	}
	hold.Mark(&c.row)
	return hold, nil
}

func (c *call) firstFit() *deployment {
	for r := range c.routes {
		for i := range c.routes[r].list {
			if t := &c.routes[r].list[i]; t.unfit == "" {
				return t.d
			}
		}
	}
	return nil
}

// noneFits refuses a request that no deployment can serve, however it is.
func (c *call) noneFits() error {
	var reasons []string
	for r := range c.routes {
		for i := range c.routes[r].list {
			t := &c.routes[r].list[i]
			reasons = append(reasons, t.d.name+": "+t.unfit)
		}
	}
	f := fault.New(fault.Invalid, "no_deployment_fits", "no deployment of %s can serve this request: %s", clip(c.asked.model, maxModelName), strings.Join(reasons, "; ")).
		Hinted("airfield route explain shows each of them")
	return decided(f, llm.Decision{Rule: "deployment", Name: clip(c.asked.model, maxModelName)})
}

// uses is what is used of limits now.
func (g *Gateway) uses(ctx context.Context, asks []limit.Ask) []LimitUse {
	list := []LimitUse{}
	if g.limiter == nil || len(asks) == 0 {
		return list
	}
	uses, err := g.limiter.State(ctx, asks)
	if err != nil {
		return list
	}
	for _, u := range uses {
		for _, one := range []LimitUse{
			{u.Name, string(limit.RequestsPerMinute), u.Rate.RequestsPerMinute, u.Requests},
			{u.Name, string(limit.TokensPerMinute), u.Rate.TokensPerMinute, u.Tokens},
			{u.Name, string(limit.Parallel), u.Rate.Parallel, u.Parallel},
		} {
			if one.Limit > 0 {
				list = append(list, one)
			}
		}
	}
	return list
}
