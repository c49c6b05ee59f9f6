package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func TestAnUpstreamsRefusalIsPassedOnHonestly(t *testing.T) {
	limited := `{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`
	for name, c := range map[string]struct {
		upstream   http.HandlerFunc
		status     int
		contains   string
		retryAfter string
		kind       string
	}{
		"limited, with when to come back": {status(429, limited, "Retry-After", "7", "Set-Cookie", "a=b"), 429, limited, "7", "limited"},
		"limited, without":                {status(429, limited), 429, limited, "", "limited"},
		"a mistake of the caller":         {status(400, `{"error":{"message":"bad temperature"}}`), 400, "bad temperature", "", "invalid"},
		"broken":                          {status(500, `{"error":{"message":"oops"}}`), 500, "oops", "", "upstream"},
		"broken, in HTML":                 {status(503, "<html>down</html>"), 503, `"code":"upstream_error"`, "", "upstream"},
		"broken, in a flood of text":      {status(502, strings.Repeat("x", 10<<20)), 502, `"type":"server_error"`, "", "upstream"},
		"our key is not accepted":         {status(401, `{"error":{"message":"Incorrect API key provided: sk-provider-secret"}}`), 502, "did not accept the key of this Airfield", "", "upstream"},
		"our key is quoted":               {status(403, `{"error":{"message":"key sk-provider-secret has no access"}}`), 403, "key [key] has no access", "", "invalid"},
		"a redirect":                      {status(302, "", "Location", "http://127.0.0.1:1/"), 502, "upstream_answer", "", "upstream"},
		"a compressed answer":             {status(200, "xx", "Content-Encoding", "gzip"), 502, "upstream_answer", "", "upstream"},
		"a torn whole answer": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, whole[:40])
			panic(http.ErrAbortHandler)
		}, 502, "upstream_broken", "", "upstream"},
		"half an answer with a clean end": {jsonAnswer(whole[:60]), 502, "upstream_answer", "", "upstream"},
		"an answer that is no completion": {jsonAnswer(`{"hello":"world"}`), 502, "upstream_answer", "", "upstream"},
		"silence before the header":       {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, 504, "did not begin to answer within 300ms", "", "timeout"},
		"silence inside the answer": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, whole[:40])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 504, "fell silent", "", "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.upstream, hurried)
			a := w.chat(t, ask)
			if a.status != c.status || !strings.Contains(a.body, c.contains) || a.header.Get("Retry-After") != c.retryAfter {
				t.Fatalf("%d %q %v", a.status, clip(a.body), a.header)
			}
			if strings.Contains(fmt.Sprint(a), "sk-provider") || a.header.Get("Set-Cookie") != "" || len(a.body) > 70<<10 {
				t.Fatalf("too much was passed on: %v", clip(fmt.Sprint(a)))
			}
			row := w.log.last(t, 1)
			if row.Status != c.status || row.ErrorKind != c.kind || row.Outcome == llm.OK || row.Outcome == "" || len(row.Attempts) != 1 || strings.Contains(row.Error, "sk-provider") || len(row.Error) > 600 {
				t.Fatalf("row %+v", row)
			}
		})
	}
}

func clip(s string) string { return s[:min(len(s), 500)] }

func TestAnUpstreamThatIsNotThereIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	w := newWorld(t, nil, func(c *gateway.Config) {
		c.Providers["up"] = gateway.ProviderConfig{Kind: "openai", BaseURL: "http://" + l.Addr().String(), Timeouts: patient()}
	})
	a := w.chat(t, ask)
	if a.status != 503 || !strings.Contains(a.body, "upstream_unreachable") || strings.Contains(a.body, l.Addr().String()) {
		t.Fatalf("%+v", a)
	}
	if row := w.log.last(t, 1); row.Cost != 0 || row.Usage.Total() != 0 || row.Attempts[0].Outcome != llm.Failed || row.Attempts[0].Error == "" {
		t.Fatalf("%+v", row)
	}
}

