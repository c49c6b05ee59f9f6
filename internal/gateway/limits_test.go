package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/limit"
	"airfield/internal/llm"
)

// counted is an act that knows how many of it are going on.
func counted(now, most *atomic.Int64, do act) act {
	return func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		return do(ctx, a)
	}
}

func TestSlotsAreNeverExceededByTwoHundredCallsAtOnce(t *testing.T) {
	five := limit.Rate{Parallel: 5}
	for name, change := range map[string]func(c *gateway.Config){
		"of a workflow": func(c *gateway.Config) { c.Workflows["support"] = gateway.WorkflowConfig{Limits: five} },
		"of a key":      func(c *gateway.Config) { c.Workflows["support"] = gateway.WorkflowConfig{KeyLimits: five} },
		"of a model": func(c *gateway.Config) {
			m := c.Models["chat"]
			m.Limits = five
			c.Models["chat"] = m
		},
		"of a deployment": func(c *gateway.Config) { c.Models["chat"].Deployments[0].Limits = five },
	} {
		t.Run(name, func(t *testing.T) {
			var now, most atomic.Int64
			cfg := oneModel("a")
			cfg.Workflows = map[string]gateway.WorkflowConfig{"support": {}}
			change(&cfg)
			bubble(t, cfg, map[string]act{"a": counted(&now, &most, after(time.Second, works))}, func(t *testing.T, s *stage) {
				var all sync.WaitGroup
				var refused atomic.Int64
				for range 200 {
					all.Go(func() {
						if _, err := s.ask(ask); err != nil {
							if f := fault.As(err); f.Kind != fault.Limited || !strings.Contains(f.Text, "5 calls at once") || f.Detail == nil {
								t.Errorf("%+v", f)
							}
							refused.Add(1)
						}
					})
				}
				all.Wait()
				// In 30 seconds of waiting 30 rounds of five pass, and those that began at once.
				if n := refused.Load(); most.Load() != 5 || n < 40 || n > 50 {
					t.Errorf("%d at once, %d refused", most.Load(), n)
				}
			})
		})
	}
}

func TestRatesAreKeptAndWhoComesTooOftenWaits(t *testing.T) {
	cfg := oneModel("a")
	cfg.Routing = gateway.DefaultRouting()
	cfg.Routing.Queue.Wait = 2 * time.Minute
	cfg.Workflows = map[string]gateway.WorkflowConfig{"support": {Limits: limit.Rate{RequestsPerMinute: 60}}}
	bubble(t, cfg, map[string]act{"a": works}, func(t *testing.T, s *stage) {
		start := time.Now()
		var all sync.WaitGroup
		for range 120 {
			all.Go(func() {
				if _, err := s.ask(ask); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took < 59*time.Second || took > 62*time.Second {
			t.Errorf("120 calls at 60 a minute, 60 at once, took %s", took)
		}
	})
}

func TestACallThatWaitedInVainSaysForWhat(t *testing.T) {
	cfg := oneModel("a")
	cfg.Workflows = map[string]gateway.WorkflowConfig{"support": {Limits: limit.Rate{Parallel: 1}}}
	bubble(t, cfg, map[string]act{"a": hangs}, func(t *testing.T, s *stage) {
		ctx, stop := context.WithCancel(t.Context())
		go s.call(ctx, gateway.Request{Body: []byte(ask)})
		synctest.Wait()
		var all sync.WaitGroup
		for range 3 { // those behind the first are never tried
			all.Go(func() {
				_, err := s.ask(ask)
				f := fault.As(err)
				d, ok := f.Detail.(*llm.Decision)
				if f.Kind != fault.Limited || !ok || d.Name != "workflow:support" || d.Limit != "1" || d.Spent != "1" || d.Waited != 30_000 || d.Unit != "parallel" {
					t.Errorf("%+v %+v", f, f.Detail)
				}
			})
		}
		all.Wait()
		stop()
	})
	cfg = oneModel("a")
	cfg.Models["chat"].Deployments[0].Limits = limit.Rate{Parallel: 1}
	bubble(t, cfg, map[string]act{"a": hangs}, func(t *testing.T, s *stage) {
		ctx, stop := context.WithCancel(t.Context())
		go s.call(ctx, gateway.Request{Body: []byte(ask)})
		synctest.Wait()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				_, err := s.ask(ask)
				if f := fault.As(err); f.Kind != fault.Limited || !strings.Contains(f.Text, "deployment up/a is limited to 1 call at once, of which 1 are used") {
					t.Errorf("%+v", f)
				}
			})
		}
		all.Wait()
		stop()
	})
}

