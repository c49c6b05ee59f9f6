package providertest

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// passed asks through a whole gateway in the provider's own words: what is recorded must arrive as it is, and come back
// as it is, and be metered.
func (b *bench) passed(t *testing.T, recorded map[string]*recording) {
	g, rows := b.gateway(t)
	ask := func(surface llm.Surface, body []byte) (*httptest.ResponseRecorder, llm.Call, error) {
		w := httptest.NewRecorder()
		ctx := caller.With(within(t), &caller.Caller{KeyID: "key_1", Workflow: "support", Environment: "dev"})
		err := g.Do(ctx, &gateway.Request{Surface: surface, Body: body}, w)
		return w, rows.last(t), err
	}
	finish := map[string]string{}
	for _, c := range Cases() {
		r := recorded[c.Name]
		if r == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			body := b.body(t, r)
			b.upstream.will(b.gives(r, body, -1))
			w, row, err := ask(b.Surface, r.request)
			if err != nil {
				t.Fatal(err)
			}
			b.came(t, r.request, b.path(c.Request.Stream))
			switch {
			case c.Refused != nil:
				if w.Code != c.Refused.Status || row.Status != w.Code || !bytes.Contains(w.Body.Bytes(), []byte(c.Refused.Message)) || row.Outcome != llm.Failed {
					t.Errorf("status %d, outcome %s: %s", w.Code, row.Outcome, w.Body)
				}
				b.comeBack(t, r, w.Header().Get("Retry-After"), 0)
			case c.Torn:
				if row.Outcome != llm.Broken || row.Error == "" {
					t.Errorf("outcome %s: %s", row.Outcome, row.Error)
				}
			default:
				if row.Outcome != llm.OK || w.Code != r.status {
					t.Fatalf("outcome %s: %s", row.Outcome, row.Error)
				}
				if row.Usage != b.usage(&c) {
					t.Errorf("it used %+v, not %+v", row.Usage, b.usage(&c))
				}
				if row.Finish == "" {
					t.Error("nothing says why it ended")
				}
				finish[c.Name] = row.Finish
				if missing := firstMissing(body, w.Body.Bytes()); missing != nil {
					t.Errorf("what came out lacks %s:\n%s", missing, w.Body)
				}
			}
			if !c.Request.Stream || !c.Whole() {
				return
			}
			b.upstream.will(b.dribbles(r, body))
			if _, row, err := ask(b.Surface, r.request); err != nil || row.Outcome != llm.OK || row.Usage != b.usage(&c) {
				t.Errorf("byte by byte: outcome %s, used %+v, %v", row.Outcome, row.Usage, err)
			}
			for n := range body {
				b.upstream.will(b.gives(r, body, n))
				_, row, _ := ask(b.Surface, r.request)
				if row.Outcome == llm.OK && row.Finish != finish[c.Name] {
					t.Fatalf("cut after %d of %d bytes it ends cleanly, with %q", n, len(body), row.Finish)
				}
				if row.Usage.Source == llm.Reported && row.Outcome == llm.OK && row.Usage != b.usage(&c) {
					t.Fatalf("cut after %d of %d bytes it used %+v", n, len(body), row.Usage)
				}
			}
		})
	}
	t.Run("an answer that is none", func(t *testing.T) {
		plain := recorded["plain"]
		for _, text := range []string{"", "null", "[]", "{}", "<html>busy</html>", `{"a":`} {
			none := *plain
			b.upstream.will(b.gives(&none, []byte(text), -1))
			w, row, err := ask(b.Surface, plain.request)
			if err == nil || fault.As(err).Kind != fault.Upstream || row.Outcome != llm.Failed || w.Body.Len() > 0 {
				t.Errorf("%q: %v, outcome %s", text, err, row.Outcome)
			}
		}
	})
}

// firstMissing finds a line of what the provider sent that did not come out; blank lines, usage that nobody asked for and
// what the gateway says of errors aside.
func firstMissing(sent, got []byte) []byte {
	for line := range bytes.Lines(sent) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && !bytes.Contains(line, []byte(`"usage"`)) && !bytes.Contains(got, line) {
			return line
		}
	}
	return nil
}

// gateway is a whole one in front of the provider. It asks once and waits for nothing.
func (b *bench) gateway(t *testing.T) (*gateway.Gateway, *rows) {
	routing := gateway.DefaultRouting()
	routing.Attempts, routing.Queue.Wait, routing.Backoff, routing.MaxBackoff = 1, 0, time.Millisecond, time.Millisecond
	routing.Breaker.Failures = 1 << 30
	r := &rows{}
	c := b.config
	c.Kind = "up"
	same := func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) { return b.provider, nil }
	g, err := gateway.New(gateway.Config{
		Routing:   routing,
		Providers: map[string]gateway.ProviderConfig{"up": c},
		Models:    map[string]gateway.ModelConfig{b.Model: {Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: b.Model}}}},
	}, gateway.Parts{Kinds: map[string]gateway.Kind{c.Kind: same, gateway.Builtin: same}, Prices: unpriced{}, Recorder: r, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g, r
}

type unpriced struct{}

func (unpriced) Price(string, string, time.Time) (llm.Price, bool) { return llm.Price{}, false }

// rows keeps the last row of the log.
type rows struct {
	mu  sync.Mutex
	row *llm.Call
}

func (r *rows) Admit(*llm.Call) error { return nil }

func (r *rows) Finish(c *llm.Call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := *c
	row.Attempts = slices.Clone(c.Attempts)
	r.row = &row
	return nil
}

func (r *rows) last(t *testing.T) llm.Call {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.row == nil {
		t.Fatal("no row was written")
	}
	row := *r.row
	r.row = nil
	return row
}
