package limit

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestALimitIsFreeWhenItSaid(t *testing.T) {
	for name, c := range map[string]struct {
		rate   Rate
		tokens int64
		wait   time.Duration
	}{
		"requests":            {Rate{RequestsPerMinute: 7}, 0, time.Minute / 7},
		"tokens":              {Rate{TokensPerMinute: 30_000}, 10_000, 20 * time.Second},
		"tokens, odd numbers": {Rate{TokensPerMinute: 29_989}, 29_989, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, ask := NewMemory(), Ask{"a", c.rate}
				for _, full := take(t, m, c.tokens, ask); full == nil; _, full = take(t, m, c.tokens, ask) {
				}
				for range 100 {
					_, full := take(t, m, c.tokens, ask)
					if full == nil || full.Free.IsZero() {
						t.Fatal(full)
					}
					wait := time.Until(full.Free)
					if wait > c.wait+time.Microsecond {
						t.Fatal(wait)
					}
					time.Sleep(wait - time.Microsecond)
					if _, full := take(t, m, c.tokens, ask); full == nil && c.tokens > 0 {
						t.Fatal("free before it said")
					}
					time.Sleep(time.Microsecond)
					if c.tokens > 0 {
						mustTake(t, m, c.tokens, ask)
					}
				}
			})
		})
	}
}

func TestAQuietMinuteFillsABucketAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ask := NewMemory(), Ask{"a", Rate{RequestsPerMinute: 60}}
		mustTake(t, m, 0, ask)
		time.Sleep(time.Hour)
		for range 60 {
			mustTake(t, m, 0, ask)
		}
		if _, full := take(t, m, 0, ask); full == nil || full.Used != 60 {
			t.Fatal(full)
		}
		time.Sleep(10 * time.Second)
		if got := used(t, m, ask)[0]; got != 50 {
			t.Fatal(got)
		}
	})
}

func TestASlotThatIsNeverReleasedFreesItselfAndWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ask := NewMemory(), Ask{"a", Rate{Parallel: 2}}
		woken := make(chan time.Time, 10)
		m.OnRelease(func() { woken <- time.Now() })
		start := time.Now()
		lost, _, _ := m.Take(t.Context(), []Ask{ask}, 0, 30*time.Second)
		kept, _, _ := m.Take(t.Context(), []Ask{ask}, 0, time.Hour)
		if _, full := take(t, m, 0, ask); full == nil || !full.Free.IsZero() {
			t.Fatal(full)
		}
		if at := (<-woken).Sub(start); at != 30*time.Second {
			t.Fatal(at)
		}
		mustTake(t, m, 0, ask)
		lost.Release() // comes late, and is another's slot now
		if got := used(t, m, ask)[2]; got != 2 {
			t.Fatal(got)
		}
		kept.Release()
		<-woken
		if got := used(t, m, ask)[2]; got != 1 {
			t.Fatal(got)
		}
	})
}

func TestWhatTimeGaveBackIsNotGivenBackTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ask := NewMemory(), Ask{"a", Rate{TokensPerMinute: 600}}
		early := mustTake(t, m, 600, ask)
		time.Sleep(time.Minute)
		mustTake(t, m, 600, ask)
		early.Correct(100)
		if got := used(t, m, ask)[1]; got != 600 {
			t.Fatal("the reservation had drained, and another's use was forgotten:", got)
		}
		time.Sleep(time.Minute)
		half := mustTake(t, m, 600, ask)
		time.Sleep(30 * time.Second)
		mustTake(t, m, 300, ask)
		half.Correct(0)
		if got := used(t, m, ask)[1]; got != 300 {
			t.Fatal("half of it was left to give back:", got)
		}
	})
}

func TestNamesThatAreNotInUseAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, busy, idle := NewMemory(), Ask{"busy", Rate{Parallel: 1}}, Ask{"idle", Rate{RequestsPerMinute: 10, TokensPerMinute: 100}}
		held, _, _ := m.Take(t.Context(), []Ask{busy}, 0, time.Hour)
		late := mustTake(t, m, 100, idle)
		time.Sleep(3 * time.Minute)
		mustTake(t, m, 0, Ask{"another", Rate{RequestsPerMinute: 1}})
		if len(m.entries) != 2 || m.entries["busy"] == nil {
			t.Fatal(len(m.entries))
		}
		late.Correct(150) // a debt is remembered all the same
		if got := used(t, m, idle)[1]; got != 50 {
			t.Fatal(got)
		}
		late.Release()
		held.Release()
		time.Sleep(3 * time.Minute)
		mustTake(t, m, 0, Ask{"another", Rate{RequestsPerMinute: 1}})
		if len(m.entries) != 1 {
			t.Fatal(len(m.entries))
		}
	})
}

func TestAClockThatStepsBackGivesNothingAndTakesNothing(t *testing.T) {
	now := int64(time.Hour)
	m, ask := NewMemory(), Ask{"a", Rate{RequestsPerMinute: 10, Parallel: 20}}
	m.now = func() int64 { return now }
	for range 10 {
		mustTake(t, m, 0, ask)
	}
	now = int64(time.Minute)
	if _, full := take(t, m, 0, ask); full == nil || full.Used != 10 {
		t.Fatal("room by a clock that stepped back", full)
	}
	now += int64(6 * time.Second)
	mustTake(t, m, 0, ask)
	if _, full := take(t, m, 0, ask); full == nil {
		t.Fatal("too much room")
	}
	now += int64(2 * time.Minute)
	if got := used(t, m, ask)[0]; got != 0 {
		t.Fatal("it goes on from where the clock is", got)
	}
}
