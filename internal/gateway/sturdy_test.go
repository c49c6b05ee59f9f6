package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/llm"
)

// plain is a writer that can do no more than it must: no flush, no deadlines.
type plain struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (p *plain) Header() http.Header         { return p.header }
func (p *plain) WriteHeader(status int)      { p.status = status }
func (p *plain) Write(b []byte) (int, error) { return p.body.Write(b) }

func TestAStreamNeedsNothingOfItsWriter(t *testing.T) {
	w := newWorld(t, events(delta("a"), stop, usageOnly, done))
	out := &plain{header: http.Header{}}
	if err := w.Do(context.Background(), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(askStream)}, out); err != nil {
		t.Fatal(err)
	}
	if row := w.log.last(t, 1); row.Outcome != llm.OK || !strings.HasSuffix(out.body.String(), done) {
		t.Fatalf("%+v %q", row, out.body.String())
	}
}

// broken is a caller's side that takes nothing after the first write.
type broken struct {
	plain
	writes int
}

func (b *broken) Write(p []byte) (int, error) {
	if b.writes++; b.writes > 1 {
		return 0, errors.New("connection reset")
	}
	return len(p), nil
}

func TestAWriterThatFailsIsACallerWhoLeft(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil { // only the end of the exchange stops it
			events(delta("more "))(rw, r)
		}
	})
	if err := w.Do(context.Background(), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(askStream)}, &broken{plain: plain{header: http.Header{}}}); err != nil {
		t.Fatal(err)
	}
	if row := w.log.last(t, 1); row.Outcome != llm.Cancelled || row.Usage.Output == 0 || row.Cost == 0 {
		t.Fatalf("%+v", row)
	}
}

// fainting is a writer that panics: a handler's bug must not lose the row.
type fainting struct{ plain }

func (f *fainting) WriteHeader(int) { panic("no") }

func TestAPanicLeavesARow(t *testing.T) {
	w := newWorld(t, events(delta("a"), stop, done))
	func() {
		defer func() { recover() }()
		w.Do(context.Background(), &gateway.Request{Surface: llm.ChatCompletions, Body: []byte(askStream)}, &fainting{plain{header: http.Header{}}})
	}()
	if row := w.log.last(t, 1); row.Outcome != llm.Failed || row.ErrorKind != "internal" {
		t.Fatalf("%+v", row)
	}
}

func TestCallsInFlightOutliveAReload(t *testing.T) {
	reached, release := make(chan bool), make(chan bool)
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		reached <- true
		<-release
		jsonAnswer(whole)(rw, r)
	})
	got := make(chan answer)
	go func() {
		r, err := http.Post(w.url, "application/json", strings.NewReader(ask))
		if err != nil {
			got <- answer{err: err}
			return
		}
		r.Body.Close()
		got <- answer{status: r.StatusCode}
	}()
	<-reached
	if err := w.Reload(gateway.Default()); err != nil {
		t.Fatal(err)
	}
	close(release)
	if a := <-got; a.status != 200 {
		t.Fatalf("%+v", a)
	}
}

func TestManyCallsAtOnceEachLeaveTheirOwnRow(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		var q struct {
			Stream   bool
			Messages []struct{ Content string }
		}
		json.NewDecoder(r.Body).Decode(&q)
		if q.Stream {
			events(delta(q.Messages[0].Content), stop, usageOnly, done)(rw, r)
			return
		}
		jsonAnswer(`{"choices":[{"message":{"content":"`+q.Messages[0].Content+`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)(rw, r)
	})
	const calls = 200
	var group sync.WaitGroup
	for i := range calls {
		group.Go(func() {
			mine := fmt.Sprintf("call number %d of many", i)
			a := w.chat(t, fmt.Sprintf(`{"model":"chat","stream":%v,"messages":[{"role":"user","content":"%s"}]}`, i%2 == 0, mine))
			if a.status != 200 || !strings.Contains(a.body, mine) {
				t.Errorf("%d: %+v", i, a)
			}
		})
	}
	group.Wait()
	w.log.last(t, calls)
	seen := map[string]bool{}
	for _, row := range w.log.finished {
		if row.Outcome != llm.OK || seen[row.ID] {
			t.Fatalf("%+v", row)
		}
		seen[row.ID] = true
	}
}

func TestErrorsHaveTheShapeOfTheAPI(t *testing.T) {
	b := gateway.ErrorBody(fault.New(fault.Limited, "budget", "the budget \"x\" is used up").Hinted("it frees tomorrow").At("model"))
	if want := `{"error":{"message":"the budget \"x\" is used up — it frees tomorrow","type":"rate_limit_error","param":"model","code":"budget"}}`; string(b) != want {
		t.Fatalf("%s", b)
	}
}

func TestAProviderThatIsNotChangedIsKept(t *testing.T) {
	made := 0
	kind := func(string, gateway.ProviderConfig, *slog.Logger) (gateway.Provider, error) {
		made++
		return nothing{}, nil
	}
	g, err := gateway.New(gateway.Default(), gateway.Parts{Kinds: map[string]gateway.Kind{"builtin": kind}, Prices: priceList{}, Recorder: forgetful{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := gateway.Default()
	c.Models["new"] = gateway.ModelConfig{Deployments: []gateway.DeploymentConfig{{Provider: "builtin"}}}
	if err := g.Reload(c); err != nil || made != 1 || len(g.Models(context.Background())) != 3 {
		t.Fatal(err, made)
	}
	c.Providers["builtin"] = gateway.ProviderConfig{Kind: "builtin", PriceList: "other"}
	if err := g.Reload(c); err != nil || made != 2 {
		t.Fatal(err, made)
	}
}
