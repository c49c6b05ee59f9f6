package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

const patience = 20 * time.Second

func newQueue(t testing.TB, d *db.DB, change func(*Config)) *Queue {
	t.Helper()
	c := Default()
	c.Backoff = func(int) time.Duration { return 0 }
	if change != nil {
		change(&c)
	}
	q, err := New(context.Background(), d, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// start runs q until stop is called, or the test ends; stop returns what Run did.
func start(t testing.TB, q *Queue) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return errors.New("Run does not return")
		}
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return stop
}

func enqueue(t testing.TB, q *Queue, kind string, args any, o Options) {
	t.Helper()
	ctx := context.Background()
	if err := q.db.Tx(ctx, func(tx *db.Tx) error { return q.Enqueue(ctx, tx, kind, args, o) }); err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

func nothing[T any](t testing.TB, from <-chan T, during time.Duration) {
	t.Helper()
	select {
	case v := <-from:
		t.Fatalf("there came %v", v)
	case <-time.After(during):
	}
}

// finished waits until River has written down that every job has ended, which it does in batches.
func finished(t testing.TB, q *Queue) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := q.db.QueryRow(context.Background(), "SELECT COUNT(*) FROM river_job WHERE finalized_at IS NULL").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d jobs have not ended", n)
		}
	}
}

func TestAJobRunsOnceItsTransactionHasCommitted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		q := newQueue(t, d, nil)
		got := make(chan Job, 10)
		q.Handle("greet", func(_ context.Context, j Job) error { got <- j; return nil })
		start(t, q)
		boom := errors.New("boom")
		err := d.Tx(ctx, func(tx *db.Tx) error {
			if err := q.Enqueue(ctx, tx, "greet", "nobody", Options{}); err != nil {
				t.Error(err)
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		enqueue(t, q, "greet", map[string]string{"name": "Ann"}, Options{Priority: 3})
		j := receive(t, got)
		var args map[string]string
		if err := json.Unmarshal(j.Args, &args); err != nil || args["name"] != "Ann" {
			t.Fatal(string(j.Args), err)
		}
		if j.Kind != "greet" || j.Attempt != 1 || j.Priority != 3 || j.MaxAttempts != Default().MaxAttempts {
			t.Errorf("%+v", j)
		}
		nothing(t, got, 50*time.Millisecond)
	})
}

func TestAnEnqueueWakesAnIdleWorkerAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := newQueue(t, d, nil)
		got := make(chan time.Time, 1)
		q.Handle("work", func(context.Context, Job) error { got <- time.Now(); return nil })
		start(t, q)
		enqueue(t, q, "work", nil, Options{})
		receive(t, got) // it runs now
		var fastest time.Duration = time.Hour
		for range 5 {
			time.Sleep(150 * time.Millisecond) // let it become idle
			before := time.Now()
			enqueue(t, q, "work", nil, Options{})
			fastest = min(fastest, receive(t, got).Sub(before))
		}
		t.Logf("from enqueue to handler: %s", fastest)
		if fastest > poll/4 {
			t.Errorf("%s: it was found by polling", fastest)
		}
	})
}

func TestHandlersErrors(t *testing.T) {
	t.Parallel()
	boom, panics := errors.New("boom"), errors.New("panic")
	cases := map[string]struct {
		answers  []error // of the tries
		attempts []int   // what the handler sees
		max      int
	}{
		"a failure is tried again until it succeeds":   {[]error{boom, boom, nil}, []int{1, 2, 3}, 5},
		"the last attempt is the last":                 {[]error{boom, boom}, []int{1, 2}, 2},
		"a snooze uses up no attempt":                  {[]error{Snooze(0), Snooze(10 * time.Millisecond), boom, nil}, []int{1, 1, 1, 2}, 2},
		"a cancelled job is not tried again":           {[]error{Cancel(boom)}, []int{1}, 5},
		"a wrapped cancel is a cancel":                 {[]error{fmt.Errorf("step: %w", Cancel(boom))}, []int{1}, 5},
		"a panic is a failure of the job and not more": {[]error{panics, nil}, []int{1, 2}, 5},
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := newQueue(t, d, func(c *Config) { c.Workers = len(cases) })
		var mu sync.Mutex
		saw := map[string][]int{}
		q.Handle("work", func(_ context.Context, j Job) error {
			var name string
			if err := json.Unmarshal(j.Args, &name); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			i := len(saw[name])
			saw[name] = append(saw[name], j.Attempt)
			if i >= len(cases[name].answers) {
				return nil
			}
			if cases[name].answers[i] == panics {
				panic(panics)
			}
			return cases[name].answers[i]
		})
		for name, tc := range cases {
			enqueue(t, q, "work", name, Options{MaxAttempts: tc.max})
		}
		start(t, q)
		finished(t, q)
		mu.Lock()
		defer mu.Unlock()
		for name, tc := range cases {
			if !slices.Equal(saw[name], tc.attempts) {
				t.Errorf("%s: the handler saw the attempts %v, not %v", name, saw[name], tc.attempts)
			}
		}
	})
}

