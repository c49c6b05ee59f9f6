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

// settle charges what the answer used and writes the row. It comes before the last byte for the caller.
func (c *call) settle(read Reading, outcome llm.Outcome, problem *fault.Fault) {
	u := read.Usage
	if u.Source == "" {
		u = llm.Usage{Input: c.asked.inputTokens(c.req.Body), Output: read.Output, Source: llm.Estimated}
	} else if done := u.Completion(); read.Output > done && (done == 0 || outcome != llm.OK) {
		// What was reported is from before the end: text was made that it does not know of.
		u.Output, u.Source = read.Output-u.Reasoning, llm.Estimated
	}
	c.row.Finish = read.Finish
	c.charge(u)
	text := ""
	if problem != nil {
		text = problem.Error()
	}
	c.endAttempt(outcome, text)
	c.finish(outcome, problem)
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
	return append(c.usage(b), '}')
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
	b = strconv.AppendInt(append(b, `"output_tokens":`...), u.Output, 10)
	b = append(b, ',')
	field("reasoning_tokens", u.Reasoning)
	b = append(append(b, `"usage_source":"`...), u.Source...)
	return append(b, `"}`...)
}
