package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway/sse"
	"airfield/internal/id"
	"airfield/internal/limit"
	"airfield/internal/llm"
	"airfield/internal/money"
	"airfield/internal/redact"
	"airfield/internal/telemetry"
)

// call is one call under way. It belongs to one goroutine, and while it waits in the queue to that one's.
type call struct {
	g        *Gateway
	ctx      context.Context
	req      *Request
	log      *slog.Logger
	table    *table
	policy   *workflow     // nil for a caller without a workflow
	rules    *redact.Rules // nil where nothing is redacted
	priority int
	spender  llm.Spender
	asked    asked
	row      llm.Call
	keep     int64 // bytes of an answer that are held until it is whole
	local    bool  // the answer stays in the process
	own      bool  // a part of Airfield asks by itself: what it asks is not the caller's words

	deadline time.Time     // of the call
	until    time.Time     // of what is being tried: the deadline without the slices of later rungs
	patience time.Duration // how long a deployment that is down is waited for

	routes    []route
	fewRoutes [1]route // where routes are while they are few
	fewTried  [2]tried
	fewAsks   [2]limit.Ask
	guess     llm.Usage // what it will probably use
	bounds    bound     // at the deployment that was looked at last
	bounded   bool      // a hard budget applies: what it can cost must be known
	strict    bool      // one in dollars

	standing Standing
	money    Hold
	held     Amount
	taken    *limit.Taken // from the limits of the workflow and the key
	slot     *limit.Taken // from those of the deployment
	asking   *tried       // whose slot that is
	turn     int          // of its breaker
	broke    *fault.Fault // why a deployment could not be afforded

	served       *deployment
	watch        *watch // of the attempt under way, or of the one that was answered
	whole        *bytes.Buffer
	large        bool
	events       *sse.Reader
	readErr      error
	hurdle       hurdle       // why no deployment could be asked
	refusal      *refusal     // what the last deployment said
	failure      *fault.Fault // or why it said nothing
	lost         llm.Usage    // by attempts that brought nothing
	lostCost     money.Nanos
	lostUnpriced bool
	byPrompt     string // the prompt that brings the model; empty where the request names it
	said         *said  // the request as it is told to those who speak another API
	key          string // in the cache
	meaning      *meaning
	similarity   float64 // of the text that was asked and the one that was answered
	flight       *flight // others may get the answer too; nil where not

	bodies bodies

	traceparent string
	admitted    bool
	finished    bool
}

// An answer without streaming is held until it is whole, so that a torn one is a clean error: up to this size for
// callers outside, who get a larger one as it comes, and for those in the process, who get no larger one.
const (
	keepOutside = 1 << 20
	keepLocal   = 128 << 20
	keepFlowing = 4 << 10 // of what is to be heard while it is made
)

// run is one call's way, step by step.
func (c *call) run(w http.ResponseWriter) error {
	c.name(w.Header())
	err := c.measure()
	if err != nil {
		return c.refuse(err)
	}
	if err = c.render(w.Header()); err != nil {
		return c.refuse(err)
	}
	if c.asked, err = c.req.read(); err != nil {
		return c.refuse(err)
	}
	if c.asked.shape.flows && !c.local {
		c.keep = keepFlowing
	}
	c.row.Model, c.row.Stream = c.modelled(c.asked.model), c.asked.stream
	if err = c.permit(); err != nil {
		return c.refuse(err)
	}
	m, err := c.table.find(c.req.Surface, c.asked.model)
	if err != nil {
		return c.refuse(err)
	}
	if err := c.guard(); err != nil {
		return c.refuse(err)
	}
	if len(c.row.Redacted) > 0 {
		w.Header()[headerRedacted] = []string{redact.Found(c.row.Redacted).String()}
	}
	c.stand()
	if done, err := c.recall(w); done {
		return err
	}
	c.plan(c.moved(m).chain)
	if c.firstFit() == nil {
		return c.refuse(c.noneFits())
	}
	for _, step := range []func() error{c.enter, c.reserve, c.admit} {
		if err := step(); err != nil {
			return c.refuse(err)
		}
	}
	return c.serve(w)
}

// stand looks at what applies to the caller: its budgets, its time.
func (c *call) stand() {
	if c.policy != nil {
		c.priority = c.policy.priority
	}
	if c.req.Priority != "" {
		c.priority = min(c.priority, priorities[c.req.Priority])
	}
	if c.g.budgets != nil {
		c.spender.User = c.row.User
		c.standing = c.g.budgets.Standing(&c.spender, c.row.Start)
		c.strict = c.standing.HardUSD
		c.bounded = c.strict || c.standing.HardTokens
	}
	if c.req.Allowance != nil {
		c.strict, c.bounded = true, true
	}
	c.deadline = c.row.Start.Add(c.table.routing.Deadline)
	if c.req.Timeout > 0 && c.req.Timeout < c.table.routing.Deadline {
		c.deadline = c.row.Start.Add(c.req.Timeout)
	}
	c.until = c.deadline.Add(-c.slices(0))
	c.patience = c.waitForRecovery(0)
}

