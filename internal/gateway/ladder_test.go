package gateway_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// laddered is a chat model at a, an economy model at e, and a workflow with these rungs.
func laddered(rungs ...gateway.RungConfig) gateway.Config {
	small := model("e")
	small.Tier = "economy"
	return gateway.Config{
		Models: map[string]gateway.ModelConfig{"chat": model("a"), "small": small},
		Workflows: map[string]gateway.WorkflowConfig{"support": {
			Cache: gateway.CacheConfig{TTL: time.Minute, Stale: time.Hour}, Degrade: rungs,
		}},
	}
}

var (
	down         = answers(503, oops, "3000")
	aCheapStream = streams(io.EOF, delta("cheap"), stop, usageOnly, done)
)

// rung is what the answer says which one served it: the header, or the final statement of a stream.
func rung(t *testing.T, w *httptest.ResponseRecorder, stream bool) string {
	t.Helper()
	if stream {
		_, after, ok := strings.Cut(w.Body.String(), ": airfield ")
		var said struct{ Degraded string }
		if !ok || json.NewDecoder(strings.NewReader(after)).Decode(&said) != nil {
			t.Fatalf("the stream says nothing: %s", w.Body)
		}
		if said.Degraded != w.Header().Get("X-Airfield-Degraded") {
			t.Errorf("the stream says %q and the header %q", said.Degraded, w.Header().Get("X-Airfield-Degraded"))
		}
		return said.Degraded
	}
	return w.Header().Get("X-Airfield-Degraded")
}