func TestTheNextDeploymentIsTriedUpToTheFirstByteOnly(t *testing.T) {
	for name, c := range map[string]struct {
		first  http.HandlerFunc
		moves  bool
		status int
	}{
		"limited":                 {status(429, `{"error":{"message":"slow down"}}`), true, 429},
		"failed":                  {status(500, `{"error":{"message":"oops"}}`), true, 500},
		"does not know our key":   {status(401, `{}`), true, 401},
		"silent":                  {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, true, 0},
		"drops the connection":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, 0},
		"the request is at fault": {status(400, `{"error":{"message":"bad"}}`), false, 400},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			second := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked++
				b, _ := io.ReadAll(r.Body)
				if !strings.Contains(string(b), `"model":"spare"`) {
					t.Errorf("the second deployment was sent %s", b)
				}
				jsonAnswer(whole)(rw, r)
			}))
			defer second.Close()
			w := newWorld(t, c.first, hurried, func(cfg *gateway.Config) {
				cfg.Providers["two"] = gateway.ProviderConfig{Kind: "openai", BaseURL: second.URL, Timeouts: patient()}
				cfg.Models["chat"] = gateway.ModelConfig{Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-chat"}, {Provider: "two", Model: "spare"}}}
			})
			a := w.chat(t, ask)
			row := w.log.last(t, 1)
			if row.Attempts[0].Status != c.status || row.Attempts[0].Outcome != llm.Failed {
				t.Errorf("first attempt %+v", row.Attempts[0])
			}
			if !c.moves {
				if asked != 0 || a.status != c.status {
					t.Fatalf("asked %d, %+v", asked, a)
				}
				return
			}
			if a.status != 200 || a.body != whole || asked != 1 || len(row.Attempts) != 2 || row.Deployment != "two/spare" || row.Attempts[1].Outcome != llm.OK || row.Outcome != llm.OK || row.Priced {
				t.Fatalf("%+v\n%+v", a, row)
			}
		})
	}
}

func TestACallEndsAtItsDeadline(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			io.WriteString(rw, delta("on "))
			rw.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}, func(c *gateway.Config) {
		up := c.Providers["up"]
		up.Timeouts.Total = 200 * time.Millisecond
		c.Providers["up"] = up
	})
	start := time.Now()
	a := w.chat(t, askStream)
	if took := time.Since(start); took > 2*time.Second || !strings.Contains(a.body, "did not end within 200ms") {
		t.Fatalf("%s %s", took, a.body)
	}
	if row := w.log.last(t, 1); row.Outcome != llm.Broken || row.ErrorKind != "timeout" {
		t.Fatalf("%+v", row)
	}
}

func TestACallerWhoLeavesBeforeTheAnswerIsACancelledCall(t *testing.T) {
	reached, stopped := make(chan bool, 1), make(chan bool, 1)
	w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		reached <- true
		<-r.Context().Done()
		stopped <- true
	})
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-reached; leave() }()
	_, err := w.Complete(ctx, gateway.Completion{Model: "chat", Messages: []gateway.Message{{Role: "user", Content: "hello there"}}})
	if !fault.Is(err, fault.Cancelled) {
		t.Fatal(err)
	}
	<-stopped
	if row := w.log.last(t, 1); row.Outcome != llm.Cancelled || row.Status != 499 || row.Attempts[0].Outcome != llm.Cancelled || row.Usage.Input == 0 || row.Usage.Source != llm.Estimated {
		t.Fatalf("%+v", row)
	}
}

