package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/limit"
	"airfield/internal/llm"
	"airfield/internal/money"
)

func TestUnderAHardBudgetTheMostACallCanCostIsHeld(t *testing.T) {
	cfg := oneModel("a") // a dollar a million in, ten out
	m := cfg.Models["chat"]
	m.MaxOutput = 500
	cfg.Models["chat"] = m
	for name, c := range map[string]struct {
		body string
		out  int64
		sent string
	}{
		"no cap":                {`{"model":"chat","messages":[]}`, 500, `"max_tokens":500`},
		"a cap of null":         {`{"model":"chat","max_tokens":null}`, 500, `"max_tokens":500`},
		"a cap of nothing":      {`{"model":"chat","max_completion_tokens":0}`, 500, `"max_tokens":500`},
		"a cap":                 {`{"model":"chat","max_tokens":70}`, 70, `"max_tokens":70`},
		"two caps":              {`{"model":"chat","max_tokens":70,"max_completion_tokens":90}`, 90, `"max_tokens":70`},
		"several answers":       {`{"model":"chat","max_tokens":70,"n":3}`, 210, `"n":3`},
		"several without a cap": {`{"model":"chat","n":2}`, 1000, `"max_tokens":500`},
	} {
		bubble(t, cfg, map[string]act{"a": works}, func(t *testing.T, s *stage) {
			s.purse.standing = hardUSD()
			if _, err := s.ask(c.body); err != nil {
				t.Fatal(name, err)
			}
			in := int64(len(c.body))
			most := gateway.Amount{USD: money.Nanos(in*1000 + c.out*10_000), Tokens: in + c.out}
			if s.purse.asked[0] != most || !strings.Contains(s.bodies[0], c.sent) {
				t.Errorf("%s: held %+v, want %+v; sent %s", name, s.purse.asked[0], most, s.bodies[0])
			}
			a := s.log.admitted[0]
			if a.Cost != most.USD || a.Usage.Total() != most.Tokens || a.Lease != "lease_1" || len(a.Holds) != 1 {
				t.Errorf("%s: the row at admission is %+v", name, a)
			}
			if row := s.row(); s.purse.spent != row.Cost || row.Cost != 100*1000+10*10_000 || s.purse.tokensSpent != 110 {
				t.Errorf("%s: spent %d, the row says %d", name, s.purse.spent, row.Cost)
			}
		})
	}
}