func TestEachRungServesInItsTurn(t *testing.T) {
	all := []gateway.RungConfig{{Tier: "economy"}, {Stale: true}, {Extractive: []string{"handbook"}}}
	for name, c := range map[string]struct {
		e      act
		before bool // the answer was given before
		body   string
		want   string
		text   string
	}{
		"the economy tier":                   {e: works, body: ask, want: "economy", text: "Hello there"},
		"the economy tier, as a stream":      {e: aCheapStream, body: askStream, want: "economy", text: "cheap"},
		"a stale answer":                     {e: down, before: true, body: ask, want: "stale", text: "Hello there"},
		"an extractive answer":               {e: down, body: ask, want: "extractive", text: "Parcels take two days."},
		"an extractive answer, as a stream":  {e: down, body: askStream, want: "extractive", text: "Parcels take two days."},
		"an extractive answer after a crash": {e: fails, body: ask, want: "extractive", text: "handbook/parcels.md"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, laddered(all...), map[string]act{"a": works, "e": c.e}, func(t *testing.T, s *stage) {
				if c.before {
					s.ask(c.body)
					time.Sleep(10 * time.Minute)
				}
				s.set("a", down)
				w, err := s.ask(c.body)
				row := s.row()
				if err != nil || w.Code != 200 || rung(t, w, strings.Contains(c.body, "stream")) != c.want || !strings.Contains(w.Body.String(), c.text) || row.Degraded != c.want || row.Outcome != llm.OK {
					t.Fatalf("%v %v %s\n%+v", err, w.Header(), w.Body, row)
				}
				if c.want == "stale" && (w.Header().Get("X-Airfield-Cache") != "stale" || w.Header().Get("Age") != "600" || w.Header().Get("X-Airfield-Model") != "") {
					t.Error(w.Header())
				}
				if model := w.Header().Get("X-Airfield-Model"); (c.want == "economy") != (model == "small") {
					t.Errorf("the answer is said to be of the model %q", model)
				}
				s.set("a", c.e)
				s.ask(ask + " ")
				time.Sleep(2 * time.Hour)
				s.set("a", works)
				s.ask(`{"model":"chat","messages":[]}`)
				s.ask(`{"model":"chat","messages":[],"n":1}`)
				told := s.told("gateway.degraded")
				if len(told) != 2 || told[0].Resolved || told[0].Key != "support/chat" || told[0].Fields["rung"] != c.want || !told[1].Resolved {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}

func TestAnExtractiveAnswerStandsOnlyForPlainText(t *testing.T) {
	for body, served := range map[string]bool{
		`{"model":"chat","messages":[{"role":"user","content":"my parcel?"}]}`:                                               true,
		`{"model":"chat","messages":[{"role":"user","content":[{"type":"text","text":"my parcel?"}]}]}`:                      true,
		`{"model":"chat","n":2,"messages":[{"role":"user","content":"my parcel?"}]}`:                                         false,
		`{"model":"chat","tools":[{}],"messages":[{"role":"user","content":"my parcel?"}]}`:                                  false,
		`{"model":"chat","response_format":{"type":"json_schema"},"messages":[{"role":"user","content":"my parcel?"}]}`:      false,
		`{"model":"chat","response_format":{"type":"json_object"},"messages":[{"role":"user","content":"my parcel?"}]}`:      false,
		`{"model":"chat","messages":[{"role":"user","content":[{"type":"text","text":"my parcel?"},{"type":"image_url"}]}]}`: false,
		`{"model":"chat","messages":[{"role":"user","content":"my invoice?"}]}`:                                              false,
		`{"model":"chat","messages":[{"role":"system","content":"my parcel?"}]}`:                                             false,
	} {
		bubble(t, laddered(gateway.RungConfig{Extractive: []string{"handbook"}}), map[string]act{"a": down, "e": down}, func(t *testing.T, s *stage) {
			w, err := s.ask(body)
			if (w.Header().Get("X-Airfield-Degraded") == "extractive") != served || err != nil || (w.Code == 200) != served {
				t.Errorf("%s: %v %d %v", body, err, w.Code, w.Header())
			}
		})
	}
	bubble(t, laddered(gateway.RungConfig{Extractive: []string{"handbook"}}), map[string]act{"a": down, "e": down}, func(t *testing.T, s *stage) {
		_, err := s.Complete(caller.With(t.Context(), support), gateway.Completion{Model: "chat", Messages: []gateway.Message{{Role: "user", Content: "my parcel?"}}})
		if err == nil {
			t.Error("a part of Airfield that asks for a completion gets one or an error")
		}
	})
}

func TestAnUpstreamThatHangsLeavesTheLaterRungsTheirTime(t *testing.T) {
	rungs := []gateway.RungConfig{{Tier: "economy", Within: 4 * time.Second}, {Stale: true, Within: time.Second}, {Extractive: []string{"handbook"}, Within: 3 * time.Second}}
	bubble(t, laddered(rungs...), map[string]act{"a": hangs, "e": hangs}, func(t *testing.T, s *stage) {
		start := time.Now()
		w, err := s.call(t.Context(), gateway.Request{Body: []byte(ask), Timeout: 20 * time.Second})
		if err != nil || rung(t, w, false) != "extractive" {
			t.Fatal(err, w.Header())
		}
		// 12 seconds for the model, 4 for the tier; the cache and the documents answer at once.
		if a := s.row().Attempts; len(a) != 2 || a[0].Duration != 12*time.Second || a[1].Duration != 4*time.Second || time.Since(start) != 16*time.Second {
			t.Errorf("%s: %+v", time.Since(start), a)
		}
	})
}

func TestARungThatQueuesAsksWhoRecovers(t *testing.T) {
	bubble(t, laddered(gateway.RungConfig{Tier: "economy"}, gateway.RungConfig{Queue: 20 * time.Second}), map[string]act{"a": inTurn(answers(503, oops, "9"), works), "e": fails}, func(t *testing.T, s *stage) {
		w, err := s.ask(ask)
		if err != nil || w.Code != 200 || rung(t, w, false) != "" || !strings.HasPrefix(s.order(), "a e") || !strings.HasSuffix(s.order(), "e a") {
			t.Errorf("%v %d, asked %s", err, w.Code, s.order())
		}
	})
}

func TestWhenNothingIsLeftTheErrorSaysWhatWasWrong(t *testing.T) {
	all := []gateway.RungConfig{{Tier: "economy"}, {Stale: true}, {Extractive: []string{"handbook"}}}
	bubble(t, laddered(all...), map[string]act{"a": down, "e": down}, func(t *testing.T, s *stage) {
		invoice := `{"model":"chat","messages":[{"role":"user","content":"my invoice?"}]}`
		if w, err := s.ask(invoice); err != nil || w.Code != 503 || w.Header().Get("Retry-After") != "3000" || w.Header().Get("X-Should-Retry") != "false" || s.row().Outcome != llm.Failed {
			t.Error(err, w.Code, w.Header())
		}
		_, err := s.ask(invoice + " ") // nothing is asked any more
		f := fault.As(err)
		if f.Kind != fault.Unavailable || f.Code != "all_down" || !strings.Contains(f.Text, "up/a: it asked to be left alone") || f.RetryAfter <= 2900*time.Second || f.Detail == nil {
			t.Errorf("%+v", f)
		}
		if told := s.told("gateway.degraded"); len(told) != 0 {
			t.Error(told)
		}
	})
}

func TestTheTierRungDoesNotAskAgainWhoJustFailed(t *testing.T) {
	m := model("a")
	m.Tier = "economy"
	small := model("e")
	small.Tier = "economy"
	cfg := laddered(gateway.RungConfig{Tier: "economy"})
	cfg.Models = map[string]gateway.ModelConfig{"chat": m, "small": small}
	bubble(t, cfg, map[string]act{"a": down, "e": works}, func(t *testing.T, s *stage) {
		if w, err := s.ask(ask); err != nil || w.Code != 200 || s.order() != "a e" {
			t.Error(err, w.Code, s.order())
		}
	})
}

// An alert that a workflow is degraded is resolved though the configuration was loaded again meanwhile.
func TestADegradedWorkflowIsToldToBeWellAfterAReload(t *testing.T) {
	cfg := laddered(gateway.RungConfig{Tier: "economy"})
	bubble(t, cfg, map[string]act{"a": down, "e": works}, func(t *testing.T, s *stage) {
		s.ask(ask)
		cfg.Providers = stageProviders()
		if err := s.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		s.set("a", works)
		time.Sleep(2 * time.Hour)
		s.ask(ask)
		if told := s.told("gateway.degraded"); len(told) != 2 || !told[1].Resolved {
			t.Errorf("%+v", told)
		}
	})
}

// A workflow that asks two models, one of which is down, is told of once, and not with each call of the other.
func TestAModelThatIsWellDoesNotEndTheAlertOfAnother(t *testing.T) {
	cfg := laddered(gateway.RungConfig{Tier: "economy"})
	cfg.Models["other"] = model("o")
	bubble(t, cfg, map[string]act{"a": fails, "e": works, "o": works}, func(t *testing.T, s *stage) {
		for range 3 {
			s.ask(ask)
			s.ask(`{"model":"other","messages":[]}`)
		}
		if told := s.told("gateway.degraded"); len(told) != 1 || told[0].Key != "support/chat" || !strings.Contains(told[0].Text, "up/a") {
			t.Errorf("%+v", told)
		}
	})
}
