package limit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/redis"
	"airfield/internal/redis/redistest"
)

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// own is a limiter on a server of the test's own.
func own(t *testing.T, server *redistest.Server) (*Shared, *redis.Client) {
	config := server.Config()
	config.Timeout = 100 * time.Millisecond
	client := redistest.Open(t, config)
	return NewShared(client), client
}

func away(c *redis.Client) bool {
	_, _, is := c.Away()
	return is
}

func TestProcessesShareWhatIsUsed(t *testing.T) {
	config := redistest.Config(t)
	a, b := NewShared(redistest.Open(t, config)), NewShared(redistest.Open(t, config))
	var rang atomic.Int32
	b.OnRelease(func() { rang.Add(1) })
	ask := Ask{"a", Rate{10, 10, 2}}
	one := mustTake(t, a, 5, ask)
	mustTake(t, b, 5, ask)
	if got := used(t, b, ask); got != [3]int64{2, 10, 2} {
		t.Fatal(got)
	}
	if _, full := take(t, b, 0, ask); full == nil || full.Unit != Parallel {
		t.Fatal(full)
	}
	await(t, "who waits for a slot of another process tries again", func() bool { return rang.Load() > 0 })
	one.Release()
	one.Correct(0)
	mustTake(t, b, 5, ask)
}

func TestASharedSlotThatIsNeverReleasedFreesItself(t *testing.T) {
	s := NewShared(redistest.Open(t, redistest.Config(t)))
	ask := Ask{"a", Rate{Parallel: 1}}
	start := time.Now()
	lost, _, _ := s.Take(t.Context(), []Ask{ask}, 0, time.Second)
	if _, full := take(t, s, 0, ask); full == nil {
		t.Fatal("one slot for two")
	}
	var next *Taken
	await(t, "the slot is free", func() bool { next, _ = take(t, s, 0, ask); return next != nil })
	if took := time.Since(start); took < time.Second {
		t.Fatal("free before its lease ended", took)
	}
	lost.Release()
	if _, full := take(t, s, 0, ask); full == nil {
		t.Fatal("a slot was released by who no longer had it")
	}
	next.Release()
	mustTake(t, s, 0, ask)
}

func TestASharedRateDrainsByRedissClock(t *testing.T) {
	s := NewShared(redistest.Open(t, redistest.Config(t)))
	ask := Ask{"a", Rate{TokensPerMinute: 6000}} // 100 a second
	start := time.Now()
	mustTake(t, s, 6000, ask)
	_, full := take(t, s, 20, ask)
	if full == nil || time.Until(full.Free) > 200*time.Millisecond {
		t.Fatal(full)
	}
	await(t, "there is room", func() bool { taken, _ := take(t, s, 20, ask); return taken != nil })
	if took := time.Since(start); took < 199*time.Millisecond || took > 5*time.Second {
		t.Fatal("20 tokens at 100 a second after", took)
	}
}

func TestRedisKilledInTheMiddleMeansLocalLimitsUntilItIsBack(t *testing.T) {
	server := redistest.Start(t)
	s, client := own(t, server)
	ask := Ask{"a", Rate{Parallel: 5}}
	var stop atomic.Bool
	var inside, most, calls, slowest atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for !stop.Load() {
				start := time.Now()
				taken, full, err := s.Take(context.Background(), []Ask{ask}, 10, time.Minute)
				if err != nil || (taken == nil) == (full == nil) {
					t.Error(taken, full, err)
				}
				if d := int64(time.Since(start)); d > slowest.Load() {
					slowest.Store(d)
				}
				calls.Add(1)
				if taken != nil {
					if n := inside.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(time.Millisecond)
					inside.Add(-1)
					taken.Correct(5)
					taken.Release()
				} else {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	more := func() func() bool { n := calls.Load() + 500; return func() bool { return calls.Load() > n } }
	await(t, "calls pass", more())
	server.Kill()
	await(t, "it is away", func() bool { return away(client) })
	await(t, "calls pass without Redis", more())
	server.Restart()
	await(t, "it is back", func() bool { return !away(client) })
	await(t, "calls pass again", more())
	stop.Store(true)
	all.Wait()
	if time.Duration(slowest.Load()) > 2*time.Second { // the timeout, on a busy machine
		t.Errorf("a call waited %s", time.Duration(slowest.Load()))
	}
	if most.Load() > 10 { // five of Redis's that were in use when it died, and five of our own
		t.Errorf("%d at the same time", most.Load())
	}
	await(t, "nothing leaked", func() bool { return used(t, s, ask)[2] == 0 })
	local, _ := s.local.State(t.Context(), []Ask{ask})
	if local[0].Parallel != 0 {
		t.Error("leaked here", local)
	}
}

func TestWhatWasTakenWhileAwayIsReleasedHereAndWhatWasTakenBeforeIsReleasedThere(t *testing.T) {
	server := redistest.Start(t)
	s, client := own(t, server)
	other, _ := own(t, server)
	ask := Ask{"a", Rate{Parallel: 2}}
	before := mustTake(t, s, 0, ask)
	server.Freeze()
	during := mustTake(t, s, 0, ask) // after one timeout, and perhaps taken in Redis too
	if !away(client) || during.shared != nil {
		t.Fatal("it is frozen")
	}
	if _, full := take(t, s, 0, ask); full == nil {
		t.Fatal("what was used before Redis went away is known here")
	}
	before.Release()
	mustTake(t, s, 0, ask).Release()
	server.Thaw()
	await(t, "it is back", func() bool { return !away(client) })
	await(t, "what was owed is given back", func() bool { return used(t, s, ask)[2] == 0 })
	a, b := mustTake(t, s, 0, ask), mustTake(t, s, 0, ask)
	during.Release()
	if got := used(t, s, ask)[2]; got != 2 {
		t.Fatal("a slot taken here was released there", got)
	}
	a.Release()
	b.Release()
	await(t, "the other is back too", func() bool { return used(t, other, ask)[2] == 0 })
}

func TestWhatIsOwedIsBounded(t *testing.T) {
	server := redistest.Start(t)
	s, client := own(t, server)
	server.Kill()
	mustTake(t, s, 0, Ask{"a", Rate{Parallel: 1}})
	if !away(client) {
		t.Fatal("it is dead")
	}
	s.mu.Lock()
	s.owed = make([]debt, maxOwed+500) // a portion that could not be paid was put back
	s.mu.Unlock()
	s.owe([]debt{{"a", "1"}})
	if len(s.owed) != maxOwed+500 {
		t.Fatal(len(s.owed))
	}
}
