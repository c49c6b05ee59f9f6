package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

// call is one call under way. It belongs to one goroutine.
type call struct {
	g     *Gateway
	ctx   context.Context
	req   *Request
	log   *slog.Logger
	asked asked
	row   llm.Call
	keep  int64 // bytes of an answer that are held until it is whole
	local bool  // the answer stays in the process

	candidates  []*deployment
	served      *deployment
	watch       *watch // of the attempt under way, or of the one that was answered
	traceparent string
	admitted    bool
	finished    bool
}

// An answer without streaming is held until it is whole, so that a torn one is a clean error: up to this size for
// callers outside, who get a larger one as it comes, and for those in the process, who get no larger one.
const (
	keepOutside = 1 << 20
	keepLocal   = 128 << 20
)

// run is one call's way, step by step. Limits, budgets, queues, the cache and the ladder of degradation stand between
// these steps when they come.
func (c *call) run(w http.ResponseWriter) error {
	c.name(w.Header())
	var err error
	if c.asked, err = decode(c.req.Surface, c.req.Body); err != nil {
		return c.refuse(err)
	}
	c.row.Model, c.row.Stream = clip(c.asked.model, maxModelName), c.asked.stream
	if err = c.route(c.g.table.Load()); err != nil {
		return c.refuse(err)
	}
	if err = c.admit(); err != nil {
		return c.refuse(err)
	}
	answer, err := c.attempt()
	if err != nil {
		return c.refuse(err)
	}
	return c.relay(answer, w) // settles and records before the last byte
}

// begin opens the row of a call: who, when, and in which trace.
func (g *Gateway) begin(ctx context.Context, req *Request) *call {
	now := time.Now()
	c := &call{g: g, ctx: ctx, req: req, log: g.log, keep: keepOutside}
	parent := telemetry.Current(ctx)
	here := telemetry.SpanContext{TraceID: parent.TraceID, SpanID: telemetry.NewSpanID(), Sampled: true}
	if !parent.Valid() {
		here.TraceID = telemetry.NewTraceID()
	}
	c.traceparent = here.Traceparent()
	c.row = llm.Call{
		ID: id.At("call", now), Start: now, Surface: req.Surface, RequestSize: int64(len(req.Body)),
		User: req.User, Session: req.Session, Tags: req.Tags, TraceID: here.TraceID, SpanID: here.SpanID,
	}
	if parent.Valid() {
		c.row.ParentSpanID = parent.SpanID
	}
	if who := caller.From(ctx); who != nil {
		c.row.Environment, c.row.BusinessUnit, c.row.Workflow, c.row.KeyID = who.Environment, who.BusinessUnit, who.Workflow, who.KeyID
	}
	return c
}

// route finds who can serve the call, in the order in which they are tried.
func (c *call) route(t *table) error {
	m := t.models[c.asked.model]
	if m == nil {
		return unknownModel(c.asked.model)
	}
	c.candidates = m.deployments
	return nil
}

// admit writes the call down before anything is sent. The row carries what the call is expected to use, for the case
// that this process does not live to say what it was.
func (c *call) admit() error {
	c.serveFrom(c.candidates[0])
	expected := llm.Usage{Input: c.asked.inputTokens(c.req.Body), Source: llm.Estimated}
	if c.req.Surface == llm.ChatCompletions {
		each := int64(expectedOutput)
		if c.asked.maxTokens > 0 {
			each = min(c.asked.maxTokens, mostExpected)
		}
		expected.Output = min(min(c.asked.choices, mostExpected)*each, mostExpected)
	}
	c.charge(expected)
	if err := c.g.records.Admit(&c.row); err != nil {
		if f := new(fault.Fault); asFault(err, &f) {
			return f
		}
		return fault.New(fault.Unavailable, "call_log_unavailable", "the call cannot be written down, so it is not made: %w", err).
			Hinted("try again shortly; if it stays, the server's log says what is wrong with the journal")
	}
	c.admitted = true
	return nil
}

const (
	expectedOutput = 1000      // tokens that an answer without a bound is written down with at admission
	mostExpected   = 100 << 20 // tokens that any call is, however many it asks for: no model has an answer so long
	maxModelName   = 256       // bytes of it in the row: callers may name what they like
)

func (c *call) serveFrom(d *deployment) {
	c.served = d
	c.row.Deployment, c.row.Provider, c.row.Upstream = d.name, d.providerName, d.upstream
}

// refuse ends a call that has no answer to give.
func (c *call) refuse(err error) error {
	f := fault.As(err)
	if c.ctx.Err() != nil && f.Kind != fault.Timeout {
		f = fault.As(c.ctx.Err())
	}
	outcome := llm.Failed
	if f.Kind == fault.Cancelled {
		outcome = llm.Cancelled
	}
	c.row.Status = f.Kind.Status()
	c.charge(c.spent(outcome))
	c.finish(outcome, f)
	return f
}

// spent is what a call without an answer used. A provider that was left while it worked has read the input.
func (c *call) spent(outcome llm.Outcome) llm.Usage {
	if outcome != llm.Cancelled || len(c.row.Attempts) == 0 {
		return llm.Usage{}
	}
	return llm.Usage{Input: c.asked.inputTokens(c.req.Body), Source: llm.Estimated}
}

// charge puts a usage and its cost in the row.
func (c *call) charge(u llm.Usage) {
	c.row.Usage, c.row.Cost, c.row.PriceID, c.row.Priced = u, 0, "", true
	if u.Total() == 0 {
		return // nothing was used, which costs nothing at any price
	}
	price, ok := c.served.priceAt(c.g.prices, c.row.Start)
	c.row.Priced = ok
	if ok {
		c.row.PriceID, c.row.Cost = price.ID, price.Cost(u)
	}
}

// finish writes the row, once.
func (c *call) finish(outcome llm.Outcome, problem *fault.Fault) {
	if c.finished {
		return
	}
	c.finished = true
	c.row.Outcome, c.row.Duration = outcome, time.Since(c.row.Start)
	if problem != nil {
		c.row.ErrorKind, c.row.Error = string(problem.Kind), clip(problem.Text, 500)
		if problem.Kind == fault.Internal {
			c.log.Error("a call failed", "call", c.row.ID, "error", problem)
		}
	}
	if err := c.g.records.Finish(&c.row); err != nil {
		c.log.Error("the end of a call could not be written down: it will be counted by its estimate", "call", c.row.ID,
			"outcome", c.row.Outcome, "tokens", c.row.Usage.Total(), "nanos_usd", int64(c.row.Cost), "error", err)
	}
}

// close ends what a call still holds, on every path: also when a writer panicked.
func (c *call) close() {
	if c.watch != nil {
		c.watch.stop()
	}
	if c.admitted && !c.finished {
		c.finish(llm.Failed, &fault.Fault{Kind: fault.Internal, Code: "internal", Text: "the call was left without an end"})
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
