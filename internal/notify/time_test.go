package notify

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script is a transport without a network, for fake time: it answers with the next of its statuses, the last for ever; 0
// hangs until the request ends.
type script struct {
	statuses []int
	header   http.Header
	at       []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.at = append(s.at, time.Now())
	status := s.statuses[min(len(s.at), len(s.statuses))-1]
	switch status {
	case 0:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case -1:
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Header: s.header, Body: http.NoBody}, nil
}

// inTime runs a test in fake time with one channel.
func inTime(t *testing.T, s *script, fn func(n *Notifier, end func(), log fmt.Stringer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, log, end := run(t, Config{"ops": {Webhook: "https://alerts.example.com/"}}, Deps{Transport: s})
		fn(n, end, log)
		end()
	})
}

func TestTriesAreBoundedAndSpread(t *testing.T) {
	s := &script{statuses: []int{500, -1, 0, 503}}
	inTime(t, s, func(n *Notifier, _ func(), _ fmt.Stringer) {
		n.Send(Event{Kind: "a"})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := n.Status()[0]; got.Failed != 1 || len(s.at) != maxTries {
			t.Errorf("%d tries: %+v", len(s.at), got)
		}
		for i := 1; i < len(s.at); i++ {
			wait, most := s.at[i].Sub(s.at[i-1]), firstWait<<(i-1)
			if i == 3 {
				wait -= 10 * time.Second // the third try hung until its timeout
			}
			if wait < most/2 || wait > most {
				t.Errorf("try %d came %s after the one before, not %s to %s", i+1, wait, most/2, most)
			}
		}
	})
}

func TestAReceiverMayAskForPatience(t *testing.T) {
	for asked, want := range map[string]time.Duration{"7": 7 * time.Second, "86400": maxPatience, "soon": 0} {
		s := &script{statuses: []int{429, 200}, header: http.Header{"Retry-After": {asked}}}
		inTime(t, s, func(n *Notifier, _ func(), _ fmt.Stringer) {
			n.Send(Event{Kind: "a"})
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if len(s.at) != 2 {
				t.Fatalf("%d tries", len(s.at))
			}
			if wait := s.at[1].Sub(s.at[0]); wait < want || wait > want+firstWait {
				t.Errorf("Retry-After: %s was answered with %s", asked, wait)
			}
		})
	}
	in := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	if got := retryAfter(in); got < 80*time.Second || got > 90*time.Second {
		t.Errorf("%s is %s from now", in, got)
	}
}

func TestTheSameIsSaidOnceAnHourUntilItIsOver(t *testing.T) {
	s := &script{statuses: []int{200}}
	inTime(t, s, func(n *Notifier, _ func(), _ fmt.Stringer) {
		sent := func(want int, what string) {
			t.Helper()
			synctest.Wait()
			if len(s.at) != want {
				t.Fatalf("%s: %d were sent, not %d", what, len(s.at), want)
			}
		}
		for range 90 {
			n.Send(Event{Kind: "a", Key: "x"})
			time.Sleep(time.Minute)
		}
		sent(2, "an hour and a half")
		n.Send(Event{Kind: "a", Key: "y"})
		n.Send(Event{Kind: "b", Key: "x"})
		sent(4, "other things")
		n.Send(Event{Kind: "a", Key: "x", Resolved: true})
		n.Send(Event{Kind: "a", Key: "x", Resolved: true})
		sent(5, "it is over")
		n.Send(Event{Kind: "a", Key: "x"})
		sent(6, "it is back")
		if got := n.Status()[0].Held; got != 89 {
			t.Errorf("%d were held back", got)
		}
	})
}

func TestHowOftenItWasHeldBackIsSaid(t *testing.T) {
	r := receive(t, nil)
	n, _, _ := run(t, Config{"ops": {Webhook: r.URL, Repeat: 300 * time.Millisecond}}, Deps{})
	for range 5 {
		n.Send(Event{Kind: "a"})
	}
	if in := r.next(t); in.Held != 0 {
		t.Errorf("%+v", in.wire)
	}
	time.Sleep(300 * time.Millisecond) // repeat is real time here, since the receiver is real
	n.Send(Event{Kind: "a"})
	if in := r.next(t); in.Held != 4 {
		t.Errorf("%+v", in.wire)
	}
}

