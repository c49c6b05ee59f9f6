package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

func oneModel(upstreams ...string) gateway.Config {
	return gateway.Config{Models: map[string]gateway.ModelConfig{"chat": model(upstreams...)}}
}

// bubble runs a test in its own time.
func bubble(t *testing.T, c gateway.Config, acts map[string]act, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, c, acts)
		test(t, s)
		synctest.Wait()
		s.balanced()
	})
}

func TestRetriesPauseForARandomPartOfABoundThatDoubles(t *testing.T) {
	c := oneModel("a")
	c.Routing = gateway.DefaultRouting()
	c.Routing.Attempts, c.Routing.Breaker.Failures = 6, 1000
	bounds := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
	var longest [5]time.Duration
	bubble(t, c, map[string]act{"a": fails}, func(t *testing.T, s *stage) {
		for range 40 {
			if _, err := s.ask(ask); !is(err, fault.Upstream) {
				t.Fatal(err)
			}
			row := s.row()
			if len(row.Attempts) != 6 {
				t.Fatalf("%d attempts", len(row.Attempts))
			}
			for i, bound := range bounds {
				pause := row.Attempts[i+1].Start.Sub(row.Attempts[i].Start)
				if pause > bound {
					t.Errorf("pause %d was %s, more than %s", i, pause, bound)
				}
				longest[i] = max(longest[i], pause)
			}
		}
	})
	for i, bound := range bounds {
		if longest[i] < bound/2 { // by chance once in 2^40 runs
			t.Errorf("of 40 pauses that could take %s the longest took %s", bound, longest[i])
		}
	}
}

func TestAProvidersRetryAfterIsHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		header   string
		status   int
		from, to time.Duration
	}{
		"in seconds":           {"7", 429, 7 * time.Second, 8 * time.Second},
		"in parts of a second": {"1.5", 429, 1500 * time.Millisecond, 2 * time.Second},
		"of one that is full":  {"3", 503, 3 * time.Second, 4 * time.Second},
		"missing":              {"", 429, time.Second, 2 * time.Second},
		"nonsense":             {"soon", 429, time.Second, 2 * time.Second},
		"not a number":         {"NaN", 429, time.Second, 2 * time.Second},
		"in the past":          {"Fri, 01 Jan 1999 15:04:05 GMT", 429, 0, time.Second},
		"negative":             {"-5", 429, 0, time.Second},
		"a date":               {time.Date(2000, 1, 1, 0, 0, 9, 0, time.UTC).Format(http.TimeFormat), 429, 9 * time.Second, 10 * time.Second}, // a bubble begins with the century
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, oneModel("a"), map[string]act{"a": inTurn(answers(c.status, oops, c.header), works)}, func(t *testing.T, s *stage) {
				start := time.Now()
				if w, err := s.ask(ask); err != nil || w.Code != 200 {
					t.Fatal(w.Code, err)
				}
				if took := time.Since(start); took < c.from || took > c.to {
					t.Errorf("it took %s", took)
				}
				if row := s.row(); len(row.Attempts) != 2 || row.Outcome != llm.OK {
					t.Errorf("%+v", row)
				}
			})
		})
	}
}

func TestARetryAfterBeyondTheDeadlineIsTheAnswerAtOnce(t *testing.T) {
	for _, header := range []string{"120", "99999999999999999999", "Inf"} {
		bubble(t, oneModel("a"), map[string]act{"a": answers(429, oops, header)}, func(t *testing.T, s *stage) {
			start := time.Now()
			w, err := s.call(t.Context(), gateway.Request{Body: []byte(ask), Timeout: 20 * time.Second})
			if err != nil || w.Code != 429 || w.Header().Get("Retry-After") != header || time.Since(start) != 0 {
				t.Errorf("%s: %v %d %v after %s", header, err, w.Code, w.Header(), time.Since(start))
			}
		})
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		attempts int
		models   []string
		want     string
	}{
		"one deployment, three times":             {3, []string{"a"}, "a a a"},
		"two deployments, three times in all":     {3, []string{"a", "b"}, "a b a"},
		"each of four once, though three are set": {3, []string{"a", "b", "c", "d"}, "a b c d"},
		"once": {1, []string{"a"}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := oneModel(c.models...)
			cfg.Routing = gateway.DefaultRouting()
			// All pauses are equally short, so that who is asked again is not a matter of chance.
			cfg.Routing.Attempts, cfg.Routing.Backoff, cfg.Routing.MaxBackoff = c.attempts, time.Nanosecond, time.Nanosecond
			bubble(t, cfg, map[string]act{"a": fails, "b": fails, "c": fails, "d": fails}, func(t *testing.T, s *stage) {
				if _, err := s.ask(ask); !is(err, fault.Upstream) {
					t.Fatal(err)
				}
				if got := s.order(); got != c.want {
					t.Errorf("asked %s", got)
				}
			})
		})
	}
}

