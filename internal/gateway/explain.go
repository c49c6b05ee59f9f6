package gateway

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/limit"
	"airfield/internal/money"
)

// RouteExplanation says what would become of a request now, and why. Nothing is sent and nothing taken.
type RouteExplanation struct {
	Workflow     string      `json:"workflow,omitempty"`
	Model        string      `json:"model" doc:"The model that is asked first."`
	Refused      string      `json:"refused,omitempty" doc:"Why the workflow may not make this call at all."`
	Moved        string      `json:"moved,omitempty" doc:"Why that is another one than was asked for."`
	Needs        []string    `json:"needs" doc:"What the request needs a model to be able to."`
	InputTokens  int64       `json:"input_tokens" doc:"Estimated."`
	OutputTokens int64       `json:"output_tokens" doc:"Expected, up to the request's own bound."`
	HardBudget   bool        `json:"hard_budget" doc:"A hard budget applies: the most that the call can cost is held for it."`
	Cache        string      `json:"cache" doc:"Whether its answer is kept: on, off, bypass where the request cannot be, or hit where it is there."`
	Candidates   []Candidate `json:"candidates"`
	Limits       []LimitUse  `json:"limits"`
	Ladder       []string    `json:"ladder" doc:"What is tried when no candidate can serve it."`
}

// Candidate is one deployment that could serve the request.
type Candidate struct {
	Order       int         `json:"order" doc:"In which it would be asked; 0 where it would not."`
	Model       string      `json:"model"`
	Deployment  string      `json:"deployment"`
	State       string      `json:"state" enum:"first,next,not_now,never"`
	Reason      string      `json:"reason"`
	Until       time.Time   `json:"until,omitzero" doc:"Until when it is not asked."`
	Priced      bool        `json:"priced"`
	ExpectedUSD money.Nanos `json:"expected_usd"`
	MostUSD     money.Nanos `json:"most_usd" doc:"What is held for it under a hard budget."`
	InFlight    int64       `json:"in_flight"`
	Breaker     string      `json:"breaker"`
}

// LimitUse is what of a limit is used.
type LimitUse struct {
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	Limit int64  `json:"limit"`
	Used  int64  `json:"used"`
}

// Explain says what would become of a request of a workflow.
func (g *Gateway) Explain(ctx context.Context, workflow string, req *Request) (RouteExplanation, error) {
	who := &caller.Caller{Role: caller.Workflow, Workflow: workflow}
	if from := caller.From(ctx); from != nil {
		who.Environment = from.Environment
	}
	t := g.table.Load()
	if w := t.workflows[workflow]; w != nil {
		who.BusinessUnit, who.Clearance = w.BusinessUnit, w.Clearance
	} else if workflow != "" {
		return RouteExplanation{}, fault.New(fault.NotFound, "workflow_not_found", "there is no workflow %q", workflow).At("workflow").
			Hinted("airfield.yaml names %v", slices.Sorted(maps.Keys(t.workflows)))
	}
	c := g.begin(caller.With(ctx, who), req)
	refused := c.measure()
	if err := c.render(http.Header{}); err != nil {
		return RouteExplanation{}, err
	}
	req = c.req
	var err error
	if c.asked, err = decode(req.Surface, req.Body); err != nil {
		return RouteExplanation{}, err
	}
	c.row.Model = c.asked.model
	m, err := c.table.find(req.Surface, c.asked.model)
	if err != nil {
		return RouteExplanation{}, err
	}
	for _, step := range []func() error{c.permit, c.guard} {
		if refused == nil {
			refused = step()
		}
	}
	c.stand()
	m = c.moved(m)
	c.plan(m.chain)
	e := RouteExplanation{
		Workflow: workflow, Model: m.name, Needs: []string{}, InputTokens: c.expected().Input, OutputTokens: c.expected().Output, HardBudget: c.bounded, Cache: c.cached(),
		Candidates: []Candidate{}, Limits: c.uses(), Ladder: []string{},
	}
	if refused != nil {
		e.Refused = fault.As(refused).Text
	}
	if c.row.Degraded != "" {
		e.Moved = c.standing.Economy.Reason
	}
	for needs := c.asked.needs(req.Body); needs != 0; {
		name := needs.first()
		e.Needs, needs = append(e.Needs, name), needs&^abilities[name]
	}
	for _, r := range c.rungs() {
		e.Ladder = append(e.Ladder, r.name())
	}
	order := 0
	for r := range c.routes {
		for i := range c.routes[r].list {
			e.Candidates = append(e.Candidates, c.candidate(&c.routes[r].list[i], &order))
		}
	}
	return e, nil
}