func TestARequestThatCanNeverFitIsRefusedAtOnceAlsoWhileOthersWait(t *testing.T) {
	cfg := oneModel("a")
	cfg.Workflows = map[string]gateway.WorkflowConfig{"support": {Limits: limit.Rate{TokensPerMinute: 2000, Parallel: 1}}}
	huge := `{"model":"chat","max_tokens":5000,"messages":[]}`
	bubble(t, cfg, map[string]act{"a": after(10*time.Second, works)}, func(t *testing.T, s *stage) {
		for _, others := range []int{0, 2} {
			var all sync.WaitGroup
			for range others {
				all.Go(func() { s.ask(ask) })
				synctest.Wait()
			}
			start := time.Now()
			_, err := s.ask(huge)
			if f := fault.As(err); f.Kind != fault.Limited || !strings.Contains(f.Text, "asks for more than workflow support is limited to 2000 tokens per minute") {
				t.Errorf("%+v", f)
			}
			if others == 0 && time.Since(start) != 0 {
				t.Errorf("after %s", time.Since(start))
			}
			all.Wait()
		}
	})
	cfg = oneModel("a", "b")
	cfg.Models["chat"].Deployments[0].Limits = limit.Rate{TokensPerMinute: 2000}
	bubble(t, cfg, map[string]act{"a": works, "b": works}, func(t *testing.T, s *stage) {
		if _, err := s.ask(huge); err != nil || s.order() != "b" {
			t.Error(err, s.order())
		}
	})
}

func TestTokensAreCorrectedToWhatWasUsed(t *testing.T) {
	m := model("a")
	m.Limits = limit.Rate{TokensPerMinute: 100_000}
	m.Deployments[0].Limits = limit.Rate{TokensPerMinute: 100_000}
	cfg := gateway.Config{Models: map[string]gateway.ModelConfig{"chat": m}, Workflows: map[string]gateway.WorkflowConfig{"support": {Limits: limit.Rate{TokensPerMinute: 100_000}}}}
	cfg.Routing = gateway.DefaultRouting()
	cfg.Routing.Backoff = time.Nanosecond
	cfg.Routing.MaxBackoff = time.Nanosecond
	used := func(s *stage) (list []int64) {
		for _, l := range s.State(context.Background()).Limits {
			list = append(list, l.Used)
		}
		return list
	}
	for name, c := range map[string]struct {
		act  act
		want int64
	}{
		"after an answer":        {works, 110},
		"after a refusal":        {answers(400, oops), 0},
		"after a failed attempt": {inTurn(answers(500, oops), works), 110},
	} {
		bubble(t, cfg, map[string]act{"a": c.act}, func(t *testing.T, s *stage) {
			s.ask(`{"model":"chat","max_tokens":50000,"messages":[]}`)
			for _, n := range used(s) {
				if n < c.want-3 || n > c.want { // time gives some back
					t.Errorf("%s: %v", name, used(s))
				}
			}
		})
	}
}

