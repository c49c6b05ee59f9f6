package fault

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"airfield/test/binary"
	"airfield/test/upstream"
)

// pair is a model with two deployments, whose breakers open after three failures.
func pair(t *testing.T, rest string) (s *site, first, second *upstream.Upstream, people *receiver) {
	first, second, people = well(t), well(t), receive(t)
	s = open(t, "routing: {deadline: 20s, attempts: 1, backoff: 10ms, max_backoff: 20ms, breaker: {failures: 3, open: "+rest+"}}\nproviders:\n"+
		first.Provider("first")+second.Provider("second")+"models:\n"+model("chat", "", "first", "chat", "second", "chat")+
		team+"workflows: {team: {business_unit: product, clearance: internal}}\n"+people.config())
	return s, first, second, people
}

func TestABreakerOpensIsSeenProbesAndCloses(t *testing.T) {
	s, first, second, people := pair(t, "1500ms")
	shown := func(breaker string, metric float64) {
		t.Helper()
		if d := s.deployment("first/chat"); d.Breaker != breaker || (d.Reason == "") != (breaker != "open") {
			t.Errorf("airfield route status says %s, because %q", d.Breaker, d.Reason)
		}
		if got := s.Metric("airfield_breaker_open", `deployment="first/chat"`); got != metric {
			t.Errorf("airfield_breaker_open is %v where the breaker is %s", got, breaker)
		}
	}
	shown("closed", 0)
	first.Behave(always("500"))
	for n := range 3 {
		if e, row := s.ask(question("chat", n == 1, "Is lot 1 in good order?"+polite)); !e.Whole || len(row.Attempts) != 2 || row.Deployment != "second/chat" {
			t.Fatalf("call %d: %d, %d attempts by %s", n, e.Status, len(row.Attempts), row.Deployment)
		}
	}
	opened := time.Now()
	shown("open", 1)
	for range 10 {
		if e, row := s.ask(question("chat", false, "Is lot 2 in good order?"+polite)); !e.Whole || len(row.Attempts) != 1 {
			t.Errorf("%d, %d attempts", e.Status, len(row.Attempts))
		}
	}
	if n := first.Chats().Begun; n != 3 && time.Since(opened) < time.Second {
		t.Errorf("%d calls were sent to a deployment that was to be left alone after 3", n)
	}
	told := s.await(people, "gateway.breaker", "first/chat", 1)
	if e := told[0]; e.Resolved || e.Severity != "warning" || e.Fields["deployment"] != "first/chat" || !strings.Contains(e.Title, "first/chat") {
		t.Errorf("told %+v", e)
	}

	// A probe that fails opens it again, and is not told again.
	s.Await("the time to be over", func() bool { return s.deployment("first/chat").Breaker == "half-open" })
	shown("half-open", 0.5)
	begun := first.Chats().Begun
	if e, row := s.ask(question("chat", false, "Is lot 3 in good order?"+polite)); !e.Whole || len(row.Attempts) != 2 {
		t.Errorf("the probe: %d, %d attempts", e.Status, len(row.Attempts))
	}
	if n := first.Chats().Begun - begun; n != 1 {
		t.Errorf("%d probes", n)
	}
	shown("open", 1)

	first.Behave(nil)
	s.Await("the time to be over", func() bool { return s.deployment("first/chat").Breaker == "half-open" })
	if e, row := s.ask(question("chat", true, "Is lot 4 in good order?"+polite)); !e.Whole || row.Deployment != "first/chat" {
		t.Errorf("the probe: %d by %s", e.Status, row.Deployment)
	}
	shown("closed", 0)
	if told = s.await(people, "gateway.breaker", "first/chat", 2); len(told) != 2 || !told[1].Resolved {
		t.Errorf("told %+v", told)
	}
	if n := len(people.of("gateway.breaker", "second/chat")); n != 0 || second.Chats().Refused != 0 {
		t.Errorf("%d events of a deployment that was well", n)
	}
}