func TestUsageThatIsMissingOrAbsurdIsEstimated(t *testing.T) {
	for name, usage := range map[string]string{
		"none":       ``,
		"null":       `,"usage":null`,
		"empty":      `,"usage":{}`,
		"zero":       `,"usage":{"prompt_tokens":0,"completion_tokens":0}`,
		"negative":   `,"usage":{"prompt_tokens":-5,"completion_tokens":3}`,
		"a list":     `,"usage":[1,2]`,
		"words":      `,"usage":{"prompt_tokens":"many"}`,
		"impossible": `,"usage":{"prompt_tokens":1e30}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jsonAnswer(`{"choices":[{"message":{"content":"one two three four"},"finish_reason":"stop"}]`+usage+`}`))
			if a := w.chat(t, ask); a.status != 200 {
				t.Fatalf("%+v", a)
			}
			if row := w.log.last(t, 1); row.Usage.Source != llm.Estimated || row.Usage.Output != 4 || row.Usage.Input < 8 || row.Usage.Input > 14 || row.Cost == 0 {
				t.Fatalf("%+v", row.Usage)
			}
		})
	}
}

func TestALargeAnswerPassesAndItsUsageIsFound(t *testing.T) {
	vector := "[" + strings.TrimSuffix(strings.Repeat("0.12345678,", 300_000), ",") + "]"
	body := `{"object":"list","data":[{"index":0,"embedding":` + vector + `}],"model":"m","usage":{"prompt_tokens":77,"total_tokens":77}}`
	w := newWorld(t, jsonAnswer(body))
	a := w.post(t, "/v1/embeddings", `{"model":"embed","input":"x"}`)
	if a.body != body || a.header.Get("X-Airfield-Call-Id") == "" {
		t.Fatalf("%d bytes of %d", len(a.body), len(body))
	}
	if row := w.log.last(t, 1); row.Usage != (llm.Usage{Input: 77, Source: llm.Reported}) || row.ResponseSize != int64(len(body)) || row.Outcome != llm.OK {
		t.Fatalf("%+v", row)
	}
	if v, err := w.Embed(context.Background(), "embed", []string{"x"}, nil, ""); err != nil || len(v[0]) != 300_000 {
		t.Fatal(err)
	}
}

func TestALargeAnswerThatBreaksOffIsAnAbortedConnection(t *testing.T) {
	w := newWorld(t, die(jsonAnswer(`{"data":"`+strings.Repeat("x", 3<<20))))
	a := w.post(t, "/v1/embeddings", `{"model":"embed","input":"x"}`)
	if a.err == nil {
		t.Fatalf("%d bytes came with a clean end", len(a.body))
	}
	if row := w.log.last(t, 1); row.Outcome != llm.Broken {
		t.Fatalf("%+v", row)
	}
}

func TestTenThousandMessagesPass(t *testing.T) {
	one := `{"role":"user","content":"Tell me about the delivery of the tenth of May."},`
	body := `{"model":"chat","messages":[` + strings.TrimSuffix(strings.Repeat(one, 10_000), ",") + `]}`
	var sent int64
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		sent, _ = io.Copy(io.Discard, r.Body)
		jsonAnswer(whole)(rw, r)
	})
	if a := w.chat(t, body); a.status != 200 || sent != int64(len(body)+len("real-")) {
		t.Fatalf("%d, sent %d", a.status, sent)
	}
	if in := w.log.admitted[0].Usage.Input; in < 100_000 || in > 160_000 {
		t.Fatalf("estimated %d tokens", in)
	}
}

// A provider that closes idle connections just when they are used again must not show as errors.
func TestAConnectionTheProviderClosedIsReplaced(t *testing.T) {
	w := newWorld(t, jsonAnswer(whole))
	impatient := httptest.NewUnstartedServer(jsonAnswer(whole))
	impatient.Config.IdleTimeout = time.Millisecond
	impatient.Start()
	defer impatient.Close()
	err := w.Reload(gateway.Config{
		Providers: map[string]gateway.ProviderConfig{"builtin": {Kind: "builtin"}, "up": {Kind: "openai", BaseURL: impatient.URL, Timeouts: patient()}},
		Models:    map[string]gateway.ModelConfig{"chat": {Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-chat"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if a := w.chat(t, ask); a.status != 200 {
			t.Fatalf("call %d: %+v %+v", i, a, w.log.last(t, i+1).Attempts)
		}
		time.Sleep(time.Millisecond)
	}
}
