package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// single asks each deployment once, so that every call is one attempt.
func single(c gateway.Config) gateway.Config {
	if c.Routing == (gateway.Routing{}) {
		c.Routing = gateway.DefaultRouting()
	}
	c.Routing.Attempts, c.Routing.Breaker.Failures, c.Routing.Breaker.Open = 1, 3, 15*time.Second
	return c
}

func (s *stage) breaker(deployment string) (state gateway.DeploymentState) {
	for _, d := range s.State(context.Background()).Deployments {
		if d.Deployment == deployment {
			state = d
		}
	}
	return state
}

// open fails until the breaker of up/a is open.
func (s *stage) open() {
	s.t.Helper()
	was := s.acts["a"]
	s.set("a", fails)
	for range 3 {
		s.ask(ask)
	}
	s.set("a", was)
	if b := s.breaker("up/a"); b.Breaker != "open" {
		s.t.Fatalf("%+v", b)
	}
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
}

func TestABreakerOpensAfterFailuresInARowIsPassedByAndClosesByAProbe(t *testing.T) {
	bubble(t, single(oneModel("a", "b")), map[string]act{"a": inTurn(fails, fails, works, fails, fails, fails), "b": works}, func(t *testing.T, s *stage) {
		for range 6 {
			if _, err := s.ask(ask); err != nil {
				t.Fatal(err)
			}
		}
		b := s.breaker("up/a")
		if b.Breaker != "open" || b.Reason == "" || time.Until(b.Until) != 15*time.Second {
			t.Fatalf("%+v", b)
		}
		if got := s.told("gateway.breaker"); len(got) != 1 || got[0].Resolved || got[0].Key != "up/a" {
			t.Fatalf("%+v", got)
		}
		before := s.order()
		s.ask(ask)
		if s.order() != before+" b" {
			t.Errorf("asked %s", s.order())
		}
		time.Sleep(16 * time.Second)
		if b := s.breaker("up/a"); b.Breaker != "half-open" || b.Reason != "" {
			t.Errorf("%+v", b)
		}
		s.ask(ask) // the probe fails
		if b := s.breaker("up/a"); b.Breaker != "open" {
			t.Errorf("%+v", b)
		}
		s.set("a", works)
		time.Sleep(16 * time.Second)
		s.ask(ask)
		if b := s.breaker("up/a"); b.Breaker != "closed" || b.Reason != "" {
			t.Errorf("%+v", b)
		}
		if got := s.told("gateway.breaker"); len(got) != 2 || !got[1].Resolved {
			t.Errorf("told %d times: %+v", len(got), got)
		}
	})
}

func TestOfAHundredCallsAtOnceOneIsTheProbe(t *testing.T) {
	bubble(t, single(oneModel("a", "b")), map[string]act{"a": works, "b": works}, func(t *testing.T, s *stage) {
		s.open()
		var probes atomic.Int64
		s.set("a", func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
			probes.Add(1)
			return after(time.Second, works)(ctx, a)
		})
		time.Sleep(16 * time.Second)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := s.ask(ask); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if b := s.breaker("up/a"); b.Breaker != "half-open" || !strings.Contains(b.Reason, "probe") {
			t.Errorf("%+v", b)
		}
		all.Wait()
		if probes.Load() != 1 || s.breaker("up/a").Breaker != "closed" {
			t.Errorf("%d probes, %+v", probes.Load(), s.breaker("up/a"))
		}
	})
}

func TestAProbeWhoseClientLeavesLetsTheNextCallProbe(t *testing.T) {
	bubble(t, single(oneModel("a")), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.open()
		s.set("a", inTurn(hangs, works))
		time.Sleep(16 * time.Second)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := s.call(ctx, gateway.Request{Body: []byte(ask)})
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !is(err, fault.Cancelled) {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := s.ask(ask); err != nil || time.Since(start) != 0 || s.breaker("up/a").Breaker != "closed" {
			t.Fatal(err, time.Since(start), s.breaker("up/a"))
		}
	})
}

// What was sent before the breaker opened says nothing about the probe.
func TestOldNewsIsNotTakenForTheProbes(t *testing.T) {
	for name, old := range map[string]act{
		"a stream that ends well":   after(17*time.Second, works),
		"one whose caller leaves":   hangs,
		"one that breaks very late": after(17*time.Second, fails),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, single(oneModel("a")), map[string]act{"a": old}, func(t *testing.T, s *stage) {
				ctx, leave := context.WithTimeout(t.Context(), 17*time.Second)
				defer leave()
				over := make(chan bool, 2)
				go func() { s.call(ctx, gateway.Request{Body: []byte(ask)}); over <- true }()
				synctest.Wait()
				s.open()
				s.set("a", after(10*time.Second, works))
				time.Sleep(16 * time.Second)
				go func() {
					if _, err := s.ask(ask); err != nil {
						t.Error(err)
					}
					over <- true
				}()
				<-over
				time.Sleep(time.Second)
				if b := s.breaker("up/a"); b.Breaker != "half-open" || !strings.Contains(b.Reason, "probe") {
					t.Errorf("while the probe is under way: %+v", b)
				}
				<-over
				if b := s.breaker("up/a"); b.Breaker != "closed" {
					t.Errorf("%+v", b)
				}
			})
		})
	}
}