func TestARequestAtFaultIsNotSentAgain(t *testing.T) {
	for _, status := range []int{400, 403, 404, 409, 413, 422} {
		bubble(t, oneModel("a", "b"), map[string]act{"a": answers(status, oops), "b": works}, func(t *testing.T, s *stage) {
			if w, err := s.ask(ask); err != nil || w.Code != status || s.order() != "a" {
				t.Errorf("%d: %d %v, asked %s", status, w.Code, err, s.order())
			}
			if d := s.State(t.Context()).Deployments; d[len(d)-1].Breaker != "closed" {
				t.Error(d)
			}
		})
	}
	bubble(t, oneModel("a"), map[string]act{"a": inTurn(answers(408, oops), works)}, func(t *testing.T, s *stage) {
		if w, err := s.ask(ask); err != nil || w.Code != 200 {
			t.Error("a 408 is the provider's own trouble", w.Code, err)
		}
	})
}

// A blip of the model that was asked is no reason to answer with another one.
func TestAModelIsAskedAgainBeforeItsFallbacks(t *testing.T) {
	cfg := gateway.Config{Models: map[string]gateway.ModelConfig{"chat": model("a"), "other": model("b")}}
	chat := cfg.Models["chat"]
	chat.Fallback = []string{"other"}
	cfg.Models["chat"] = chat
	for name, c := range map[string]struct {
		a    act
		want string
	}{
		"it fails once":               {inTurn(fails, works), "a a"},
		"it fails as often as it may": {fails, "a a a b"},
		"it wants to be left alone":   {answers(429, oops, "30"), "a b"},
		"it hangs":                    {hangs, "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, cfg, map[string]act{"a": c.a, "b": works}, func(t *testing.T, s *stage) {
				w, err := s.ask(ask)
				if err != nil || w.Code != 200 || s.order() != c.want {
					t.Fatalf("%v, asked %s", err, s.order())
				}
				if strings.HasSuffix(c.want, "b") != (w.Header().Get("X-Airfield-Model") == "other") {
					t.Error(w.Header())
				}
			})
		})
	}
}

func TestAStreamThatDiesBeforeItsFirstEventMovesOn(t *testing.T) {
	for name, first := range map[string]act{
		"with nothing":               streams(io.EOF),
		"reset":                      streams(errReset),
		"in the middle of the event": streams(errReset, delta("Hello")[:40]),
		"cleanly in the middle":      streams(io.EOF, delta("Hello")[:40]),
		"cleanly before its end":     streams(io.EOF, strings.TrimSuffix(delta("Hello"), "\n")),
		"silently":                   streams(nil, "data: "),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, oneModel("a", "b"), map[string]act{"a": first, "b": streams(io.EOF, delta("Hi"), stop, usageOnly, done)}, func(t *testing.T, s *stage) {
				w, err := s.ask(askStream)
				if err != nil || !strings.HasPrefix(w.Body.String(), delta("Hi")) || !strings.HasSuffix(w.Body.String(), done) {
					t.Fatalf("%v %s", err, w.Body)
				}
				if row := s.row(); row.Outcome != llm.OK || len(row.Attempts) != 2 || row.Attempts[0].Outcome != llm.Failed {
					t.Errorf("%+v", row)
				}
			})
		})
	}
}