// moved is the model to ask, or the economy tier where a soft budget says so and there is one that can serve the call.
func (c *call) moved(m *model) *model {
	if c.standing.Economy == nil || m.Tier == economy || !c.asked.shape.generates {
		return m
	}
	tier := c.table.tiers[economy]
	if tier == nil {
		return m
	}
	if c.plan(tier.chain); c.firstFit() == nil {
		return m
	}
	c.row.Degraded, c.row.Decision = economy, decision(decided(&fault.Fault{Text: c.standing.Economy.Reason}, *c.standing.Economy))
	return tier
}

const economy = "economy"

// begin opens the row of a call: who, when, and in which trace.
func (g *Gateway) begin(ctx context.Context, req *Request) *call {
	now := time.Now()
	c := calls.Get().(*call)
	c.g, c.ctx, c.req, c.log, c.keep, c.table = g, ctx, req, g.log, keepOutside, g.table.Load()
	c.asked.shape, c.bodies.sent = shapeOf(req.Surface), req.Body
	parent := telemetry.Current(ctx)
	here := telemetry.SpanContext{TraceID: parent.TraceID, SpanID: telemetry.NewSpanID(), Sampled: true}
	if !parent.Valid() {
		here.TraceID = telemetry.NewTraceID()
	}
	c.traceparent = here.Traceparent()
	c.row = llm.Call{
		ID: id.At("call", now), Start: now, Surface: req.Surface, RequestSize: int64(len(req.Body)),
		TraceID: here.TraceID, SpanID: here.SpanID,
	}
	if parent.Valid() {
		c.row.ParentSpanID = parent.SpanID
	}
	if who := caller.From(ctx); who != nil {
		c.row.Environment, c.row.BusinessUnit, c.row.Workflow, c.row.KeyID = who.Environment, who.BusinessUnit, who.Workflow, who.KeyID
		c.spender = llm.Spender{Environment: who.Environment, BusinessUnit: who.BusinessUnit, Workflow: who.Workflow, KeyID: who.KeyID, KeyName: who.KeyName}
	}
	c.policy = c.table.workflows[c.row.Workflow]
	if c.rules = c.table.rulesFor(c.policy); c.rules != nil {
		c.row.Redaction = c.rules.Version()
	}
	c.row.User, c.row.Session, c.row.Tags = c.named(req.User), c.named(req.Session), c.tagged(req.Tags)
	return c
}

// admit writes the call down before anything is sent. The row carries what the call is expected to use, for the case
// that this process does not live to say what it was; under a hard budget that is the most it can use, so that what was
// spent is never more than what was counted.
func (c *call) admit() error {
	c.serveFrom(c.firstFit())
	c.charge(c.expected())
	if c.bounded {
		c.dearest()
	}
	c.keepRequest()
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
	maxUser        = 256       // bytes of a user in the row
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
	c.charge(llm.Usage{})
	if d := decision(f); d != "" {
		c.row.Decision = d
	}
	c.endAttempt(outcome, f.Text)
	c.finish(outcome, f)
	return f
}

// gone is the end of a call whose caller left.
func (c *call) gone() *fault.Fault { return fault.As(c.ctx.Err()) }

// finish writes the row, once.
func (c *call) finish(outcome llm.Outcome, problem *fault.Fault) {
	if c.finished {
		return
	}
	c.finished = true
	c.row.Outcome, c.row.Duration = outcome, time.Since(c.row.Start)
	if c.money != nil {
		c.money.Settle(Amount{USD: c.row.Cost, Tokens: c.row.Usage.Total()})
	}
	c.exit(c.row.Usage.Total())
	if outcome == llm.OK {
		c.g.note(c)
	}
	if problem != nil {
		c.row.ErrorKind, c.row.Error = string(problem.Kind), clip(c.hidden(problem.Text), 500)
		if problem.Kind == fault.Internal {
			c.log.Error("a call failed", "call", c.row.ID, "error", problem)
		}
	}
	c.keepAnswer()
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
	c.leave(neither, c.expected().Total())
	if !c.finished && (c.admitted || c.money != nil || c.taken != nil) {
		c.finish(llm.Failed, &fault.Fault{Kind: fault.Internal, Code: "internal", Text: "the call was left without an end"})
	}
	c.flight.abandon()
	c.endBodies()
	buffers.give(c.whole)
	c.dropEvents()
	*c = call{}
	calls.Put(c)
}

func (c *call) dropEvents() {
	streams.give(c.events)
	c.events = nil
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
