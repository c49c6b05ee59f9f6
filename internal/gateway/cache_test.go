package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/caller"
	"airfield/internal/gateway"
	"airfield/internal/limit"
	"airfield/internal/llm"
)

func caching(c gateway.Config, cc gateway.CacheConfig) gateway.Config {
	c.Workflows = map[string]gateway.WorkflowConfig{"support": {Cache: cc}, "other": {Cache: cc}, "without": {}}
	return c
}

func TestTheSameQuestionInTheSamePositionIsAnsweredFromTheCache(t *testing.T) {
	type position struct {
		body   string
		who    caller.Caller
		epochs string
	}
	first := position{body: `{"model":"chat","temperature":0,"messages":[{"role":"user","content":"hi"}]}`, who: *support}
	with := func(change func(p *position)) position {
		p := first
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		second position
		hit    bool
	}{
		"the same": {first, true},
		"another order and spaces": {with(func(p *position) {
			p.body = " { \"messages\" : [ {\"content\":\"hi\",\n\"role\":\"user\"} ],\"temperature\":0, \"model\":\"chat\" } "
		}), true},
		"another key of the workflow": {with(func(p *position) { p.who.KeyID = "key_2" }), true},
		"another temperature":         {with(func(p *position) { p.body = strings.Replace(p.body, ":0", ":1", 1) }), false},
		"a field nobody knows":        {with(func(p *position) { p.body = strings.Replace(p.body, "{", `{"x_new":1,`, 1) }), false},
		"another text":                {with(func(p *position) { p.body = strings.Replace(p.body, "hi", "ho", 1) }), false},
		"another user in the body":    {with(func(p *position) { p.body = strings.Replace(p.body, "{", `{"user":"bob",`, 1) }), false},
		"another workflow":            {with(func(p *position) { p.who.Workflow = "other" }), false},
		"another clearance":           {with(func(p *position) { p.who.Clearance = caller.Restricted }), false},
		"another environment":         {with(func(p *position) { p.who.Environment = "prod" }), false},
		"documents that have changed": {with(func(p *position) { p.epochs = "handbook:8" }), false},
		"a stream":                    {with(func(p *position) { p.body = strings.Replace(p.body, "{", `{"stream":true,`, 1) }), false},
		"a workflow without a cache":  {with(func(p *position) { p.who.Workflow = "without" }), false},
		"a key that is there twice":   {with(func(p *position) { p.body = strings.Replace(p.body, `"role"`, `"role":"x","role"`, 1) }), false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, caching(oneModel("a"), gateway.CacheConfig{TTL: time.Minute}), map[string]act{"a": works}, func(t *testing.T, s *stage) {
				s.purse.standing = hardUSD()
				var w *httptest.ResponseRecorder
				for _, p := range []position{first, c.second} {
					var err error
					if w, err = s.call(caller.With(t.Context(), &p.who), gateway.Request{Body: []byte(p.body), Epochs: p.epochs}); err != nil {
						t.Fatal(err)
					}
				}
				row := s.row()
				if (s.order() == "a") != c.hit || (w.Header().Get("X-Airfield-Cache") == "hit") != c.hit || w.Body.String() != whole {
					t.Fatalf("asked %s, %v", s.order(), w.Header())
				}
				if c.hit && (row.Cache != "hit" || row.Cost != 0 || row.Usage.Total() != 0 || row.Outcome != llm.OK || row.Deployment != "cache" || w.Header().Get("X-Airfield-Cost-Usd") != "0" || s.purse.reserved != 1) {
					t.Errorf("%+v %v", row, w.Header())
				}
			})
		})
	}
}

func TestAStreamIsReplayedByteForByte(t *testing.T) {
	for name, body := range map[string]string{"plain": askStream, "with usage": strings.Replace(askStream, "{", `{"stream_options":{"include_usage":true},`, 1)} {
		for end, parts := range map[string][]string{
			"as it should be": {delta("Hel"), ": keep-alive\n\n", delta("lo"), stop, usageOnly, done}, "without an end mark": {delta("Hello"), stop}, "with usage in the last chunk": {delta("a"), strings.Replace(stop, "}\n", `,"usage":{"prompt_tokens":5,"completion_tokens":1}}`+"\n", 1), done},
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				bubble(t, caching(oneModel("a"), gateway.CacheConfig{TTL: time.Minute}), map[string]act{"a": streams(io.EOF, parts...)}, func(t *testing.T, s *stage) {
					var got [2]string
					for i := range got {
						w, err := s.ask(body)
						if err != nil || w.Header().Get("Content-Type") != "text/event-stream" {
							t.Fatal(err, w.Header())
						}
						got[i] = withoutStatement(w.Body.String())
					}
					if got[0] != got[1] || s.order() != "a" || strings.Contains(got[0], "usage\":{\"prompt_tokens\":100") != (name == "with usage" && end == "as it should be") {
						t.Errorf("first\n%s\nthen\n%s", got[0], got[1])
					}
				})
			})
		}
	}
}

