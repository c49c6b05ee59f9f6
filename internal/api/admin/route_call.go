package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
	"airfield/internal/observe"
)

// CallPage is a page of calls. Next continues it: a call's id for lists, a place for following.
type CallPage struct {
	Calls []Call `json:"calls"`
	Next  string `json:"next,omitempty"`
}

// Trace is one action as a tree.
type Trace struct {
	TraceID    string    `json:"trace_id"`
	StartedAt  time.Time `json:"started_at"`
	DurationMS float64   `json:"duration_ms"`
	Truncated  bool      `json:"truncated,omitempty"`
	Spans      []Node    `json:"spans"`
}

// Node is a piece of work in a trace: a span, a call or an attempt.
type Node struct {
	Kind       string            `json:"kind"`
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name"`
	StartedAt  time.Time         `json:"started_at"`
	DurationMS float64           `json:"duration_ms"`
	Error      string            `json:"error,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Children   []Node            `json:"children,omitempty"`
}

// CostRow is the sum of a group.
type CostRow struct {
	Group        string      `json:"group"`
	Calls        int64       `json:"calls"`
	Errors       int64       `json:"errors"`
	Unpriced     int64       `json:"unpriced" doc:"Calls whose cost is not known and not in the sum."`
	InputTokens  int64       `json:"input_tokens"`
	OutputTokens int64       `json:"output_tokens"`
	CostUSD      money.Nanos `json:"cost_usd"`
	P50MS        float64     `json:"p50_ms"`
	P95MS        float64     `json:"p95_ms"`
	P99MS        float64     `json:"p99_ms"`
}

// Costs are sums by a dimension.
type Costs struct {
	By   string    `json:"by"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Rows []CostRow `json:"rows"`
}

type callsIn struct {
	Workflow string    `query:"workflow"`
	Model    string    `query:"model"`
	Outcome  string    `query:"outcome" enum:"ok,error,broken,cancelled,cut"`
	TraceID  string    `query:"trace"`
	Prompt   string    `query:"prompt"`
	Version  int       `query:"prompt_version" minimum:"0"`
	Since    time.Time `query:"since"`
	Until    time.Time `query:"until"`
	Before   string    `query:"before" doc:"Id of the last call of the page before."`
	Limit    int       `query:"limit" minimum:"0" maximum:"1000"`
}

type followIn struct {
	Workflow string `query:"workflow"`
	Model    string `query:"model"`
	Outcome  string `query:"outcome"`
	Prompt   string `query:"prompt"`
	Version  int    `query:"prompt_version" minimum:"0"`
	After    string `query:"after" doc:"The next of the answer before; nothing begins now."`
}

type callIn struct {
	ID string `path:"id"`
}

type costsIn struct {
	By   string    `query:"by" default:"workflow" enum:"hour,environment,business_unit,workflow,surface,model,deployment"`
	From time.Time `query:"from" doc:"By default the beginning of this month, UTC."`
	To   time.Time `query:"to"`
}

// flushTime is how long a list waits so that calls that have ended are in it.
const flushTime = 500 * time.Millisecond

// flush brings what has ended into the database. Where that is away the list shows what is there.
func (d *Door) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	_ = d.System.Flush(ctx)
}

func (d *Door) registerCalls(a huma.API) {
	add(a, d.Log, route{http.MethodGet, "/api/calls", "listCalls", "Calls, newest first", readers}, func(ctx context.Context, in *callsIn) (CallPage, error) {
		d.flush(ctx)
		if in.Limit == 0 {
			in.Limit = 50
		}
		calls, err := d.Calls.Calls(ctx, observe.Filter{Workflow: in.Workflow, Model: in.Model, Outcome: llm.Outcome(in.Outcome), TraceID: in.TraceID, Prompt: in.Prompt, Version: in.Version, Since: in.Since, Until: in.Until, Before: in.Before, Limit: in.Limit})
		if err == nil {
			err = d.Bodies.Resolve(ctx, calls)
		}
		page := CallPage{Calls: shown(calls)}
		if n := len(calls); n == in.Limit {
			page.Next = calls[n-1].ID
		}
		return page, err
	})
	add(a, d.Log, route{http.MethodGet, "/api/calls/follow", "followCalls", "Calls as they end: ask again with next", readers}, d.follow)
	add(a, d.Log, route{http.MethodGet, "/api/calls/{id}", "getCall", "One call with its attempts", readers}, func(ctx context.Context, in *callIn) (Call, error) {
		d.flush(ctx)
		c, err := d.Calls.Call(ctx, in.ID)
		if err == nil {
			c, err = d.resolved(ctx, c)
		}
		return callOf(c), err
	})
	add(a, d.Log, route{http.MethodGet, "/api/traces/{id}", "getTrace", "A trace as a tree", readers}, func(ctx context.Context, in *callIn) (Trace, error) {
		d.flush(ctx)
		t, err := d.Calls.Trace(ctx, in.ID)
		return Trace{TraceID: t.ID, StartedAt: t.Start, DurationMS: millis(t.Duration), Truncated: t.Truncated, Spans: nodesOf(t.Roots)}, err
	})
	add(a, d.Log, route{http.MethodGet, "/api/costs", "costs", "Calls, tokens and cost by a dimension, from the hourly roll-ups", readers}, d.costs)
}

