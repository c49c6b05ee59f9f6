package gateway

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"airfield/internal/llm"
)

// tried is what this call knows of a deployment: how often it was asked, when it may be again, and whether it is of any
// use at all.
type tried struct {
	d     *deployment
	sent  int
	after time.Time // not before
	soon  bool      // that is worth waiting for, before another model is asked
	unfit string    // why it cannot serve this call at all; empty where it may
}

// route is the deployments of one model for one call, in the order in which they are asked.
type route struct {
	model *model
	list  []tried
}

// left reports whether the model may be asked once more: so often, and each of its deployments once in any case.
func (r *route) left(attempts int) bool {
	sent := 0
	for i := range r.list {
		sent += r.list[i].sent
	}
	return sent < max(attempts, len(r.list))
}

// plan lays out the deployments of a chain of models for this call.
func (c *call) plan(chain []*model) { c.routes = c.laid(c.fewRoutes[:0], c.fewTried[:0], chain) }

// laid lays them out in routes; where the first model's fit into list, there.
func (c *call) laid(routes []route, list []tried, chain []*model) []route {
	for _, m := range chain {
		if cap(list) < len(m.deployments) {
			list = make([]tried, 0, len(m.deployments))
		}
		for _, d := range c.order(m) {
			list = append(list, tried{d: d, unfit: c.unfit(d)})
		}
		routes = append(routes, route{model: m, list: list})
		list = nil
	}
	return routes
}

// order is a model's deployments as its way of choosing has them.
func (c *call) order(m *model) []*deployment {
	if len(m.deployments) < 2 || m.Choose == chooseOrder {
		return m.deployments
	}
	type ranked struct {
		d    *deployment
		rank float64
	}
	list := make([]ranked, len(m.deployments))
	for i, d := range m.deployments {
		list[i] = ranked{d, c.rank(m.Choose, d)}
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	sorted := make([]*deployment, len(list))
	for i := range list {
		sorted[i] = list[i].d
	}
	return sorted
}

// rank is smaller for what is asked first.
func (c *call) rank(choose string, d *deployment) float64 {
	switch choose {
	case chooseWeighted:
		// Exponential variables with the weights as rates come in an order drawn by weight, without replacement.
		return rand.ExpFloat64() / float64(d.weight)
	case chooseLoaded:
		return float64(d.health.inflight.Load()+1) / float64(d.weight)
	}
	price, ok := d.priceAt(c.g.prices, c.row.Start)
	if !ok {
		return float64(1 << 62)
	}
	return float64(price.Cost(c.expected()))
}

// expected is what the call will probably use.
func (c *call) expected() llm.Usage {
	if c.asked.shape.free {
		return llm.Usage{Source: llm.Estimated}
	}
	if c.guess.Source == "" {
		c.guess = llm.Usage{Input: c.asked.inputTokens(c.req.Body), Source: llm.Estimated}
		if c.asked.shape.generates {
			each := int64(expectedOutput)
			if c.asked.maxTokens > 0 {
				each = min(c.asked.maxTokens, mostExpected)
			}
			c.guess.Output = min(min(c.asked.choices, mostExpected)*each, mostExpected)
		}
	}
	return c.guess
}

// unfit says why a deployment cannot serve the call, whatever its state; empty where it can.
func (c *call) unfit(d *deployment) string {
	if reason := c.unspeakable(d); reason != "" {
		return reason
	}
	if d.lacks != 0 {
		if missing := d.lacks & c.asked.needs(c.req.Body); missing != 0 {
			return "it lacks " + missing.first() + ", which the request needs"
		}
	}
	if d.context > 0 {
		// A token is a few bytes: only a request that could be too long is looked at closely.
		if int64(len(c.req.Body))+c.asked.maxTokens > d.context {
			if need := c.expected().Input + c.asked.maxTokens; need > d.context {
				return "its context window of " + number(d.context) + " tokens is smaller than the about " + number(need) + " that the request asks for"
			}
		}
	}
	if c.strict || c.table.routing.Unpriced == deny {
		if !c.boundAt(d).priced {
			if c.strict {
				return "its price is not known, and the call falls under a hard budget in dollars"
			}
			return "its price is not known, and routing.unpriced is deny"
		}
	}
	if c.bounded {
		return c.boundAt(d).reason
	}
	return ""
}

// pause is how long to wait before a deployment is asked again that has failed so often: a random part of a bound that
// doubles (full jitter, https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
func (r Routing) pause(failures int) time.Duration {
	bound := r.MaxBackoff
	if shift := failures - 1; shift < 16 && r.Backoff <= bound>>shift {
		bound = r.Backoff << shift
	}
	if bound <= 0 {
		return 0
	}
	return rand.N(bound)
}