func TestAUniqueKeyAllowsOneJobAtATime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := newQueue(t, d, nil)
		got, finish := make(chan string, 20), make(chan struct{})
		q.Handle("work", func(_ context.Context, j Job) error {
			got <- string(j.Args)
			<-finish
			return nil
		})
		for i := range 3 {
			enqueue(t, q, "work", i, Options{UniqueKey: "a"})
		}
		enqueue(t, q, "work", 9, Options{UniqueKey: "b"})
		start(t, q)
		seen := receive(t, got) + receive(t, got)
		if seen != "09" && seen != "90" {
			t.Fatal(seen)
		}
		enqueue(t, q, "work", 5, Options{UniqueKey: "a"}) // one is running
		close(finish)
		nothing(t, got, 200*time.Millisecond)
		deadline := time.Now().Add(patience) // once it is over the key is free
		for len(got) == 0 {
			if time.Now().After(deadline) {
				t.Fatal("the key was not freed")
			}
			enqueue(t, q, "work", 7, Options{UniqueKey: "a"})
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestAJobForLaterWaitsAndTheMoreUrgentGoFirst(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := newQueue(t, d, func(c *Config) { c.Workers = 1 })
		got := make(chan string, 20)
		q.Handle("work", func(_ context.Context, j Job) error { got <- string(j.Args); return nil })
		at := time.Now().Add(1500 * time.Millisecond)
		enqueue(t, q, "work", "later", Options{At: at, Priority: 1})
		enqueue(t, q, "work", "low", Options{Priority: 4})
		enqueue(t, q, "work", "middle", Options{})
		enqueue(t, q, "work", "high", Options{Priority: 1})
		start(t, q)
		for _, want := range []string{`"high"`, `"middle"`, `"low"`, `"later"`} {
			if g := receive(t, got); g != want {
				t.Fatal(g, want)
			}
		}
		if time.Now().Before(at) {
			t.Error("too early")
		}
	})
}

func TestStoppingDrainsThenCancelsAndGivesJobsBack(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		q := newQueue(t, open(), func(c *Config) { c.Drain = 200 * time.Millisecond })
		started, ended := make(chan string, 2), make(chan string, 2)
		q.Handle("quick", func(ctx context.Context, _ Job) error {
			started <- "quick"
			time.Sleep(100 * time.Millisecond) // work that the drain leaves time for
			ended <- "quick"
			return ctx.Err()
		})
		q.Handle("endless", func(ctx context.Context, _ Job) error {
			started <- "endless"
			<-ctx.Done()
			ended <- "endless"
			return fmt.Errorf("cut: %w", ctx.Err())
		})
		stop := start(t, q)
		enqueue(t, q, "quick", nil, Options{MaxAttempts: 1})
		enqueue(t, q, "endless", nil, Options{MaxAttempts: 1})
		receive(t, started)
		receive(t, started)
		before := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took < 200*time.Millisecond || took > 3*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if a, b := receive(t, ended), receive(t, ended); a != "quick" || b != "endless" {
			t.Error(a, b)
		}
		again := newQueue(t, open(), nil)
		got := make(chan Job, 2)
		for _, kind := range []string{"quick", "endless"} {
			again.Handle(kind, func(_ context.Context, j Job) error { got <- j; return nil })
		}
		start(t, again)
		if j := receive(t, got); j.Kind != "endless" || j.Attempt != 1 {
			t.Errorf("%+v", j)
		}
		nothing(t, got, 100*time.Millisecond)
	})
}
