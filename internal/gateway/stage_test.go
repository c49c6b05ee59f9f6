package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/cache"
	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/provider/openai"
	"airfield/internal/limit"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// act is what a provider does with an attempt. Tests about time use these inside a bubble, where there is no network.
type act func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error)

// stage is a gateway with everything on, before providers that act as a test says.
type stage struct {
	*gateway.Gateway
	t       *testing.T
	log     *log
	purse   *purse
	limiter *limit.Memory

	builtin struct{ gateway.Provider } // what serves the builtin models, for tests that ask them

	mu     sync.Mutex
	acts   map[string]act // by the provider's name of the model
	asked  []string
	bodies []string
	alerts []gateway.Alert
}

// model names its deployments by what they are called upstream.
func model(upstreams ...string) gateway.ModelConfig {
	var m gateway.ModelConfig
	for _, u := range upstreams {
		m.Deployments = append(m.Deployments, gateway.DeploymentConfig{Provider: "up", Model: u, Prices: &gateway.PriceConfig{Input: money.Dollar, Output: 10 * money.Dollar}})
	}
	return m
}

func stageProviders() map[string]gateway.ProviderConfig {
	return map[string]gateway.ProviderConfig{"up": {Kind: "stage", BaseURL: "http://127.0.0.1:1", Timeouts: gateway.Timeouts{FirstByte: time.Minute}}}
}

func newStage(t *testing.T, c gateway.Config, acts map[string]act) *stage {
	t.Helper()
	s := &stage{t: t, log: &log{}, purse: &purse{t: t}, limiter: limit.NewMemory(), acts: acts}
	s.builtin.Provider = nothing{}
	kept, err := cache.NewMemory(cache.Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	if c.Providers == nil {
		c.Providers = stageProviders()
	}
	if c.Routing == (gateway.Routing{}) {
		c.Routing = gateway.DefaultRouting()
	}
	all := kinds()
	all["stage"] = func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) { return s, nil }
	all[gateway.Builtin] = func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) { return &s.builtin, nil }
	s.Gateway, err = gateway.New(c, gateway.Parts{
		Kinds: all, Prices: priceList{}, Recorder: s.log, Budgets: s.purse, Limiter: s.limiter, Cache: kept, Log: slog.New(slog.DiscardHandler),
		Extractor: quoting{}, Alert: func(a gateway.Alert) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.alerts = append(s.alerts, a)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Gateway.Close() })
	return s
}

// Send acts; Close is the provider's.
func (s *stage) Send(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, a.Model)
	s.bodies = append(s.bodies, string(a.Body))
	do := s.acts[a.Model]
	s.mu.Unlock()
	return do(ctx, a)
}

func (*stage) Takes(llm.Surface) bool   { return true }
func (*stage) Dialect() neutral.Dialect { return nil }
func (s *stage) Close() error           { return nil }

func (s *stage) set(upstream string, do act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts[upstream] = do
}

func (s *stage) order() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, " ")
}

func (s *stage) told(kind string) (list []gateway.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alerts {
		if a.Kind == kind {
			list = append(list, a)
		}
	}
	return list
}

var support = &caller.Caller{KeyID: "key_1", Workflow: "support", BusinessUnit: "service", Environment: "dev", Clearance: caller.Internal}

// call makes a call as a workflow and returns what the door would see.
func (s *stage) call(ctx context.Context, req gateway.Request) (*httptest.ResponseRecorder, error) {
	w := httptest.NewRecorder()
	if caller.From(ctx) == nil {
		ctx = caller.With(ctx, support)
	}
	if req.Surface == "" {
		req.Surface = llm.ChatCompletions
	}
	return w, s.Do(ctx, &req, w)
}

func (s *stage) ask(body string) (*httptest.ResponseRecorder, error) {
	return s.call(context.Background(), gateway.Request{Body: []byte(body)})
}

// row is the last row.
func (s *stage) row() llm.Call {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.finished[len(s.log.finished)-1]
}

// balanced checks that nothing is held when nobody calls: no money, no slot, no call in flight, nobody waiting.
func (s *stage) balanced(asks ...limit.Ask) {
	s.t.Helper()
	s.purse.balanced()
	st := s.State(context.Background())
	for _, d := range st.Deployments {
		if d.InFlight != 0 {
			s.t.Errorf("%d calls are in flight at %s", d.InFlight, d.Deployment)
		}
	}
	if len(st.Waiting) != 0 {
		s.t.Errorf("%v wait", st.Waiting)
	}
	for _, l := range st.Limits {
		if l.Unit == string(limit.Parallel) && l.Used != 0 {
			s.t.Errorf("%d slots of %s are held", l.Used, l.Name)
		}
	}
}

func answers(status int, body string, header ...string) act {
	return func(_ context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		r := &gateway.Response{Status: status, ContentType: "application/json", Size: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Meter: openai.NewMeter(a.Surface)}
		if len(header) > 0 {
			r.RetryAfter = header[0]
		}
		return r, nil
	}
}

