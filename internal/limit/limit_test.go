package limit

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/redis/redistest"
)

// each runs a test on every limiter. Real time passes: the rates in such tests are so low that less than one is regained.
func each(t *testing.T, test func(t *testing.T, l Limiter)) {
	t.Run("memory", func(t *testing.T) { test(t, NewMemory()) })
	t.Run("shared", func(t *testing.T) { test(t, NewShared(redistest.Open(t, redistest.Config(t)))) })
}

func take(t *testing.T, l Limiter, tokens int64, asks ...Ask) (*Taken, *Full) {
	t.Helper()
	taken, full, err := l.Take(t.Context(), asks, tokens, time.Minute)
	if err != nil || (taken == nil) == (full == nil) {
		t.Fatal(taken, full, err)
	}
	return taken, full
}

func mustTake(t *testing.T, l Limiter, tokens int64, asks ...Ask) *Taken {
	t.Helper()
	taken, full := take(t, l, tokens, asks...)
	if full != nil {
		t.Fatal(full)
	}
	return taken
}

// used is requests, tokens and slots.
func used(t *testing.T, l Limiter, ask Ask) [3]int64 {
	t.Helper()
	uses, err := l.State(t.Context(), []Ask{{"other", ask.Rate}, ask})
	if err != nil || len(uses) != 2 || uses[1].Ask != ask || uses[0].Requests != 0 {
		t.Fatal(uses, err)
	}
	return [3]int64{uses[1].Requests, uses[1].Tokens, uses[1].Parallel}
}

func TestAFullLimitSaysWhichAndUntilWhen(t *testing.T) {
	for name, c := range map[string]struct {
		rate        Rate
		calls       int
		tokens, ask int64
		want        Full
		wait        time.Duration
	}{
		"requests":             {Rate{RequestsPerMinute: 4}, 4, 100, 100, Full{Unit: RequestsPerMinute, Limit: 4, Used: 4, Asked: 1}, 15 * time.Second},
		"tokens":               {Rate{TokensPerMinute: 10}, 2, 5, 4, Full{Unit: TokensPerMinute, Limit: 10, Used: 10, Asked: 4}, 24 * time.Second},
		"a slot":               {Rate{Parallel: 3}, 3, 100, 100, Full{Unit: Parallel, Limit: 3, Used: 3, Asked: 1}, 0},
		"never":                {Rate{TokensPerMinute: 10}, 0, 0, 11, Full{Unit: TokensPerMinute, Limit: 10, Asked: 11, Never: true}, 0},
		"what takes longest":   {Rate{2, 10, 2}, 2, 5, 2, Full{Unit: RequestsPerMinute, Limit: 2, Used: 2, Asked: 1}, 30 * time.Second},
		"just as much as fits": {Rate{2, 10, 2}, 1, 1, 9, Full{}, 0},
		"nothing is limited":   {Rate{}, 50, 1 << 40, 1 << 40, Full{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, l Limiter) {
				ask, free := Ask{"key:one", c.rate}, Ask{"model:free", Rate{RequestsPerMinute: 100, Parallel: 100}}
				for range c.calls {
					mustTake(t, l, c.tokens, free, ask)
				}
				_, full := take(t, l, c.ask, free, ask)
				if c.want.Limit == 0 {
					if full != nil {
						t.Fatal(full)
					}
					return
				}
				if full == nil || !strings.Contains(full.String(), "key:one: "+string(c.want.Unit)) {
					t.Fatal(full)
				}
				wait := time.Duration(0)
				if !full.Free.IsZero() {
					wait = time.Until(full.Free)
				}
				got := *full
				got.Name, got.Free = "", time.Time{}
				if got != c.want || wait > c.wait || wait < c.wait-5*time.Second {
					t.Fatalf("%+v, free in %s", got, wait)
				}
				if n := used(t, l, free)[0]; n != int64(c.calls) {
					t.Fatalf("a refused call took from another ask: %d", n)
				}
			})
		})
	}
}

