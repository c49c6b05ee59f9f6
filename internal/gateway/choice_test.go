package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// priced gives the deployments of a model their prices in dollars per million tokens in.
func priced(m gateway.ModelConfig, dollars ...money.Nanos) gateway.ModelConfig {
	for i, d := range dollars {
		m.Deployments[i].Prices = &gateway.PriceConfig{Input: d * money.Dollar, Output: d * money.Dollar}
	}
	return m
}

func TestDeploymentsAreAskedAsTheModelChooses(t *testing.T) {
	all := map[string]act{"a": works, "b": works, "c": works}
	t.Run("in order", func(t *testing.T) {
		bubble(t, oneModel("b", "a"), all, func(t *testing.T, s *stage) {
			s.ask(ask)
			if s.order() != "b" {
				t.Error(s.order())
			}
		})
	})
	t.Run("by weight", func(t *testing.T) {
		m := model("a", "b", "c")
		m.Choose, m.Deployments[0].Weight, m.Deployments[1].Weight, m.Deployments[2].Weight = "weighted", 5, 3, 2
		bubble(t, gateway.Config{Models: map[string]gateway.ModelConfig{"chat": m}}, all, func(t *testing.T, s *stage) {
			for range 4000 {
				s.ask(ask)
			}
			for upstream, want := range map[string]int{"a": 2000, "b": 1200, "c": 800} {
				if got := strings.Count(s.order(), upstream); got < want-200 || got > want+200 { // over six standard deviations
					t.Errorf("%s was asked %d times of 4000, want about %d", upstream, got, want)
				}
			}
		})
	})
	t.Run("by load", func(t *testing.T) {
		m := model("a", "b")
		m.Choose, m.Deployments[0].Weight = "least_loaded", 3
		bubble(t, gateway.Config{Models: map[string]gateway.ModelConfig{"chat": m}}, map[string]act{"a": after(time.Minute, works), "b": after(time.Minute, works)}, func(t *testing.T, s *stage) {
			for i := range 40 {
				go s.ask(fmt.Sprintf(`{"model":"chat","messages":[],"seed":%d}`, i))
				synctest.Wait()
			}
			if a := strings.Count(s.order(), "a"); a != 30 {
				t.Errorf("%d of 40 at the one of weight 3", a)
			}
			time.Sleep(2 * time.Minute)
		})
	})
	t.Run("by price", func(t *testing.T) {
		m := priced(model("a", "b", "c"), 3, 1, 2)
		m.Choose = "cheapest"
		bubble(t, gateway.Config{Models: map[string]gateway.ModelConfig{"chat": m}}, map[string]act{"a": works, "b": fails, "c": answers(429, oops, "60")}, func(t *testing.T, s *stage) {
			s.ask(ask)
			if s.order() != "b c a" {
				t.Error(s.order())
			}
		})
	})
	t.Run("by tier", func(t *testing.T) {
		small, large, vectors := priced(model("a"), 3), priced(model("b", "c"), 9, 1), model("a")
		small.Tier, large.Tier, vectors.Tier, vectors.Dimensions = "economy", "economy", "standard", 3
		cfg := gateway.Config{Models: map[string]gateway.ModelConfig{"small": small, "large": large, "vectors": vectors}}
		bubble(t, cfg, map[string]act{"a": works, "b": works, "c": fails}, func(t *testing.T, s *stage) {
			w, err := s.ask(strings.Replace(ask, `"chat"`, `"tier/economy"`, 1))
			if err != nil || s.order() != "c a" || w.Header().Get("X-Airfield-Model") != "small" {
				t.Error(err, s.order(), w.Header())
			}
			for body, code := range map[string]string{`{"model":"tier/premium"}`: "tier_empty", `{"model":"tier/standard"}`: "tier_empty", `{"model":"tier/"}`: "tier_empty"} {
				if _, err := s.ask(body); err == nil || fault.As(err).Code != code {
					t.Error(body, err)
				}
			}
			_, err = s.call(t.Context(), gateway.Request{Surface: llm.Embeddings, Body: []byte(`{"model":"tier/economy","input":"x"}`)})
			if f := fault.As(err); f.Code != "tier_surface" || f.Kind != fault.Invalid {
				t.Errorf("%+v", f)
			}
		})
	})
	t.Run("by the chain of fallbacks", func(t *testing.T) {
		first, second, third := model("a"), model("b"), model("c")
		first.Fallback = []string{"second", "third"}
		cfg := gateway.Config{Models: map[string]gateway.ModelConfig{"chat": first, "second": second, "third": third}}
		bubble(t, cfg, map[string]act{"a": answers(429, oops, "60"), "b": answers(429, oops, "60"), "c": works}, func(t *testing.T, s *stage) {
			if w, err := s.ask(ask); err != nil || s.order() != "a b c" || w.Header().Get("X-Airfield-Model") != "third" {
				t.Error(err, s.order(), w.Header())
			}
		})
	})
}

