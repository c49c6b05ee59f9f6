package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/limit"
	"airfield/internal/llm"
)

func hardUSD() gateway.Standing { return gateway.Standing{Any: true, HardUSD: true} }

// everything is a configuration in which a call takes from every limit there is.
func everything() gateway.Config {
	m := model("a")
	m.Limits = limit.Rate{Parallel: 2}
	m.Deployments[0].Limits = limit.Rate{Parallel: 2, TokensPerMinute: 1_000_000}
	return gateway.Config{
		Models: map[string]gateway.ModelConfig{"chat": m},
		Workflows: map[string]gateway.WorkflowConfig{"support": {
			Limits: limit.Rate{Parallel: 1, RequestsPerMinute: 1000, TokensPerMinute: 1_000_000}, KeyLimits: limit.Rate{Parallel: 1}, Cache: gateway.CacheConfig{TTL: time.Minute},
		}},
	}
}

func TestACallerWhoLeavesInAnyPhaseLeavesNothingBehind(t *testing.T) {
	for name, c := range map[string]struct {
		act     act
		before  func(s *stage, ctx context.Context) // what keeps the call in the phase
		change  func(c *gateway.Config)
		body    string
		stopped bool // the upstream was at work and must stop
	}{
		"waiting for its workflow's limits": {act: hangs, before: func(s *stage, ctx context.Context) {
			go s.call(ctx, gateway.Request{Body: []byte(`{"model":"chat","messages":[],"user":"another"}`)})
		}},
		"waiting for a deployment's slot": {act: hangs, change: func(c *gateway.Config) {
			m := c.Models["chat"]
			m.Limits.Parallel = 1
			c.Models["chat"] = m
		}, before: func(s *stage, ctx context.Context) {
			go s.call(caller.With(ctx, &caller.Caller{Workflow: "other"}), gateway.Request{Body: []byte(ask)})
		}},
		"waiting for its budget": {act: works, before: func(s *stage, _ context.Context) { s.purse.limit = 1 }},
		"pausing":                {act: fails, change: func(c *gateway.Config) { c.Routing.Backoff, c.Routing.MaxBackoff = 9*time.Minute, 9*time.Minute }},
		"waiting for a recovery": {act: works, before: func(s *stage, _ context.Context) {
			s.set("a", fails)
			for range 5 {
				s.ask(ask)
			}
			s.set("a", works)
		}},
		"before the header":           {act: hangs, stopped: true},
		"before the first event":      {act: streams(nil), body: askStream, stopped: true},
		"in the middle of the stream": {act: streams(nil, delta("a"), delta("b")), body: askStream, stopped: true},
		"waiting for the same request in flight": {act: hangs, before: func(s *stage, ctx context.Context) {
			go s.call(ctx, gateway.Request{Body: []byte(ask)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := everything()
			cfg.Routing = gateway.DefaultRouting()
			if c.change != nil {
				c.change(&cfg)
			}
			stops := make(chan time.Time, 10)
			do := func(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
				context.AfterFunc(ctx, func() { stops <- time.Now() })
				return c.act(ctx, a)
			}
			bubble(t, cfg, map[string]act{"a": do}, func(t *testing.T, s *stage) {
				s.purse.standing = hardUSD()
				others, stopOthers := context.WithCancel(t.Context())
				defer stopOthers()
				if c.before != nil {
					c.before(s, others)
				}
				synctest.Wait()
				rows := len(s.log.finished)
				ctx, leave := context.WithCancel(t.Context())
				over := make(chan error)
				go func() {
					body := c.body
					if body == "" {
						body = ask
					}
					_, err := s.call(ctx, gateway.Request{Body: []byte(body)})
					over <- err
				}()
				synctest.Wait()
				time.Sleep(10 * time.Millisecond)
				left := time.Now()
				leave()
				err := <-over
				if took := time.Since(left); took > 100*time.Millisecond {
					t.Errorf("the call ended %s after its caller left", took)
				}
				row := s.row()
				if len(s.log.finished) != rows+1 || row.Outcome != llm.Cancelled || row.Status != 499 && err != nil || err != nil && !is(err, fault.Cancelled) {
					t.Errorf("%v, %d rows, %+v", err, len(s.log.finished)-rows, row)
				}
				if c.stopped {
					if at := <-stops; at.Sub(left) > 100*time.Millisecond {
						t.Error("the upstream went on")
					}
				}
				if c.stopped && row.Usage.Input == 0 {
					t.Errorf("what was generated is not charged: %+v", row.Usage)
				}
				stopOthers()
				synctest.Wait()
			})
		})
	}
}

func TestAnUpstreamStopsWithinATenthOfASecondOfItsCallersLeaving(t *testing.T) {
	for name, stream := range map[string]bool{"before the header": false, "in mid-stream": true} {
		t.Run(name, func(t *testing.T) {
			reached, stopped := make(chan bool), make(chan time.Time)
			w := newWorldOf(t, gateway.Parts{Limiter: limit.NewMemory()}, func(rw http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if stream {
					rw.Header().Set("Content-Type", "text/event-stream")
					io.WriteString(rw, delta("Hello"))
					rw.(http.Flusher).Flush()
				}
				reached <- true
				<-r.Context().Done()
				stopped <- time.Now()
			}, func(c *gateway.Config) {
				c.Workflows = map[string]gateway.WorkflowConfig{"support": {Limits: limit.Rate{Parallel: 3}}}
			})
			ctx, leave := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, "POST", w.url, strings.NewReader(askStream))
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if answer, err := http.DefaultClient.Do(r); err == nil {
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
			}()
			<-reached
			left := time.Now()
			leave()
			if took := (<-stopped).Sub(left); took > 100*time.Millisecond {
				t.Errorf("it went on for %s", took)
			}
			if row := w.log.last(t, 1); row.Outcome != llm.Cancelled || row.Usage.Input == 0 {
				t.Errorf("%+v", row)
			}
			if uses := w.State(t.Context()).Limits; uses[0].Used != 0 {
				t.Errorf("%+v", uses)
			}
		})
	}
}

// Whoever panics, whatever was taken is given back.
func TestAPanicAnywhereGivesEverythingBack(t *testing.T) {
	bad := func(context.Context, *gateway.Attempt) (*gateway.Response, error) { panic("a provider's bug") }
	for name, c := range map[string]struct {
		act   act
		spoil func(s *stage)
		w     http.ResponseWriter
	}{
		"the provider": {act: bad},
		"the recorder": {act: works, spoil: func(s *stage) { s.log.admitPanics = true }},
		"the writer":   {act: streams(io.EOF, delta("a"), stop, done), w: &fainting{plain{header: http.Header{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, everything(), map[string]act{"a": c.act}, func(t *testing.T, s *stage) {
				s.purse.standing = hardUSD()
				if c.spoil != nil {
					c.spoil(s)
				}
				w := c.w
				if w == nil {
					w = httptest.NewRecorder()
				}
				func() {
					defer func() {
						if recover() == nil {
							t.Error("nothing panicked")
						}
					}()
					s.Do(caller.With(t.Context(), support), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(askStream)}, w)
				}()
				if row := s.row(); row.Outcome != llm.Failed || row.ErrorKind != "internal" {
					t.Errorf("%+v", row)
				}
			})
		})
	}
}