func TestThroughTheGatewayUrgentCallsGoFirstAndWorkflowsTakeTurns(t *testing.T) {
	cfg := oneModel("a")
	cfg.Models["chat"].Deployments[0].Limits = limit.Rate{Parallel: 1}
	cfg.Routing = gateway.DefaultRouting()
	cfg.Routing.Queue.Wait = time.Hour
	cfg.Workflows = map[string]gateway.WorkflowConfig{"greedy": {}, "modest": {}, "urgent": {Priority: "high"}, "idle": {Priority: "low"}}
	var mu sync.Mutex
	var order []string
	do := func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		mu.Lock()
		order = append(order, caller.From(ctx).Workflow)
		mu.Unlock()
		return after(time.Second, works)(ctx, a)
	}
	bubble(t, cfg, map[string]act{"a": do}, func(t *testing.T, s *stage) {
		var all sync.WaitGroup
		for _, w := range []string{"greedy", "greedy", "greedy", "greedy", "idle", "modest", "urgent", "modest"} {
			all.Go(func() {
				s.call(caller.With(t.Context(), &caller.Caller{Workflow: w}), gateway.Request{Body: []byte(ask)})
			})
			synctest.Wait()
		}
		all.Wait()
		got := strings.Join(order, " ")
		if !strings.HasPrefix(got, "greedy urgent ") || !strings.HasSuffix(got, " idle") || slices.Index(order, "modest") > 3 {
			t.Error(got)
		}
	})
}

func TestAFullQueueRefusesAtOnceAndTheLadderIsStillThere(t *testing.T) {
	cfg := oneModel("a")
	cfg.Models["chat"].Deployments[0].Limits = limit.Rate{Parallel: 1}
	cfg.Routing = gateway.DefaultRouting()
	cfg.Routing.Queue.Length = 3
	cfg.Workflows = map[string]gateway.WorkflowConfig{"support": {}, "docs": {Degrade: []gateway.RungConfig{{Extractive: []string{"handbook"}}}}}
	bubble(t, cfg, map[string]act{"a": hangs}, func(t *testing.T, s *stage) {
		ctx, stop := context.WithCancel(t.Context())
		for i := range 4 {
			go s.call(ctx, gateway.Request{Body: []byte(fmt.Sprintf(`{"model":"chat","seed":%d}`, i))})
			synctest.Wait()
		}
		start := time.Now()
		_, err := s.ask(ask)
		if f := fault.As(err); f.Code != "queue_full" || f.Kind != fault.Limited || f.RetryAfter == 0 || f.Detail == nil || time.Since(start) != 0 {
			t.Errorf("%+v", f)
		}
		w, err := s.call(caller.With(t.Context(), &caller.Caller{Workflow: "docs"}), gateway.Request{Body: []byte(ask)})
		if err != nil || w.Header().Get("X-Airfield-Degraded") != "extractive" {
			t.Error(err, w.Header())
		}
		stop()
	})
}

// Who can be served by one deployment alone keeps nobody from the others.
func TestACallThatNeedsWhatIsFullHoldsUpOnlyThoseWhoNeedTheSame(t *testing.T) {
	cfg := oneModel("a", "b")
	cfg.Models["chat"].Deployments[0].Limits = limit.Rate{Parallel: 1}
	cfg.Models["chat"].Deployments[1].Lacks = []string{"tools"}
	bubble(t, cfg, map[string]act{"a": hangs, "b": works}, func(t *testing.T, s *stage) {
		ctx, stop := context.WithCancel(t.Context())
		for range 3 {
			go s.call(ctx, gateway.Request{Body: []byte(`{"model":"chat","tools":[]}`)})
			synctest.Wait()
		}
		start := time.Now()
		for range 10 {
			if _, err := s.ask(ask); err != nil || time.Since(start) != 0 {
				t.Fatal(err, time.Since(start))
			}
		}
		stop()
	})
}

// A slot may come free at any moment, however long the breaker of another deployment stays open.
func TestAFreeSlotIsWaitedForThoughAnotherDeploymentIsDownForLong(t *testing.T) {
	cfg := oneModel("a", "b")
	cfg.Models["chat"].Deployments[1].Limits = limit.Rate{Parallel: 1}
	bubble(t, cfg, map[string]act{"a": answers(429, oops, "3000"), "b": after(5*time.Second, works)}, func(t *testing.T, s *stage) {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if w, err := s.ask(ask); err != nil || w.Code != 200 {
					t.Error(err, w.Code)
				}
			})
		}
		all.Wait()
	})
}
