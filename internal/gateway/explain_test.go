package gateway_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/limit"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// Over many configurations and states: who is explained to be asked is asked, in that order, and nobody else.
func TestWhatIsExplainedIsWhatHappens(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 2))
	pick := func(n int) bool { return random.IntN(n) == 0 }
	served := 0
	for round := range 400 {
		synctest.Test(t, func(t *testing.T) {
			cfg := gateway.Config{Models: map[string]gateway.ModelConfig{}, Routing: gateway.DefaultRouting(), Workflows: map[string]gateway.WorkflowConfig{"support": {}}}
			cfg.Routing.Attempts, cfg.Routing.Queue.Wait = 1, 0
			if pick(3) {
				cfg.Routing.Unpriced = "deny"
			}
			acts := map[string]act{}
			for mi, name := range []string{"chat", "second", "third"} {
				var ups []string
				for i := range 1 + random.IntN(3) {
					ups = append(ups, fmt.Sprintf("m%d.%d", mi, i))
				}
				m := model(ups...)
				for i := range m.Deployments {
					d := &m.Deployments[i]
					d.Prices = &gateway.PriceConfig{Input: money.Dollar * money.Nanos(1+random.IntN(5)), Output: money.Dollar}
					if pick(5) {
						d.Prices = nil
					}
					if pick(5) {
						d.Lacks = []string{"tools"}
					}
					if pick(4) {
						d.Limits = limit.Rate{TokensPerMinute: []int64{60, 1500, 100_000}[random.IntN(3)], RequestsPerMinute: int64(random.IntN(3))}
					}
					acts[d.Model] = works
				}
				if pick(4) {
					m.Context = 60
				}
				m.Choose = []string{"order", "least_loaded", "cheapest"}[random.IntN(3)]
				cfg.Models[name] = m
			}
			m := cfg.Models["chat"]
			m.Fallback = [][]string{nil, {"second"}, {"third", "second"}}[random.IntN(3)]
			cfg.Models["chat"] = m
			s := newStage(t, cfg, acts)
			if pick(2) {
				s.purse.standing = hardUSD()
			}
			// A state: some have failed, some were asked, some want to be left alone, some are half-open.
			for upstream := range acts {
				switch random.IntN(6) {
				case 0:
					s.set(upstream, fails)
				case 1:
					s.set(upstream, answers(429, oops, "40"))
				case 2:
					s.set(upstream, func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
						r, err := works(ctx, a)
						r.Quota.Tokens = gateway.Left{Known: true, Left: 10, Limit: 1000, Reset: time.Minute}
						return r, err
					})
				}
			}
			for range random.IntN(25) {
				s.ask(strings.Replace(ask, "chat", []string{"chat", "second", "third"}[random.IntN(3)], 1))
			}
			if pick(2) {
				time.Sleep(time.Duration(random.IntN(30)) * time.Second)
			}
			if pick(3) {
				ctx, stop := context.WithCancel(t.Context())
				defer synctest.Wait()
				defer stop()
				for upstream := range acts {
					s.set(upstream, hangs)
				}
				go s.call(ctx, gateway.Request{Body: []byte(ask)}) // perhaps a probe
				synctest.Wait()
			}
			for upstream := range acts {
				s.set(upstream, fails)
			}
			body := []string{ask, `{"model":"chat","tools":[],"messages":[]}`, `{"model":"chat","max_tokens":1400,"messages":[]}`, `{"model":"chat","messages":[{"role":"user","content":"` + strings.Repeat("word ", 80) + `"}]}`}[random.IntN(4)]
			req := &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(body)}
			e, err := s.Explain(t.Context(), "support", req)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, c := range e.Candidates {
				if (c.Order > 0) != (c.State == "first" || c.State == "next") || c.Reason == "" {
					t.Errorf("round %d: %+v", round, c)
				}
				if c.Order > 0 {
					want = append(want, strings.TrimPrefix(c.Deployment, "up/"))
				}
			}
			s.mu.Lock()
			before := len(s.asked)
			s.mu.Unlock()
			s.ask(body)
			served += len(want)
			if got := s.asked[before:]; !slices.Equal(got, want) {
				t.Errorf("round %d of seed %d: explained %v, asked %v\n%+v\n%+v", round, seed, want, got, e.Candidates, s.row())
			}
		})
		if t.Failed() {
			return
		}
	}
	if served < 400 {
		t.Errorf("only %d deployments were asked: the states are too bad to prove anything", served)
	}
}

func TestAnExplanationSaysEverythingAndTakesNothing(t *testing.T) {
	cfg := everything()
	m := cfg.Models["chat"]
	m.Choose = "cheapest"
	cfg.Models["chat"] = m
	bubble(t, cfg, map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.purse.standing = hardUSD()
		req := gateway.Request{Surface: llm.ChatCompletions, Body: []byte(`{"model":"chat","stream":true,"tools":[],"max_tokens":50}`)}
		e, err := s.Explain(t.Context(), "support", &req)
		if err != nil || strings.Join(e.Needs, " ") != "tools stream" || !e.HardBudget || e.Cache != "on" || len(e.Candidates) != 1 || e.Candidates[0].MostUSD == 0 || !strings.Contains(e.Candidates[0].Reason, "cheapest") || len(e.Limits) != 3 {
			t.Errorf("%v %+v", err, e)
		}
		if len(s.log.finished)+len(s.asked)+s.purse.reserved != 0 {
			t.Error("something was taken")
		}
		if _, err := s.Explain(t.Context(), "nobody", &req); !is(err, fault.NotFound) {
			t.Error(err)
		}
		s.ask(`{"model":"chat"}`)
		for body, want := range map[string]string{`{ "model":"chat"}`: "hit", `{"model":"chat","x":{"a":1,"a":2}}`: "bypass"} {
			e, err := s.Explain(context.Background(), "support", &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(body)})
			if err != nil || e.Cache != want && want != "hit" {
				t.Errorf("%s: %v %s", body, err, e.Cache)
			}
		}
	})
}