func TestWhatCannotServeARequestIsSkippedWithItsReason(t *testing.T) {
	m := model("blind", "narrow", "unpriced", "fine")
	m.Deployments[0].Lacks = []string{"tools"}
	m.Deployments[2].Prices = nil
	cfg := gateway.Config{Models: map[string]gateway.ModelConfig{"chat": m}, Routing: gateway.DefaultRouting()}
	cfg.Routing.Unpriced = "deny"
	// context_tokens is the model's: the narrow one comes as a fallback's fallback, so to say
	narrow := model("narrow")
	narrow.Context = 50
	m.Deployments = append(m.Deployments[:1:1], m.Deployments[2:]...)
	m.Fallback = []string{"narrow"}
	cfg.Models["chat"], cfg.Models["narrow"] = m, narrow
	acts := map[string]act{"blind": works, "narrow": works, "unpriced": works, "fine": works}
	withTools := `{"model":"chat","tools":[{"type":"function"}],"messages":[{"role":"user","content":"` + strings.Repeat("word ", 100) + `"}]}`
	bubble(t, cfg, acts, func(t *testing.T, s *stage) {
		if _, err := s.ask(withTools); err != nil || s.order() != "fine" {
			t.Error(err, s.order())
		}
	})
	m.Deployments = m.Deployments[:2]
	cfg.Models["chat"] = m
	bubble(t, cfg, acts, func(t *testing.T, s *stage) {
		_, err := s.ask(withTools)
		f := fault.As(err)
		if f.Kind != fault.Invalid || f.Code != "no_deployment_fits" || f.Kind.Status() != 400 || s.order() != "" {
			t.Fatalf("%+v, asked %s", f, s.order())
		}
		for _, reason := range []string{"up/blind: it lacks tools", "up/unpriced: its price is not known", "up/narrow: its context window of 50 tokens is smaller"} {
			if !strings.Contains(f.Text, reason) {
				t.Errorf("%q is not in %q", reason, f.Text)
			}
		}
		if row := s.row(); row.Status != 400 || row.Outcome != llm.Failed || row.Decision == "" {
			t.Errorf("%+v", row)
		}
	})
}

func TestTheBuiltinModelStandsForATierOnlyWhileNothingElseDoes(t *testing.T) {
	cheap := model("a")
	cheap.Tier = "economy"
	question := strings.Replace(ask, `"chat"`, `"tier/economy"`, 1)
	bubble(t, gateway.Config{Models: map[string]gateway.ModelConfig{"cheap": cheap}}, map[string]act{"a": fails}, func(t *testing.T, s *stage) {
		if _, err := s.ask(question); err == nil || strings.Contains(s.order(), "builtin") {
			t.Error(err, s.order())
		}
	})
	bubble(t, oneModel("a"), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		if s.ask(question); len(s.row().Attempts) == 0 || s.row().Attempts[0].Deployment != "builtin/builtin-answer" {
			t.Errorf("%+v", s.row())
		}
	})
}