// candidate is what stands for and against a deployment.
func (c *call) candidate(t *tried, order *int) Candidate {
	d := t.d
	v := Candidate{Model: d.model.name, Deployment: d.name, InFlight: d.health.inflight.Load(), Breaker: d.health.breaker.state(time.Now())}
	if price, ok := d.priceAt(c.g.prices, c.row.Start); ok {
		v.Priced, v.ExpectedUSD = true, price.Cost(c.expected())
		v.MostUSD = c.boundAt(d).most.USD
	}
	if t.unfit != "" {
		v.State, v.Reason = "never", t.unfit
		return v
	}
	switch o, why := c.blocked(c.ctx, t); why {
	case isFree:
	case isNever:
		v.State, v.Reason = "never", o.reason
		return v
	default:
		v.State, v.Reason, v.Until = "not_now", o.reason, o.until
		return v
	}
	*order++
	v.Order, v.State = *order, "next"
	switch {
	case *order == 1:
		v.State, v.Reason = "first", "the first of "+d.model.name+" that can be asked"
		if choose := c.routes[0].model.Choose; choose != chooseOrder && choose != "" {
			v.Reason += ", which chooses by " + choose
		}
	case d.model == c.routes[0].model:
		v.Reason = "if those before it fail"
	default:
		v.Reason = "a fallback, if those before it fail"
	}
	return v
}

// cached says how the cache stands to the request.
func (c *call) cached() string {
	if c.g.cache == nil || c.policy == nil || c.policy.Cache.TTL <= 0 {
		return "off"
	}
	switch key, ok := c.cacheKey(); {
	case !ok:
		return cacheBypass
	case c.lookUp(key, c.policy.Cache.TTL) != nil:
		return cacheHit
	}
	return "on"
}

// uses is what is used of the limits that the caller falls under.
func (c *call) uses() []LimitUse { return c.g.uses(c.ctx, c.asks()) }

// why says in which way a deployment cannot be asked.
type why int

const (
	isFree why = iota
	isDown
	isPaused
	isFull
	isNever
)

// blocked says what keeps the call from a deployment that fits, without taking anything: what pick would find, but for
// what can be afforded.
func (c *call) blocked(ctx context.Context, t *tried) (obstacle, why) {
	now := time.Now()
	if o, is := t.d.health.obstacle(now, c.expected().Total()); is {
		return o, isDown
	}
	if now.Before(t.after) {
		return obstacle{justFailed, t.after}, isPaused
	}
	if len(t.d.asks) == 0 {
		return obstacle{}, isFree
	}
	tokens := c.tokensFor(t.d.asks)
	found, state := obstacle{}, isFree
	for _, use := range c.g.uses(ctx, t.d.asks) {
		asked := int64(1)
		if use.Unit == string(limit.TokensPerMinute) {
			asked = tokens
		}
		full := fullText(&limit.Full{Name: use.Name, Unit: limit.Unit(use.Unit), Limit: use.Limit, Used: use.Used})
		switch {
		case asked > use.Limit:
			return obstacle{reason: "the request asks for more than " + full}, isNever
		case use.Used+asked > use.Limit && state == isFree:
			found, state = obstacle{reason: full}, isFull
		}
	}
	return found, state
}

// RouteState is how the deployments, the queue and the limits are now.
type RouteState struct {
	Deployments []DeploymentState `json:"deployments"`
	Waiting     map[string]int    `json:"waiting" doc:"Calls in the queue, by workflow."`
	Limits      []LimitUse        `json:"limits"`
}

// DeploymentState is how one deployment is now, as this process sees it.
type DeploymentState struct {
	Deployment string    `json:"deployment"`
	Models     []string  `json:"models"`
	Breaker    string    `json:"breaker" enum:"closed,open,half-open"`
	InFlight   int64     `json:"in_flight"`
	Reason     string    `json:"reason,omitempty" doc:"Why it is not asked now."`
	Until      time.Time `json:"until,omitzero"`
}

// State reports how everything is that calls are brought to.
func (g *Gateway) State(ctx context.Context) RouteState {
	t := g.table.Load()
	s := RouteState{Deployments: []DeploymentState{}, Waiting: g.queue.Lengths(), Limits: []LimitUse{}}
	asked := map[string]bool{}
	models := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(t.models)) {
		for _, d := range t.models[name].deployments {
			models[d.name] = append(models[d.name], name)
			for _, ask := range d.asks {
				if !asked[ask.Name] {
					asked[ask.Name] = true
					s.Limits = append(s.Limits, g.uses(ctx, d.asks)...)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.workflows)) {
		s.Limits = append(s.Limits, g.uses(ctx, appendAsk(nil, t.workflows[name].ask))...)
	}
	slices.SortFunc(s.Limits, func(a, b LimitUse) int { return strings.Compare(a.Name+a.Unit, b.Name+b.Unit) })
	s.Limits = slices.Compact(s.Limits)
	for _, name := range slices.Sorted(maps.Keys(t.health)) {
		h := t.health[name]
		d := DeploymentState{Deployment: name, Models: models[name], Breaker: h.breaker.state(time.Now()), InFlight: h.inflight.Load()}
		if o, is := h.obstacle(time.Now(), 0); is {
			d.Reason, d.Until = o.reason, o.until
		}
		s.Deployments = append(s.Deployments, d)
	}
	return s
}