// withoutStatement takes out what a call says about itself.
func withoutStatement(stream string) string {
	var kept []string
	for _, event := range strings.SplitAfter(stream, "\n\n") {
		if strings.HasPrefix(event, ": airfield ") {
			continue
		}
		if i := strings.Index(event, `,"airfield":`); i >= 0 {
			d := json.NewDecoder(strings.NewReader(event[i+len(`,"airfield":`):]))
			var statement json.RawMessage
			if d.Decode(&statement) == nil {
				event = event[:i] + event[i+len(`,"airfield":`)+int(d.InputOffset()):]
			}
		}
		kept = append(kept, event)
	}
	return strings.Join(kept, "")
}

func TestWhatIsNotAWholeAnswerOfTheModelIsNotKept(t *testing.T) {
	fallback := model("a")
	fallback.Fallback = []string{"other"}
	for name, acts := range map[string]map[string]act{
		"an error":                 {"a": answers(400, oops)},
		"no answer":                {"a": answers(200, `{"error":{"message":"no"}}`)},
		"a stream that broke":      {"a": streams(errReset, delta("a"))},
		"a stream with an error":   {"a": streams(io.EOF, delta("a"), "data: "+oops+"\n\n")},
		"a stream without its end": {"a": streams(io.EOF, delta("a"))},
		"another model's answer":   {"a": answers(429, oops, "0.5"), "b": works},
		"an extractive answer":     {"a": answers(429, oops, "3000"), "b": answers(429, oops, "3000")},
		"too large an answer":      {"a": answers(200, `{"choices":[{"message":{"content":"`+strings.Repeat("x", 2<<20)+`"},"finish_reason":"stop"}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := caching(gateway.Config{Models: map[string]gateway.ModelConfig{"chat": fallback, "other": model("b")}}, gateway.CacheConfig{TTL: time.Hour})
			w := cfg.Workflows["support"]
			w.Degrade = []gateway.RungConfig{{Extractive: []string{"handbook"}}}
			cfg.Workflows["support"] = w
			if acts["b"] == nil {
				acts["b"] = fails
			}
			bubble(t, cfg, acts, func(t *testing.T, s *stage) {
				s.ask(ask)
				s.set("a", works)
				time.Sleep(time.Hour - time.Minute)
				before := len(s.asked)
				if w, err := s.ask(ask); err != nil || len(s.asked) != before+1 || w.Header().Get("X-Airfield-Cache") != "miss" {
					t.Error(err, w.Header(), s.order())
				}
			})
		})
	}
}

func TestATiersAnswersAreKept(t *testing.T) {
	m := model("a")
	m.Tier = "economy"
	bubble(t, caching(gateway.Config{Models: map[string]gateway.ModelConfig{"small": m}}, gateway.CacheConfig{TTL: time.Minute}), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		for range 2 {
			if w, err := s.ask(strings.Replace(ask, `"chat"`, `"tier/economy"`, 1)); err != nil || w.Header().Get("X-Airfield-Model") != "small" {
				t.Fatal(err, w.Header())
			}
		}
		if s.order() != "a" {
			t.Error(s.order())
		}
	})
}

func TestHowLongAnAnswerIsKeptAndHowACallerMindsIt(t *testing.T) {
	bubble(t, caching(oneModel("a"), gateway.CacheConfig{TTL: time.Minute, Stale: time.Hour}), map[string]act{"a": works}, func(t *testing.T, s *stage) {
		expect := func(control gateway.CacheControl, cache, age string, asked int) {
			t.Helper()
			w, err := s.call(t.Context(), gateway.Request{Body: []byte(ask), Cache: control})
			if err != nil || w.Header().Get("X-Airfield-Cache") != cache || w.Header().Get("Age") != age || len(s.asked) != asked {
				t.Fatalf("%v %v, asked %d times", err, w.Header(), len(s.asked))
			}
		}
		expect(gateway.CacheUse, "miss", "", 1)
		time.Sleep(40 * time.Second)
		expect(gateway.CacheUse, "hit", "40", 1)
		expect(gateway.CacheOff, "bypass", "", 2)
		expect(gateway.CacheUse, "hit", "40", 2)
		expect(gateway.CacheRefresh, "miss", "", 3)
		time.Sleep(40 * time.Second)
		expect(gateway.CacheUse, "hit", "40", 3)
		time.Sleep(21 * time.Second)
		expect(gateway.CacheUse, "miss", "", 4)
	})
}

func TestOfFiftyCallsThatAskTheSameAtOnceOneIsSent(t *testing.T) {
	for name, c := range map[string]struct {
		act  act
		body string
	}{"whole": {after(time.Second, works), ask}, "a stream": {after(time.Second, streams(io.EOF, delta("a"), stop, usageOnly, done)), askStream}} {
		t.Run(name, func(t *testing.T) {
			cfg := caching(oneModel("a"), gateway.CacheConfig{TTL: time.Minute})
			bubble(t, cfg, map[string]act{"a": c.act}, func(t *testing.T, s *stage) {
				shared, mu := 0, sync.Mutex{}
				bodies := map[string]int{}
				var all sync.WaitGroup
				for range 50 {
					all.Go(func() {
						w, err := s.ask(c.body)
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							t.Error(err)
						}
						if w.Header().Get("X-Airfield-Cache") == "shared" {
							shared++
						}
						bodies[withoutStatement(w.Body.String())]++
					})
				}
				all.Wait()
				if s.order() != "a" || shared != 49 || len(bodies) != 1 {
					t.Errorf("asked %s, %d shared, %v", s.order(), shared, bodies)
				}
			})
		})
	}
}

func TestWhenTheFirstOfThoseWhoAskTheSameComesToNothingNobodyHangs(t *testing.T) {
	for name, c := range map[string]struct {
		act   act
		leave bool
		asked int
		took  time.Duration
	}{
		"it leaves":               {inTurn(hangs, after(time.Second, works)), true, 2, 2 * time.Second},
		"it fails":                {inTurn(after(time.Second, answers(400, oops)), after(time.Second, works)), false, 2, 2 * time.Second},
		"all fail":                {after(time.Second, answers(400, oops)), false, 20, 3 * time.Second},
		"its answer is too large": {inTurn(after(time.Second, streams(io.EOF, delta(strings.Repeat("x", 2<<20)), stop, done))), false, 20, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, caching(oneModel("a"), gateway.CacheConfig{TTL: time.Minute}), map[string]act{"a": c.act}, func(t *testing.T, s *stage) {
				ctx, leave := context.WithCancel(t.Context())
				start := time.Now()
				var all sync.WaitGroup
				for i := range 20 {
					all.Go(func() {
						who := t.Context()
						if i == 0 {
							who = ctx
						}
						s.call(who, gateway.Request{Body: []byte(ask)})
					})
					synctest.Wait()
				}
				time.Sleep(500 * time.Millisecond)
				if c.leave {
					leave()
				}
				all.Wait()
				leave()
				if len(s.asked) != c.asked || time.Since(start) > c.took {
					t.Errorf("asked %d times in %s", len(s.asked), time.Since(start))
				}
			})
		})
	}
}

// Followers of a call that is served by another model are told so as the call itself is.
func TestWhoSharesADegradedAnswerIsToldSo(t *testing.T) {
	large, small := model("a"), model("b")
	small.Tier = "economy"
	cfg := caching(gateway.Config{Models: map[string]gateway.ModelConfig{"chat": large, "small": small}}, gateway.CacheConfig{TTL: time.Minute})
	bubble(t, cfg, map[string]act{"a": works, "b": after(time.Second, works)}, func(t *testing.T, s *stage) {
		s.purse.standing = gateway.Standing{Any: true, Economy: &llm.Decision{Rule: "budget", Name: "soft", Reason: "80 % is used"}}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if w, err := s.ask(ask); err != nil || w.Header().Get("X-Airfield-Degraded") != "economy" || w.Header().Get("X-Airfield-Model") != "small" {
					t.Error(err, w.Header())
				}
			})
		}
		all.Wait()
		if s.order() != "b" {
			t.Error(s.order())
		}
	})
}

func TestHitsUseNoLimits(t *testing.T) {
	cfg := oneModel("a")
	cfg.Workflows = map[string]gateway.WorkflowConfig{"support": {Cache: gateway.CacheConfig{TTL: time.Minute}, Limits: limit.Rate{RequestsPerMinute: 1}}}
	bubble(t, cfg, map[string]act{"a": works}, func(t *testing.T, s *stage) {
		for i := range 100 {
			if w, err := s.ask(ask); err != nil || i > 0 && w.Header().Get("Content-Length") != strconv.Itoa(len(whole)) {
				t.Fatal(err)
			}
		}
		if fmt.Sprint(s.row().Waited) != "0s" {
			t.Error(s.row())
		}
	})
}
