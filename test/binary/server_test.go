package binary

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airfield/test/upstream"
)

func TestMain(m *testing.M) { Main(m) }

const team = `
business_units: {product: {}}
workflows: {team: {business_unit: product, clearance: internal}}
`

// hasty is routing that does not wait for a provider to recover.
const hasty = "routing: {backoff: 10ms, max_backoff: 20ms, breaker: {failures: 1000}, queue: {wait: 200ms}}\n"

// chat makes a call with a key.
func (s *Server) chat(key, suffix string, n int, stream bool) (Exchange, error) {
	return s.Chat(context.Background(), upstream.Question(suffix, n, stream), As(key)...)
}

func TestAServerIsStartedMeasuredHaltedAndEnded(t *testing.T) {
	u := upstream.New(t, upstream.Options{})
	s := Install(t, hasty+u.Models("429")+team)
	s.Start()
	key := s.Key("team", "clearance", "public")
	for n := range 6 {
		if a, err := s.chat(key, "", n, n%2 == 0); err != nil || !a.Whole || a.ID == "" {
			t.Fatalf("%d %s %v", a.Status, a.Text, err)
		}
	}
	if a, err := s.chat(key, "429", 0, false); err != nil || a.Status != http.StatusTooManyRequests {
		t.Errorf("%d %s %v", a.Status, a.Text, err)
	}
	if got := s.Metric("airfield_calls_total", `outcome="ok"`, `workflow="team"`); got != 6 {
		t.Errorf("%v calls are counted", got)
	}
	if got := u.Chats(); got.Begun != 7 || got.Whole != 6 || got.Refused != 1 || got.Input != 66 || got.Output != 42 {
		t.Errorf("%+v", got)
	}
	if n := s.Goroutines(); n < 5 || n > 500 {
		t.Errorf("%d goroutines", n)
	}
	if now, peak := s.RSS(); now < 5<<20 || peak < now {
		t.Errorf("%d bytes, %d at the peak", now, peak)
	}
	if s.CPU() == 0 {
		t.Error("it used no processor time")
	}

	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	seen := s.Load(ctx, 4, func(connection, n int) []byte { return upstream.Question("", n, connection%2 == 0) }, As(key)...)
	for _, e := range seen {
		if !e.Whole {
			t.Errorf("%d %s", e.Status, e.Text)
		}
	}
	if got := u.Chats(); got.Whole != 6+int64(len(seen)) || len(seen) < 4 || got.Peak < 2 {
		t.Errorf("%d calls were answered; %+v", len(seen), got)
	}

	s.Pause()
	var wait sync.WaitGroup
	answered := make(chan struct{})
	wait.Go(func() {
		defer close(answered)
		if a, err := s.chat(key, "", 100, false); err != nil || a.Status != http.StatusOK {
			t.Errorf("%d %v", a.Status, err)
		}
	})
	select {
	case <-answered:
		t.Error("a halted server answered")
	case <-time.After(100 * time.Millisecond):
	}
	s.Resume()
	wait.Wait()

	s.Kill()
	if s.Running() {
		t.Error("it runs after it was killed")
	}
	s.Start()
	if a, err := s.chat(key, "", 101, false); err != nil || a.Status != http.StatusOK {
		t.Errorf("after kill and start: %d %v", a.Status, err)
	}
	s.Signal(syscall.SIGHUP)
	s.Await("the reload", func() bool { return strings.Contains(s.Log(), "the configuration was taken over") })
	s.Stop()
	select {
	case <-s.Ended():
	default:
		t.Error("it has not ended")
	}
}

func TestReplicasAreOneInstallation(t *testing.T) {
	u := upstream.New(t, upstream.Options{})
	all := Replicas(t, 3, Stores(t)+u.Models()+team)
	key := all[0].Key("team")
	for n, s := range all {
		if a, err := s.chat(key, "", n, false); err != nil || a.Status != http.StatusOK {
			t.Fatalf("server %d: %d %s %v", n, a.Status, a.Text, err)
		}
	}
	for _, s := range all {
		s.Call(http.MethodPost, "/api/flush", nil, nil)
	}
	var page struct{ Calls []struct{ ID string } }
	all[2].Call(http.MethodGet, "/api/calls?model=chat", nil, &page)
	if len(page.Calls) != 3 || u.Chats().Whole != 3 {
		t.Errorf("%d rows, %+v", len(page.Calls), u.Chats())
	}
	for _, s := range all {
		s.Stop()
	}
}