func TestCorrectionsGiveBackAndTakeIntoDebt(t *testing.T) {
	each(t, func(t *testing.T, l Limiter) {
		var rang atomic.Int32
		l.OnRelease(func() { rang.Add(1) })
		ask := Ask{"workflow:a", Rate{TokensPerMinute: 10}}
		a := mustTake(t, l, 10, ask)
		if _, full := take(t, l, 1, ask); full == nil {
			t.Fatal("took more than there is")
		}
		for range 2 {
			a.Correct(2)
			if got := used(t, l, ask)[1]; got != 2 || rang.Load() != 1 {
				t.Fatal("given back", got, rang.Load())
			}
		}
		b := mustTake(t, l, 8, ask)
		for range 2 {
			b.Correct(28)
			if got := used(t, l, ask)[1]; got != 30 {
				t.Fatal("in debt", got)
			}
		}
		_, full := take(t, l, 1, ask)
		if full == nil || full.Used != 30 || time.Until(full.Free) < 110*time.Second {
			t.Fatal("a debt is worked off first", full)
		}
		a.Correct(-5)
		a.Release()
		var none *Taken
		none.Correct(5)
		none.Release()
	})
}

func TestASlotIsReleasedOnce(t *testing.T) {
	each(t, func(t *testing.T, l Limiter) {
		var rang atomic.Int32
		l.OnRelease(func() { rang.Add(1) })
		ask := Ask{"deployment:p/m", Rate{Parallel: 2}}
		a, b := mustTake(t, l, 0, ask), mustTake(t, l, 0, ask)
		a.Release()
		a.Release()
		if got := used(t, l, ask)[2]; got != 1 || rang.Load() != 1 {
			t.Fatal(got, rang.Load())
		}
		mustTake(t, l, 0, ask)
		a.Release() // the place is another's now
		if _, full := take(t, l, 0, ask); full == nil {
			t.Fatal("a slot was released by who no longer had it")
		}
		b.Release()
		mustTake(t, l, 0, ask)
	})
}

func TestTheEndOfACallCorrectsAndReleasesOnce(t *testing.T) {
	each(t, func(t *testing.T, l Limiter) {
		ask := Ask{"workflow:a", Rate{TokensPerMinute: 100, Parallel: 1}}
		a := mustTake(t, l, 60, ask)
		for range 2 {
			a.End(20)
			if got := used(t, l, ask); got[1] != 20 || got[2] != 0 {
				t.Fatal(got)
			}
		}
		b := mustTake(t, l, 0, ask)
		a.End(20) // the place is another's now
		if _, full := take(t, l, 0, ask); full == nil {
			t.Fatal("a slot was released by who no longer had it")
		}
		b.Release()
		b.End(7)
		if got := used(t, l, ask); got[1] != 27 || got[2] != 0 {
			t.Fatal(got)
		}
		var none *Taken
		none.End(1)
	})
}

func TestANameThatIsThereTwiceCountsOnce(t *testing.T) {
	each(t, func(t *testing.T, l Limiter) {
		ask := Ask{"model:a", Rate{10, 10, 10}}
		mustTake(t, l, 3, ask, ask, Ask{Name: "model:b"})
		if got := used(t, l, ask); got != [3]int64{1, 3, 1} {
			t.Fatal(got)
		}
	})
}

func TestAChangedRateHoldsAtOnceAndKeepsWhatIsUsed(t *testing.T) {
	each(t, func(t *testing.T, l Limiter) {
		old, smaller, larger := Ask{"key:a", Rate{5, 10, 5}}, Ask{"key:a", Rate{2, 10, 2}}, Ask{"key:a", Rate{6, 20, 6}}
		for range 5 {
			mustTake(t, l, 2, old)
		}
		for _, ask := range []Ask{old, smaller} {
			if _, full := take(t, l, 0, ask); full == nil || full.Used != 5 || full.Limit != ask.Rate.RequestsPerMinute {
				t.Fatal(full)
			}
		}
		mustTake(t, l, 10, larger)
		if got := used(t, l, larger); got != [3]int64{6, 20, 6} {
			t.Fatal(got)
		}
	})
}