func TestTheTotalDeadlineHoldsOverEverything(t *testing.T) {
	slots := oneModel("a", "b")
	slots.Workflows = map[string]gateway.WorkflowConfig{"support": {}}
	for name, acts := range map[string]map[string]act{
		"it hangs":        {"a": hangs, "b": hangs},
		"it fails slowly": {"a": after(4*time.Second, fails), "b": after(4*time.Second, fails)},
		"it fails":        {"a": fails, "b": fails},
		"it is limited":   {"a": answers(429, oops, "3"), "b": answers(429, oops, "3")},
		"it dribbles":     {"a": streams(nil, delta("a")), "b": streams(nil, delta("a"))},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := slots
			cfg.Routing = gateway.DefaultRouting()
			cfg.Routing.Attempts = 20
			bubble(t, cfg, acts, func(t *testing.T, s *stage) {
				start := time.Now()
				s.call(t.Context(), gateway.Request{Body: []byte(askStream), Timeout: 9 * time.Second})
				if took := time.Since(start); took > 9*time.Second {
					t.Errorf("it took %s", took)
				}
				if row := s.row(); row.Outcome == llm.OK || row.Duration > 9*time.Second {
					t.Errorf("%+v", row)
				}
				for _, a := range s.row().Attempts {
					if a.Duration == 0 && a.Outcome == llm.Failed && a.Error != "it broke the connection" && a.Status != 429 {
						t.Errorf("an attempt was made when the time was over: %+v", a)
					}
				}
			})
		})
	}
}

// One caller's pause is its own matter.
func TestACallThatPausesKeepsNobodyFromGoingOn(t *testing.T) {
	cfg := oneModel("a")
	cfg.Routing = gateway.DefaultRouting()
	cfg.Routing.Backoff, cfg.Routing.MaxBackoff, cfg.Routing.Queue.Length = time.Minute, time.Minute, 0
	bubble(t, cfg, map[string]act{"a": inTurn(fails, works)}, func(t *testing.T, s *stage) {
		slow := make(chan error)
		go func() {
			_, err := s.ask(ask)
			slow <- err
		}()
		synctest.Wait()
		start := time.Now()
		for range 20 {
			if _, err := s.ask(ask); err != nil || time.Since(start) > 0 {
				t.Fatal(err, time.Since(start))
			}
		}
		if err := <-slow; err != nil {
			t.Error("pausing needs no place in the queue:", err)
		}
	})
}

func TestACallerInAHurryDoesNotCloseADeploymentToOthers(t *testing.T) {
	bubble(t, oneModel("a"), map[string]act{"a": after(3*time.Second, works)}, func(t *testing.T, s *stage) {
		for range 20 {
			if _, err := s.call(t.Context(), gateway.Request{Body: []byte(ask), Timeout: time.Second}); !is(err, fault.Timeout) || !strings.Contains(err.Error(), "the call's own time") {
				t.Fatal(err)
			}
		}
		if _, err := s.ask(ask); err != nil {
			t.Fatal(err)
		}
		s.set("a", hangs)
		for range 5 {
			s.call(t.Context(), gateway.Request{Body: []byte(ask), Timeout: 15 * time.Second})
		}
		if d := s.State(t.Context()).Deployments; d[len(d)-1].Breaker == "closed" {
			t.Error("one that hangs is left alone")
		}
	})
}

func TestATornWholeAnswerIsAnsweredByTheNext(t *testing.T) {
	second := httptest.NewServer(jsonAnswer(whole))
	defer second.Close()
	for name, first := range map[string]http.HandlerFunc{"torn": die(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		jsonAnswer(whole[:50])(w, r)
		w.(http.Flusher).Flush()
	}), "half": jsonAnswer(whole[:50])} {
		w := newWorld(t, first, func(c *gateway.Config) {
			c.Providers["two"] = gateway.ProviderConfig{Kind: "openai", BaseURL: second.URL, Timeouts: patient()}
			c.Models["chat"] = gateway.ModelConfig{Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-chat"}, {Provider: "two", Model: "spare"}}}
		})
		a := w.chat(t, ask)
		if row := w.log.last(t, 1); a.status != 200 || a.body != whole || len(row.Attempts) != 2 || row.Usage.Input <= 60 {
			t.Errorf("%s: %+v\n%+v", name, a, row)
		}
	}
}