func TestWhenEverythingIsOpenACallWaitsForTheRecovery(t *testing.T) {
	s, first, second, people := pair(t, "2s")
	first.Behave(always("500"))
	second.Behave(always("die"))
	failed := 0
	for s.deployment("first/chat").Breaker != "open" || s.deployment("second/chat").Breaker != "open" {
		if failed++; failed > 10 {
			t.Fatal("the breakers do not open")
		}
		if e, row := s.ask(question("chat", false, "Is lot 5 in good order?"+polite), "X-Airfield-Timeout", "1s"); e.Status < 500 || row.Outcome != "error" || !strings.Contains(e.Text, `"error"`) {
			t.Fatalf("%d %s %s", e.Status, e.Text, row.Outcome)
		}
	}
	for _, d := range []string{"first/chat", "second/chat"} {
		if told := s.await(people, "gateway.breaker", d, 1); len(told) != 1 {
			t.Errorf("told %+v", told)
		}
	}

	// Who has no time is told at once, and when to come again.
	began, before := time.Now(), first.Chats().Begun+second.Chats().Begun
	e, row := s.ask(question("chat", true, "Is lot 6 in good order?"+polite), "X-Airfield-Timeout", "300ms")
	after, _ := strconv.Atoi(e.Header.Get("Retry-After"))
	if took := time.Since(began); e.Status != http.StatusServiceUnavailable || !strings.Contains(e.Text, "all_down") || after < 1 || after > 3 || took > time.Second || len(row.Attempts) != 0 || row.CostUSD != 0 {
		t.Errorf("%d after %s, again in %d s, %d attempts: %s", e.Status, took, after, len(row.Attempts), e.Text)
	}
	if row.Decision == nil || row.Decision.Rule != "deployment" || row.Decision.FreesAt.IsZero() {
		t.Errorf("the row says %+v", row.Decision)
	}

	// Who has time waits, and many who wait make one probe of each.
	first.Behave(nil)
	second.Behave(nil)
	done := make(chan binary.Exchange, 20)
	for range cap(done) {
		go func() {
			e, _ := s.Chat(t.Context(), question("chat", false, "Is lot 7 in good order?"+polite), binary.As(s.key)...)
			done <- e
		}()
	}
	for range cap(done) {
		e := <-done
		if row := s.row(e.ID); !e.Whole || row.WaitedMS <= 0 || row.WaitedMS > 10_000 {
			t.Errorf("%d after a wait of %v ms: %s", e.Status, row.WaitedMS, e.Text)
		}
	}
	if n := first.Chats().Begun + second.Chats().Begun - before; n != int64(cap(done)) {
		t.Errorf("%d requests at the providers for %d calls", n, cap(done))
	}
	for _, d := range []string{"first/chat", "second/chat"} {
		s.Await("the breaker of "+d+" to close", func() bool {
			s.ask(question("chat", false, "Is lot 8 in good order?"+polite))
			return s.deployment(d).Breaker == "closed" || d == "second/chat" // which nobody needs to ask
		})
	}
}

func TestAProviderThatAsksToBeLeftAloneIs(t *testing.T) {
	for name, b := range map[string]struct {
		says upstream.Behaviour
		most time.Duration
		less time.Duration
	}{
		"in seconds":    {upstream.Named["429-seconds"], 5 * time.Second, 1900 * time.Millisecond},
		"by a date":     {upstream.Named["429-date"], 6 * time.Second, 1900 * time.Millisecond}, // to the second, rounded down
		"without a say": {upstream.Named["429"], 4 * time.Second, 900 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := well(t)
			s := open(t, quick+"providers:\n"+u.Provider("mock")+"models:\n"+model("chat", "", "mock", "chat")+team+"workflows: {team: {business_unit: product, clearance: internal}}\n")
			u.Behave(upstream.Sequence(b.says, upstream.Behaviour{}))
			began := time.Now()
			e, row := s.ask(question("chat", true, "Is lot 1 in good order?"+polite))
			all := u.Exchanges()
			if !e.Whole || len(row.Attempts) != 2 || row.Attempts[0].Status != 429 || row.Attempts[0].Outcome != "error" || row.Outcome != "ok" || len(all) != 2 {
				t.Fatalf("%d, %d attempts, %d requests: %s", e.Status, len(row.Attempts), len(all), e.Text)
			}
			if paused := all[1].Began.Sub(all[0].Began); paused < b.less || paused > b.most || time.Since(began) > b.most+time.Second {
				t.Errorf("asked again after %s", paused)
			}
			if row.InputTokens != 11 || row.OutputTokens != 7 || row.UsageSource != "reported" {
				t.Errorf("%d+%d tokens %s: a refusal is charged", row.InputTokens, row.OutputTokens, row.UsageSource)
			}
			// Who cannot wait so long gets the provider's word, and how long it asked for.
			u.Behave(upstream.Sequence(b.says))
			e, row = s.ask(question("chat", false, "Is lot 2 in good order?"+polite), "X-Airfield-Timeout", "700ms")
			if e.Status != http.StatusTooManyRequests || !strings.Contains(e.Text, "the upstream says 429") || row.CostUSD != 0 || (b.says.RetryAfter > 0) != (e.Header.Get("Retry-After") != "") {
				t.Errorf("%d %v %s", e.Status, e.Header, e.Text)
			}
		})
	}
}