func TestWhoLeftTakesNothing(t *testing.T) {
	each(t, func(t *testing.T, l Limiter) {
		ctx, leave := context.WithCancel(t.Context())
		leave()
		ask := Ask{"key:a", Rate{10, 10, 10}}
		if taken, full, err := l.Take(ctx, []Ask{ask}, 1, time.Minute); taken != nil || full != nil || !errors.Is(err, context.Canceled) {
			t.Fatal(taken, full, err)
		}
		if _, err := l.State(ctx, []Ask{ask}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if got := used(t, l, ask); got != [3]int64{} {
			t.Fatal(got)
		}
	})
}

// crowd has 600 callers at limiters that count together, three times each, and reports how many passed, how many of them
// were there at once, and how many minutes it took.
func crowd(t *testing.T, limiters []Limiter, asks ...Ask) (passed, most int64, minutes float64) {
	var inside, peak, through atomic.Int64
	start := time.Now()
	var all sync.WaitGroup
	for i := range 600 {
		l := limiters[i%len(limiters)]
		all.Go(func() {
			for range 3 {
				taken, full, err := l.Take(context.Background(), asks, 50, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if full != nil {
					continue
				}
				n := inside.Add(1)
				for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
				}
				time.Sleep(time.Millisecond)
				through.Add(1)
				inside.Add(-1)
				taken.Release()
				taken.Release()
			}
		})
	}
	all.Wait()
	return through.Load(), peak.Load(), time.Since(start).Minutes()
}

func TestSixHundredCallersNeverExceedALimit(t *testing.T) {
	for where, open := range map[string]func(*testing.T) []Limiter{
		"memory": func(*testing.T) []Limiter { return []Limiter{NewMemory()} },
		"three processes on one Redis": func(t *testing.T) (list []Limiter) {
			config := redistest.Config(t)
			for range 3 {
				list = append(list, NewShared(redistest.Open(t, config)))
			}
			return list
		},
	} {
		for what, rate := range map[string]Rate{
			"requests": {RequestsPerMinute: 300},
			"tokens":   {TokensPerMinute: 300 * 50},
			"slots":    {Parallel: 30},
		} {
			t.Run(what+" in "+where, func(t *testing.T) {
				limiters := open(t)
				asks := []Ask{{"model:a", rate}, {"key:a", Rate{Parallel: 1000, RequestsPerMinute: 10_000}}}
				passed, most, minutes := crowd(t, limiters, asks...)
				t.Logf("%d of 1,800 passed in %.3f minutes, %d at the most at a time", passed, minutes, most)
				switch {
				case rate.Parallel > 0 && (most > 30 || most < 2):
					t.Errorf("%d at the same time", most)
				case rate.Parallel == 0 && (passed < 300 || float64(passed) > 301+300*minutes):
					t.Errorf("%d passed in %.3f minutes", passed, minutes)
				}
				for _, ask := range asks {
					if got := used(t, limiters[0], ask)[2]; got != 0 {
						t.Errorf("%s: %d slots leaked", ask.Name, got)
					}
				}
			})
		}
	}
}

func TestRates(t *testing.T) {
	for text, r := range map[string]Rate{"requests_per_minute": {RequestsPerMinute: -1}, "tokens_per_minute": {TokensPerMinute: 1 << 62}, "parallel": {Parallel: -1}} {
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), text) {
			t.Error(text, err)
		}
	}
	if r := (Rate{1, 2, 3}); r.Check() != nil || r.Zero() || !(Rate{}).Zero() || (Rate{}).Check() != nil {
		t.Error(r)
	}
}
