package gateway

import (
	"airfield/internal/llm"
)

// bound is what a call can use and cost at a deployment at the most.
type bound struct {
	d      *deployment
	usage  llm.Usage
	most   Amount
	priced bool
	reason string // why it cannot be computed; empty where it can
}

// boundAt computes the bound at a deployment, and remembers the last one: most calls have one deployment to look at.
func (c *call) boundAt(d *deployment) *bound {
	b := &c.bounds
	if b.d == d {
		return b
	}
	*b = bound{d: d}
	if c.asked.shape.free {
		b.priced = true
		return b
	}
	price, ok := d.priceAt(c.g.prices, c.row.Start)
	b.priced = ok
	if c.asked.shape.medium != 0 {
		b.usage, b.reason = c.mediaCeiling(d, &price)
	} else {
		b.usage, b.reason = c.ceiling(d)
	}
	if b.reason == "" {
		b.most = Amount{USD: price.Most(c.asked.service, b.usage), Tokens: b.usage.Total()}
	}
	return b
}

// dearest puts into the row the most that the call can cost at any deployment that may serve it.
func (c *call) dearest() {
	c.row.Usage, c.row.Cost = llm.Usage{Source: llm.Estimated}, 0
	for r := range c.routes {
		for i := range c.routes[r].list {
			t := &c.routes[r].list[i]
			if t.unfit != "" {
				continue
			}
			b := c.boundAt(t.d)
			c.row.Cost = max(c.row.Cost, b.most.USD)
			if b.most.Tokens > c.row.Usage.Total() || c.row.Usage.Empty() {
				c.row.Usage = b.usage
			}
		}
	}
}

// toldOfTools are tokens that providers add to a prompt with tools, of which nothing stands in the request: hundreds of
// each kind that they know themselves (https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview).
const toldOfTools = 2048

// ceiling is the most tokens a request can use at a deployment. Every token of a text is at least a byte, so its bytes
// bound what goes in; what is not in the bytes is bounded by the context window, if that is known.
func (c *call) ceiling(d *deployment) (u llm.Usage, reason string) {
	if c.asked.unbounded != "" {
		return u, "its field " + c.asked.unbounded + " can cost any amount"
	}
	u.Input = int64(len(c.req.Body))
	if c.asked.remote(c.req.Body) {
		if d.context == 0 {
			return u, "it names a picture or a file, and how many tokens these are is not known: set context_tokens of the model " + d.model.name
		}
		u.Input = d.context
	} else {
		if c.asked.needs(c.req.Body)&tools != 0 {
			u.Input += toldOfTools
		}
		if d.context > 0 {
			u.Input = min(u.Input, d.context)
		}
	}
	if c.asked.shape.generates {
		each := c.asked.maxTokens
		if each == 0 {
			each = c.outputCap(d)
		}
		if each > mostExpected || c.asked.choices > mostExpected/max(1, each) {
			return u, "it asks for more tokens than any budget holds"
		}
		u.Output = each * c.asked.choices
	}
	u.Source = llm.Estimated
	return u, ""
}
