package gateway

import (
	"testing"
	"time"
	"unsafe"
)

// setBack is a moment as time.Now returns it after the wall's clock was set back: the monotonic part goes on. The layout is
// that of time.Time: the seconds of the wall are bits 30 to 62 of its first word.
func setBack(t *testing.T, at time.Time, seconds uint64) time.Time {
	t.Helper()
	set := at
	*(*uint64)(unsafe.Pointer(&set)) -= seconds << 30
	if !set.Equal(at) && set.Sub(at) != 0 || at.Unix()-set.Unix() != int64(seconds) {
		t.Fatalf("%s is not %s set back", set, at)
	}
	return set
}

func TestAClockThatIsSetBackKeepsNoDeploymentClosed(t *testing.T) {
	h := newHealth("up/a", Breaker{Failures: 1, Open: time.Second}, func() {}, func(string, bool) {})
	now := time.Now()
	h.cool(now.Add(time.Second))
	if o, is := h.obstacle(now, 0); !is || o.until.Sub(now) != time.Second {
		t.Errorf("%+v %t", o, is)
	}
	if _, is := h.obstacle(setBack(t, now.Add(900*time.Millisecond), 3600), 0); !is {
		t.Error("it is asked too soon")
	}
	if o, is := h.obstacle(setBack(t, now.Add(1100*time.Millisecond), 3600), 0); is {
		t.Errorf("left alone: %+v", o)
	}
	h.quota.learn(now, Quota{Requests: Left{Known: true, Left: 0, Limit: 10, Reset: 2 * time.Second}})
	if o, is := h.obstacle(setBack(t, now.Add(2100*time.Millisecond), 3600), 0); is {
		t.Errorf("left alone: %+v", o)
	}

	turn, _ := h.begin(now, 0)
	h.end(turn, failing)
	if _, is := h.obstacle(setBack(t, time.Now(), 3600), 0); !is {
		t.Error("the breaker is not open")
	}
	if o, is := h.obstacle(setBack(t, time.Now().Add(1100*time.Millisecond), 3600), 0); is {
		t.Errorf("the breaker stays open: %+v", o)
	}
}

func TestAnAnswerFromTheFutureIsBelievedNoLongerThanAnother(t *testing.T) {
	for at, fresh := range map[time.Duration]bool{-2 * time.Minute: false, -30 * time.Second: true, 0: true, 30 * time.Second: true, time.Hour: false} {
		k := &kept{At: time.Now().Add(at).Round(0)}
		if k.within(time.Minute) != fresh {
			t.Errorf("kept %s from now: %t", at, !fresh)
		}
	}
}