func TestWhenEverythingIsOpenACallWaitsForTheEarliestRecovery(t *testing.T) {
	bubble(t, single(oneModel("a")), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.open()
		start := time.Now()
		if _, err := s.ask(ask); err != nil || time.Since(start) < 15*time.Second || time.Since(start) > 16*time.Second {
			t.Fatal(err, time.Since(start))
		}
		if row := s.row(); row.Waited < 15*time.Second {
			t.Errorf("%+v", row)
		}
	})
}

func TestWhenTheRecoveryIsTooLateACallIsRefusedAtOnceWithTheReason(t *testing.T) {
	bubble(t, single(oneModel("a")), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.open()
		start := time.Now()
		_, err := s.call(t.Context(), gateway.Request{Body: []byte(ask), Timeout: 10 * time.Second})
		f := fault.As(err)
		if f.Kind != fault.Unavailable || time.Since(start) != 0 || f.RetryAfter != 15*time.Second || !strings.Contains(f.Text, "up/a: its breaker is open") {
			t.Fatalf("%+v after %s", f, time.Since(start))
		}
		if d, ok := f.Detail.(*llm.Decision); !ok || d.FreesAt.Sub(start) != 15*time.Second || s.row().Decision == "" {
			t.Errorf("%+v", f.Detail)
		}
	})
}

func TestABreakersStateOutlivesAReload(t *testing.T) {
	cfg := single(oneModel("a"))
	bubble(t, cfg, map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.open()
		cfg.Providers = stageProviders()
		if err := s.Reload(cfg); err != nil || s.breaker("up/a").Breaker != "open" {
			t.Fatal(err, s.breaker("up/a"))
		}
		cfg.Routing.Breaker.Failures = 9
		if err := s.Reload(cfg); err != nil || s.breaker("up/a").Breaker != "closed" {
			t.Fatal(err, s.breaker("up/a"))
		}
		if got := s.told("gateway.breaker"); len(got) != 2 || !got[1].Resolved {
			t.Errorf("an alert of what was forgotten stays open: %+v", got)
		}
	})
}

// A provider that says what is left is slowed down for, and not stopped for, before it refuses.
func TestAProvidersOwnLimitsAreKeptBeforeItRefuses(t *testing.T) {
	var mu sync.Mutex
	left, limit, per := 10.0, 10.0, 6*time.Second // ten a minute
	refused, last := 0, time.Time{}
	provider := func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if !last.IsZero() {
			left = min(limit, left+float64(now.Sub(last))/float64(per))
		}
		if last = now; left < 1 {
			refused++
			return answers(429, oops)(ctx, a)
		}
		left--
		r, _ := works(ctx, a)
		r.Quota.Requests = gateway.Left{Known: true, Left: int64(left), Limit: 10, Reset: time.Duration((limit - left) * float64(per))}
		return r, nil
	}
	cfg := oneModel("a")
	cfg.Routing = gateway.DefaultRouting()
	cfg.Routing.Queue.Wait = 5 * time.Minute
	bubble(t, cfg, map[string]act{"a": provider}, func(t *testing.T, s *stage) {
		start := time.Now()
		for range 30 {
			if _, err := s.ask(ask); err != nil {
				t.Fatal(err)
			}
		}
		took := time.Since(start)
		if refused > 0 || took < 119*time.Second || took > 140*time.Second {
			t.Errorf("%d refusals, 30 calls at ten a minute after ten at once took %s", refused, took)
		}
	})
}

func TestTokensThatAProviderSaysAreLeftAreCounted(t *testing.T) {
	said := func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
		r, _ := works(ctx, a)
		r.Quota.Tokens = gateway.Left{Known: true, Left: 500, Reset: 20 * time.Second}
		return r, nil
	}
	bubble(t, oneModel("a"), map[string]act{"a": said}, func(t *testing.T, s *stage) {
		s.ask(ask)
		start := time.Now()
		if _, err := s.ask(`{"model":"chat","max_tokens":100,"messages":[]}`); err != nil || time.Since(start) != 0 {
			t.Error("what fits is not held up", err, time.Since(start))
		}
		if _, err := s.ask(`{"model":"chat","max_tokens":9000,"messages":[]}`); err != nil || time.Since(start) < 20*time.Second || time.Since(start) > 21*time.Second {
			t.Error("what never fits goes when nothing is used", err, time.Since(start))
		}
	})
}

func TestABreakerOpensAndClosesOverRealConnections(t *testing.T) {
	up := atomic.Bool{}
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			status(500, oops)(rw, r)
			return
		}
		jsonAnswer(whole)(rw, r)
	}, func(c *gateway.Config) {
		c.Routing.Breaker = gateway.Breaker{Failures: 2, Open: 200 * time.Millisecond}
	})
	for i, want := range []int{500, 500, 503} {
		if a := w.chat(t, ask); a.status != want {
			t.Fatalf("call %d: %+v", i, a)
		}
	}
	up.Store(true)
	for deadline := time.Now().Add(5 * time.Second); ; {
		if a := w.chat(t, ask); a.status == 200 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%+v", a)
		}
	}
}
