package gateway

import (
	"strconv"
	"time"

	"airfield/internal/fault"
	"airfield/internal/llm"
)

// priceAt is what the deployment charges at a time: by the configuration, else by the price list.
func (d *deployment) priceAt(list Prices, at time.Time) (llm.Price, bool) {
	if d.price != nil {
		return *d.price, true
	}
	return list.Price(d.priceList, d.upstream, at)
}

// usageOf is what an answer used: as it was reported, unless that cannot be all.
func (c *call) usageOf(read Reading, outcome llm.Outcome) llm.Usage {
	u := read.Usage
	if c.asked.shape.medium != 0 {
		return c.mediaUsage(read)
	}
	if u.Source == "" {
		return llm.Usage{Input: c.expected().Input, Output: read.Output, Source: llm.Estimated}
	}
	if done := u.Completion(); read.Output > done && (done == 0 || outcome != llm.OK) {
		// What was reported is from before the end: text was made that it does not know of.
		u.Output, u.Source = read.Output-u.Reasoning-u.AudioOutput, llm.Estimated
	}
	return u
}

// settle charges what the answer used and writes the row. It comes before the last byte for the caller.
func (c *call) settle(read Reading, outcome llm.Outcome, problem *fault.Fault) {
	c.row.Finish, c.row.Service = read.Finish, billed(read.Service)
	u := c.usageOf(read, outcome)
	c.charge(u)
	text := ""
	if problem != nil {
		text = problem.Error()
	}
	c.endAttempt(outcome, text)
	v := failing
	switch {
	case outcome == llm.OK:
		v = healthy
	case outcome == llm.Cancelled || c.watch.ours():
		v = neither // it was answering as the caller, or the caller's time, went
	}
	c.leave(v, u.Total())
	c.finish(outcome, problem)
}

// billed is a service tier as the row names it; the usual one has no name there.
func billed(service string) string {
	if llm.Usual(service) {
		return ""
	}
	return service
}

// charge puts a usage and its cost in the row, together with what attempts that brought nothing used.
func (c *call) charge(u llm.Usage) {
	c.row.Usage, c.row.Cost, c.row.PriceID, c.row.Priced = c.lost.Add(u), c.lostCost, "", !c.lostUnpriced
	if u.Empty() {
		return // nothing more was used, which costs nothing at any price
	}
	price, ok := c.served.priceAt(c.g.prices, c.row.Start)
	c.row.Priced = c.row.Priced && ok
	if ok {
		cost, _ := price.CostAt(c.row.Service, u)
		c.row.PriceID, c.row.Cost = price.ID, c.lostCost.Add(cost)
	}
}

// statement is what a call tells its caller about itself, as JSON: in a header, or at the end of a stream.
func (c *call) statement() []byte {
	b := append(make([]byte, 0, 256), `{"call_id":"`...)
	b = append(b, c.row.ID...)
	b = append(b, `","cost_usd":`...)
	if c.row.Priced {
		b = append(append(append(b, '"'), c.row.Cost.Decimal()...), '"')
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"usage":`...)
	b = c.usage(b)
	for _, mark := range [...]struct{ name, value string }{{"cache", c.row.Cache}, {"degraded", c.row.Degraded}, {"prompt_version", c.promptVersion()}} {
		if mark.value != "" {
			b = append(append(append(b, `,"`...), mark.name...), `":"`...)
			b = append(append(b, mark.value...), '"')
		}
	}
	if c.similarity > 0 {
		b = strconv.AppendFloat(append(b, `,"cache_similarity":`...), c.similarity, 'f', 3, 64)
	}
	return append(b, '}')
}

// usage appends the row's usage as llm.Usage is written as JSON.
func (c *call) usage(b []byte) []byte {
	u := c.row.Usage
	field := func(name string, n int64) {
		if n != 0 {
			b = strconv.AppendInt(append(append(append(b, '"'), name...), `":`...), n, 10)
			b = append(b, ',')
		}
	}
	b = strconv.AppendInt(append(b, `{"input_tokens":`...), u.Input, 10)
	b = append(b, ',')
	field("cache_read_tokens", u.CacheRead)
	field("cache_write_tokens", u.CacheWrite)
	field("cache_write_long_tokens", u.CacheWriteLong)
	field("audio_input_tokens", u.AudioInput)
	b = strconv.AppendInt(append(b, `"output_tokens":`...), u.Output, 10)
	b = append(b, ',')
	field("reasoning_tokens", u.Reasoning)
	field("audio_output_tokens", u.AudioOutput)
	field("images", u.Images)
	field("image_input_tokens", u.ImageInput)
	field("characters", u.Characters)
	field("seconds", u.Seconds)
	if u.Source == "" { // nothing was used
		return append(b[:len(b)-1], '}')
	}
	b = append(append(b, `"usage_source":"`...), u.Source...)
	return append(b, `"}`...)
}