func TestWhatHasNoBoundIsRefusedUnderAHardBudget(t *testing.T) {
	for body, says := range map[string]string{
		`{"model":"chat","web_search_options":{}}`:                                                                  "web_search_options",
		`{"model":"chat","audio":{"voice":"a"}}`:                                                                    "audio",
		`{"model":"chat","prediction":{"type":"content"}}`:                                                          "prediction",
		`{"model":"chat","plugins":[{"id":"web"}]}`:                                                                 "plugins",
		`{"model":"chat","search_parameters":{"mode":"on"}}`:                                                        "search_parameters",
		`{"model":"chat","models":["a/dear-one"]}`:                                                                  "models",
		`{"model":"chat","tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search"}]}`:              "tools",
		`{"model":"chat","messages":[{"content":[{"type":"video_url","video_url":{"url":"http://x"}}]}]}`:           "context_tokens",
		`{"model":"chat","messages":[{"content":[{"type":"audio_url","audio_url":{"url":"http://x"}}]}]}`:           "context_tokens",
		`{"model":"chat","messages":[{"content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]}`:           "context_tokens",
		`{"model":"chat","messages":[{"content":[{"type":"image\u005furl","image\u005Furl":{"url":"http://x"}}]}]}`: "context_tokens",
		`{"model":"chat","messages":[{"content":[{"type":"\u0066ile"}]}]}`:                                          "context_tokens",
		`{"model":"chat","max_tokens":9000000000000000000,"n":1000}`:                                                "more tokens than any budget",
		`{"model":"chat","max_tokens":1,"max_tokens":1000000}`:                                                      `"max_tokens" twice`,
		`{"model":"chat","max_tokens":1,"max\u005ftokens":1000000}`:                                                 `"max_tokens" twice`,
		`{"model":"chat","n":1,"n":1000000}`:                                                                        `"n" twice`,
		`{"model":"chat","audio":{"voice":"a"},"audio":null}`:                                                       "audio",
	} {
		bubble(t, oneModel("a"), map[string]act{"a": works}, func(t *testing.T, s *stage) {
			s.purse.standing = hardUSD()
			_, err := s.ask(body)
			if f := fault.As(err); f.Kind != fault.Invalid || !strings.Contains(f.Text, says) || s.order() != "" {
				t.Errorf("%s: %+v", body, f)
			}
			s.purse.standing = gateway.Standing{}
			if _, err := s.ask(body); err != nil && !strings.Contains(says, "twice") {
				t.Errorf("without a budget it is the provider's business: %v", err)
			}
		})
	}
	cfg := oneModel("a")
	m := cfg.Models["chat"]
	m.Context = 10_000
	cfg.Models["chat"] = m
	bubble(t, cfg, map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.purse.standing = hardUSD()
		if _, err := s.ask(`{"model":"chat","max_tokens":1,"messages":[{"content":[{"type":"image_url"}]}]}`); err != nil || s.purse.asked[0].Tokens != 10_001 {
			t.Errorf("%v %+v", err, s.purse.asked)
		}
	})
	unpriced := oneModel("a")
	unpriced.Models["chat"].Deployments[0].Prices = nil
	bubble(t, unpriced, map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.purse.standing = hardUSD()
		if _, err := s.ask(ask); !is(err, fault.Invalid) || !strings.Contains(err.Error(), "its price is not known") {
			t.Error(err)
		}
		s.purse.standing = gateway.Standing{Any: true, HardTokens: true}
		if _, err := s.ask(ask); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatAProviderAddsForToolsIsHeldFor(t *testing.T) {
	bubble(t, oneModel("a"), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.purse.standing = hardUSD()
		body := `{"model":"chat","max_tokens":1,"tools":[{"type":"function","function":{"name":"f"}}]}`
		if _, err := s.ask(body); err != nil || s.purse.asked[0].Tokens < int64(len(body))+1+500 {
			t.Errorf("models are told of tools in words that nobody sent: %v %+v", err, s.purse.asked)
		}
	})
}

func TestADearerServiceTierIsHeldFor(t *testing.T) {
	prices := priceList{"up/real-chat": {ID: "p", Rates: llm.Rates{Input: 1_000_000, Output: 1_000_000}, Services: map[string]llm.Service{"priority": {Rates: llm.Rates{Input: 5_000_000, Output: 5_000_000}}}}}
	for body, rate := range map[string]money.Nanos{
		`{"model":"chat","max_tokens":10,"service_tier":"priority"}`: 5, `{"model":"chat","max_tokens":10,"service_tier":"default"}`: 1,
		`{"model":"chat","max_tokens":10,"service_tier":"auto"}`: 5, `{"model":"chat","max_tokens":10,"service_tier":"unheard-of"}`: 5, `{"model":"chat","max_tokens":10}`: 5,
	} {
		p := &purse{t: t, standing: hardUSD()}
		w := newWorldOf(t, gateway.Parts{Budgets: p}, jsonAnswer(whole))
		w.parts.Prices = prices
		g, err := gateway.New(gateway.Config{
			Routing: once(), Providers: map[string]gateway.ProviderConfig{"up": {Kind: "openai", BaseURL: w.upstream.URL}},
			Models: map[string]gateway.ModelConfig{"chat": {Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-chat"}}}},
		}, w.parts)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Do(caller.With(t.Context(), support), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(body)}, httptest.NewRecorder()); err != nil {
			t.Fatal(err)
		}
		if want := money.Nanos(len(body)+10) * rate; p.asked[0].USD != want {
			t.Errorf("%s: held %d, want %d", body, p.asked[0].USD, want)
		}
		g.Close()
	}
}

func TestADearerFallbackIsHeldForOrSkipped(t *testing.T) {
	cfg := oneModel("a", "b", "c")
	cfg.Models["chat"] = priced(cfg.Models["chat"], 1, 100, 2)
	for name, c := range map[string]struct {
		limit money.Nanos
		want  string
	}{"there is room": {0, "a b"}, "there is none": {2_000_000, "a c"}} {
		bubble(t, cfg, map[string]act{"a": answers(429, oops, "60"), "b": works, "c": works}, func(t *testing.T, s *stage) {
			s.purse.standing, s.purse.limit = hardUSD(), c.limit
			if _, err := s.ask(`{"model":"chat","max_tokens":500}`); err != nil || s.order() != c.want {
				t.Errorf("%s: %v, asked %s", name, err, s.order())
			}
			if s.purse.limit > 0 && s.purse.spent > s.purse.limit {
				t.Errorf("%s: %d spent", name, s.purse.spent)
			}
		})
	}
}

func TestABudgetsRefusalIsTheAnswer(t *testing.T) {
	bubble(t, oneModel("a"), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		s.purse.standing, s.purse.limit = hardUSD(), 1
		start := time.Now()
		_, err := s.ask(ask)
		if f := fault.As(err); f.Code != "budget_exceeded" || f.Kind != fault.Limited || s.order() != "" || !strings.Contains(s.row().Decision, `"rule":"budget"`) {
			t.Errorf("%+v %+v", f, s.row())
		}
		if waited := s.row().Waited; waited != 30*time.Second || time.Since(start) != waited {
			t.Errorf("near the edge it waits for others to settle: %s", waited)
		}
	})
}