func shown(calls []llm.Call) []Call {
	list := make([]Call, len(calls))
	for i, c := range calls {
		list[i] = callOf(c)
	}
	return list
}

func nodesOf(nodes []*observe.Node) []Node {
	list := make([]Node, len(nodes))
	for i, n := range nodes {
		list[i] = Node{Kind: n.Kind, ID: n.ID, Name: n.Name, StartedAt: n.Start, DurationMS: millis(n.Duration), Error: n.Error, Attributes: n.Attributes, Children: nodesOf(n.Children)}
	}
	return list
}

// follow returns what was recorded since the place that the caller got with the answer before.
func (d *Door) follow(ctx context.Context, in *followIn) (CallPage, error) {
	var place observe.Place
	if in.After != "" {
		text, err := base64.RawURLEncoding.DecodeString(in.After)
		if err == nil {
			err = json.Unmarshal(text, &place)
		}
		if err != nil {
			return CallPage{}, fault.New(fault.Invalid, "after", "after is the next of the answer before, not %q", in.After).At("after")
		}
	}
	calls, place, err := d.Calls.Follow(ctx, place, 500)
	if err == nil {
		err = d.Bodies.Resolve(ctx, calls)
	}
	if err != nil {
		return CallPage{}, err
	}
	text, err := json.Marshal(place)
	page := CallPage{Calls: []Call{}, Next: base64.RawURLEncoding.EncodeToString(text)}
	for _, c := range calls {
		if (in.Workflow == "" || c.Workflow == in.Workflow) && (in.Model == "" || c.Model == in.Model) && (in.Outcome == "" || string(c.Outcome) == in.Outcome) &&
			(in.Prompt == "" || c.Prompt == in.Prompt) && (in.Version == 0 || c.Version == in.Version) {
			page.Calls = append(page.Calls, callOf(c))
		}
	}
	return page, err
}

func (d *Door) costs(ctx context.Context, in *costsIn) (Costs, error) {
	d.flush(ctx)
	if in.From.IsZero() {
		now := time.Now().UTC()
		in.From = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	if in.To.IsZero() {
		in.To = time.Now().UTC().Add(time.Hour).Truncate(time.Hour)
	}
	rows, err := d.Calls.Usage(ctx, observe.UsageFilter{From: in.From, To: in.To, By: []string{in.By}, Latency: true})
	out := Costs{By: in.By, From: in.From, To: in.To, Rows: []CostRow{}}
	for _, r := range rows {
		out.Rows = append(out.Rows, CostRow{
			Group: r.Group[in.By], Calls: r.Calls, Errors: r.Errors, Unpriced: r.Unpriced, InputTokens: r.Usage.Prompt(), OutputTokens: r.Usage.Completion(),
			CostUSD: r.Cost, P50MS: millis(r.P50), P95MS: millis(r.P95), P99MS: millis(r.P99),
		})
	}
	return out, err
}

// register adds every operation.
func (d *Door) register(a huma.API) {
	d.registerDocuments(a)
	d.registerLifecycle(a)
	d.registerRefresh(a)
	d.registerRuns(a)
	d.registerAccess(a)
	d.registerCalls(a)
	d.registerBodies(a)
	d.registerRoutes(a)
	d.registerBudgets(a)
	d.registerBatches(a)
	d.registerPrices(a)
	d.registerPrompts(a)
	for _, s := range d.streams() {
		s.describe(a)
	}
	add(a, d.Log, route{http.MethodGet, "/api/status", "status", "How the process and its parts are", readers}, func(ctx context.Context, _ *struct{}) (ServerStatus, error) {
		return d.System.Status(ctx), nil
	})
	add(a, d.Log, route{http.MethodPost, "/api/reload", "reload", "Take over the configuration file as it is now; returns the keys that changed", operators}, func(ctx context.Context, _ *struct{}) ([]string, error) {
		changes, err := d.System.Reload(ctx)
		return append([]string{}, changes...), err
	})
	add(a, d.Log, route{http.MethodPost, "/api/flush", "flush", "Wait until every call that ended is in the database", operators}, func(ctx context.Context, _ *struct{}) (none, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return none{}, d.System.Flush(ctx)
	})
}