func TestWhatNobodyGotDoesNotHoldBackTheNext(t *testing.T) {
	s := &script{statuses: []int{404, 200}}
	inTime(t, s, func(n *Notifier, _ func(), _ fmt.Stringer) {
		for range 3 {
			n.Send(Event{Kind: "a"})
			synctest.Wait()
		}
		if got := n.Status()[0]; got.Failed != 1 || got.Delivered != 1 || got.Held != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestTheMemoryIsBounded(t *testing.T) {
	m, now := memory{}, time.Now()
	for i := range 3 * maxRemembered {
		m.add(newMessage(Event{Kind: "a", Key: fmt.Sprint(i)}, 0), now.Add(time.Duration(i)), time.Hour)
	}
	if len(m) != maxRemembered {
		t.Errorf("%d are remembered", len(m))
	}
	if _, again := m.again(Event{Kind: "a", Key: fmt.Sprint(3*maxRemembered - 1)}, now, time.Hour); !again {
		t.Error("the newest was forgotten")
	}
	m.add(newMessage(Event{Kind: "b"}, 0), now.Add(2*time.Hour), time.Hour)
	if len(m) != 1 {
		t.Errorf("%d are remembered though their hour is over", len(m))
	}
}

func TestDroppedEventsAreLoggedOnceAMinute(t *testing.T) {
	s := &script{statuses: []int{0}}
	inTime(t, s, func(n *Notifier, _ func(), log fmt.Stringer) {
		for range 5 {
			for i := range queueSize + 100 {
				n.Send(Event{Kind: "a", Key: fmt.Sprint(time.Now().UnixNano(), i)})
			}
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if lines := strings.Count(log.String(), "events were dropped"); lines != 1 {
			t.Errorf("%d lines in two minutes: %s", lines, log)
		}
	})
}

func TestTheEndDeliversWhatWaitsAndTakesSecondsAtMost(t *testing.T) {
	for what, test := range map[string]struct {
		statuses  []int
		delivered int64
		takes     time.Duration
	}{
		"well":    {[]int{200}, 20, 0},
		"at last": {[]int{500, 200}, 20, time.Second},
		"hanging": {[]int{0}, 0, drainTime},
		"refused": {[]int{-1}, 0, drainTime},
	} {
		s := &script{statuses: test.statuses}
		inTime(t, s, func(n *Notifier, end func(), log fmt.Stringer) {
			for i := range 20 {
				n.Send(Event{Kind: "a", Key: fmt.Sprint(i)})
			}
			began := time.Now()
			end()
			took, got := time.Since(began), n.Status()[0]
			if got.Delivered != test.delivered || got.Delivered+got.Dropped != 20 || took > test.takes {
				t.Errorf("%s: it took %s: %+v", what, took, got)
			}
			if (got.Dropped > 0) != strings.Contains(log.String(), `"dropped":20`) {
				t.Errorf("%s: the log: %s", what, log)
			}
			n.Send(Event{Kind: "late"})
			if late := n.Status()[0]; late.Dropped != got.Dropped+1 || late.Waiting != 0 {
				t.Errorf("%s: after the end: %+v", what, late)
			}
		})
	}
}

func TestAReloadTakesOverTheChannels(t *testing.T) {
	old, next := receive(t, nil), receive(t, nil)
	n, _, _ := run(t, Config{"a": {Webhook: old.URL}, "b": {Webhook: old.URL, Events: []string{"b"}}}, Deps{})
	n.Send(Event{Kind: "a"})
	old.next(t)
	if err := n.Reload(Config{"a": {}}); err == nil {
		t.Error("a configuration that cannot work was taken")
	}
	if err := n.Reload(Config{"a": {Webhook: next.URL}, "c": {Webhook: next.URL, Events: []string{"c"}}}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"a", "b", "c"} {
		n.Send(Event{Kind: kind})
	}
	got := map[string]int{}
	for range 3 {
		got[next.next(t).Kind]++
	}
	if got["b"] != 1 || got["c"] != 2 || len(old.got) != 0 { // a was said already
		t.Errorf("%v, and %d to where nothing goes any more", got, len(old.got))
	}
	if s := n.Status(); len(s) != 2 || s[0].Channel != "a" || s[1].Channel != "c" {
		t.Errorf("%+v", s)
	}
}