// Six hundred calls against a budget for a hundred: never more, and where the bounds are far above the use, they wait
// for each other.
func TestAHardBudgetIsNeverExceededAndIsUsedUp(t *testing.T) {
	cfg := oneModel("a")
	cfg.Routing = gateway.DefaultRouting()
	cfg.Routing.Queue.Wait = 5 * time.Minute
	each := money.Nanos(100*1000 + 10*10_000) // what works uses
	bubble(t, cfg, map[string]act{"a": after(time.Second, works)}, func(t *testing.T, s *stage) {
		s.purse.standing, s.purse.limit = hardUSD(), 100*each
		passed, mu := 0, sync.Mutex{}
		var all sync.WaitGroup
		for range 600 {
			all.Go(func() {
				if _, err := s.ask(`{"model":"chat","max_tokens":200,"messages":[]}`); err == nil {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if s.purse.spent > s.purse.limit || passed < 85 {
			t.Errorf("%d passed, %d of %d spent", passed, s.purse.spent, s.purse.limit)
		}
	})
}

func TestASoftBudgetMovesCallsToTheEconomyTier(t *testing.T) {
	large, small := model("a"), model("b")
	large.Tier, small.Tier, small.Lacks = "premium", "economy", []string{"tools"}
	cfg := gateway.Config{Models: map[string]gateway.ModelConfig{"chat": large, "small": small}}
	bubble(t, cfg, map[string]act{"a": works, "b": works}, func(t *testing.T, s *stage) {
		s.purse.standing = gateway.Standing{Any: true, Economy: &llm.Decision{Rule: "budget", Name: "soft", Reason: "80 % is used"}}
		w, err := s.ask(ask)
		row := s.row()
		if err != nil || s.order() != "b" || w.Header().Get("X-Airfield-Degraded") != "economy" || w.Header().Get("X-Airfield-Model") != "small" || row.Degraded != "economy" || !strings.Contains(row.Decision, "80 % is used") {
			t.Fatal(err, s.order(), w.Header(), row)
		}
		if w, err := s.ask(`{"model":"chat","tools":[]}`); err != nil || s.order() != "b a" || w.Header().Get("X-Airfield-Degraded") != "" {
			t.Error("what the tier cannot do stays", err, s.order())
		}
	})
}

// Whatever upstreams and callers do, what was reserved is settled, once, and nothing stays held.
func TestWhateverHappensEveryReservationIsSettledOnce(t *testing.T) {
	upstreams := map[string]act{
		"works": works, "fails": fails, "hangs": hangs, "slow": after(3*time.Second, works), "limits": answers(429, oops, "2"), "limits for long": answers(429, oops, "5000"), "limits wordlessly": answers(429, ""),
		"500": answers(500, oops), "503": answers(503, "<html>"), "400": answers(400, oops), "401": answers(401, oops), "torn": answers(200, whole[:70]), "no answer": answers(200, "{}"),
		"stream": streams(io.EOF, delta("a"), stop, usageOnly, done), "stream that dies": streams(errReset, delta("a")), "stream that stops": streams(nil, delta("a")), "stream that never begins": streams(io.EOF),
		"stream with an error": streams(io.EOF, delta("a"), "data: "+oops+"\n\n"), "large": answers(200, `{"data":"`+strings.Repeat("x", 2<<20)+`"}`), "panics": func(context.Context, *gateway.Attempt) (*gateway.Response, error) { panic("bug") },
		"no usage":     answers(200, `{"choices":[{"message":{"content":"one two"},"finish_reason":"stop"}]}`),
		"absurd usage": answers(200, `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":99999999999,"completion_tokens":5}}`),
	}
	names := make([]string, 0, len(upstreams))
	for name := range upstreams {
		names = append(names, name)
	}
	m := model("a", "b")
	m.Limits, m.Fallback = limit.Rate{Parallel: 30}, []string{"other"}
	cfg := gateway.Config{
		Models:  map[string]gateway.ModelConfig{"chat": m, "other": model("c")},
		Routing: gateway.DefaultRouting(),
		Workflows: map[string]gateway.WorkflowConfig{"support": {
			Limits: limit.Rate{Parallel: 50}, KeyLimits: limit.Rate{RequestsPerMinute: 5000}, Cache: gateway.CacheConfig{TTL: time.Minute, Stale: time.Hour},
			Degrade: []gateway.RungConfig{{Queue: 5 * time.Second}, {Tier: "economy"}, {Stale: true}, {Extractive: []string{"handbook"}}},
		}},
	}
	small := cfg.Models["other"]
	small.Tier = "economy"
	cfg.Models["other"] = small
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	for round := range 40 {
		synctest.Test(t, func(t *testing.T) {
			acts := map[string]act{}
			for _, d := range []string{"a", "b", "c"} {
				acts[d] = inTurn(upstreams[names[random.IntN(len(names))]], upstreams[names[random.IntN(len(names))]], upstreams[names[random.IntN(len(names))]])
			}
			s := newStage(t, cfg, acts)
			s.purse.standing = hardUSD()
			if random.IntN(3) == 0 {
				s.purse.limit = 50_000_000
			}
			s.purse.refuseRaise = random.IntN(4) == 0
			if random.IntN(8) == 0 {
				s.log.admitErr = errors.New("disk full")
			}
			var all sync.WaitGroup
			const calls = 60
			for i := range calls {
				body := fmt.Sprintf(`{"model":"chat","max_tokens":100,"seed":%d,"stream":%v,"messages":[{"role":"user","content":"Where is my parcel?"}]}`, random.IntN(calls/2), random.IntN(2) == 0)
				leaves, timeout, kind := time.Duration(random.IntN(40_000))*time.Millisecond, time.Duration(random.IntN(60))*time.Second, random.IntN(4)
				wait := time.Duration(random.IntN(5000)) * time.Millisecond
				all.Go(func() {
					defer func() { recover() }()
					time.Sleep(wait)
					ctx := caller.With(context.Background(), support)
					if kind == 0 {
						var leave context.CancelFunc
						ctx, leave = context.WithTimeout(ctx, leaves)
						defer leave()
					}
					var w http.ResponseWriter = httptest.NewRecorder()
					if kind == 1 {
						w = &broken{plain: plain{header: http.Header{}}}
					}
					if i%7 == 0 {
						w = &fainting{plain{header: http.Header{}}}
					}
					s.Do(ctx, &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(body), Timeout: timeout}, w)
				})
			}
			all.Wait()
			synctest.Wait()
			s.balanced()
			if len(s.log.finished) != calls {
				t.Errorf("round %d: %d rows of %d calls", round, len(s.log.finished), calls)
			}
			for _, row := range s.log.finished {
				if row.Outcome == "" || row.Duration < 0 || row.Outcome == llm.OK && row.Cost == 0 && row.Cache == "miss" && row.Deployment != "extractive" {
					t.Errorf("round %d: %+v", round, row)
				}
			}
		})
	}
}