var works = answers(200, whole)

const oops = `{"error":{"message":"oops"}}`

func fails(context.Context, *gateway.Attempt) (*gateway.Response, error) {
	return nil, fault.New(fault.Upstream, "upstream_broken", "it broke the connection")
}

func hangs(ctx context.Context, _ *gateway.Attempt) (*gateway.Response, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func after(d time.Duration, do act) act {
	return func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		select {
		case <-time.After(d):
			return do(ctx, a)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// inTurn acts differently each time; the last act stays.
func inTurn(acts ...act) act {
	var mu sync.Mutex
	return func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		mu.Lock()
		do := acts[0]
		if len(acts) > 1 {
			acts = acts[1:]
		}
		mu.Unlock()
		return do(ctx, a)
	}
}

// streams answers with a stream that ends with err, or stays open where that is nil.
func streams(err error, parts ...string) act {
	return func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		return &gateway.Response{Status: 200, ContentType: "text/event-stream", Stream: true, Size: -1, Meter: openai.NewMeter(a.Surface), Body: &script{ctx, slices.Clone(parts), err}}, nil
	}
}

type script struct {
	ctx   context.Context
	parts []string
	err   error
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.parts) > 0 {
		n := copy(p, s.parts[0])
		if s.parts[0] = s.parts[0][n:]; s.parts[0] == "" {
			s.parts = s.parts[1:]
		}
		return n, nil
	}
	if s.err == nil {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	return 0, s.err
}

func (*script) Takes(llm.Surface) bool   { return true }
func (*script) Dialect() neutral.Dialect { return nil }
func (s *script) Close() error           { return nil }

var errReset = errors.New("connection reset by peer")

// purse is a budget as the gateway's interface has it, that counts.
type purse struct {
	t        *testing.T
	standing gateway.Standing
	limit    money.Nanos // 0: any

	mu          sync.Mutex
	held, spent money.Nanos
	reserved    int
	settled     int
	raises      []gateway.Amount
	asked       []gateway.Amount
	freed       chan struct{}
	refuse      error
	refuseRaise bool
	tokensSpent int64
	spender     llm.Spender // who was asked about last
}

func (p *purse) Standing(s *llm.Spender, _ time.Time) gateway.Standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spender = *s
	return p.standing
}

func (p *purse) Reserve(ctx context.Context, _ *llm.Spender, _ time.Time, most gateway.Amount) (gateway.Hold, error) {
	for {
		p.mu.Lock()
		p.asked = append(p.asked, most)
		if p.refuse != nil {
			p.mu.Unlock()
			return nil, p.refuse
		}
		if p.limit == 0 || p.held+p.spent+most.USD <= p.limit {
			p.held += most.USD
			p.reserved++
			p.mu.Unlock()
			return &hold{p: p, most: most.USD}, nil
		}
		if p.freed == nil {
			p.freed = make(chan struct{})
		}
		freed := p.freed
		p.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			f := fault.New(fault.Limited, "budget_exceeded", "the budget is used up")
			f.Detail = &llm.Decision{Rule: "budget", Name: "purse", Reason: f.Text}
			return nil, f
		}
	}
}

func (p *purse) balanced() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != 0 || p.reserved != p.settled {
		p.t.Errorf("%d nano-dollars are held, %d were reserved and %d settled", p.held, p.reserved, p.settled)
	}
}

type hold struct {
	p       *purse
	most    money.Nanos
	settled bool
}

func (h *hold) Raise(most gateway.Amount) error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if h.settled {
		h.p.t.Error("a hold was raised after it was settled")
	}
	h.p.raises = append(h.p.raises, most)
	if more := most.USD - h.most; more > 0 && (h.p.refuseRaise || h.p.limit > 0 && h.p.held+h.p.spent+more > h.p.limit) {
		return fault.New(fault.Limited, "budget_exceeded", "the budget has no room for a dearer deployment")
	}
	h.p.held += most.USD - h.most
	h.most = most.USD
	return nil
}

func (h *hold) Settle(used gateway.Amount) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if h.settled {
		h.p.t.Error("a hold was settled twice")
		return
	}
	h.settled = true
	h.p.settled++
	h.p.held -= h.most
	h.p.spent += used.USD
	h.p.tokensSpent += used.Tokens
	if h.p.freed != nil {
		close(h.p.freed)
		h.p.freed = nil
	}
}

func (h *hold) Mark(row *llm.Call) {
	row.Lease, row.Holds = "lease_1", []llm.Hold{{Account: "purse"}}
}

// quoting finds an answer to every question about parcels.
type quoting struct{}

func (quoting) Extract(_ context.Context, collections []string, question string) (gateway.Extract, error) {
	if !strings.Contains(question, "parcel") {
		return gateway.Extract{}, nil
	}
	return gateway.Extract{Found: true, Text: "Parcels take two days.", Citations: []string{collections[0] + "/parcels.md"}}, nil
}

func is(err error, kind fault.Kind) bool { return err != nil && fault.As(err).Kind == kind }
