package gateway

import (
	"encoding/json"
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

// errorBody writes a fault in the shape of an OpenAI error.
func errorBody(f *fault.Fault) []byte {
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	}
	e := inner{Message: f.Text, Type: string(f.Kind), Code: f.Code}
	if f.Hint != "" {
		e.Message += " (" + f.Hint + ")"
	}
	if f.Field != "" {
		e.Param = &f.Field
	}
	b, err := json.Marshal(struct {
		Error inner `json:"error"`
	}{e})
	if err != nil {
		return []byte(`{"error":{"message":"an internal error","type":"internal","param":null,"code":"internal"}}`)
	}
	return b
}
