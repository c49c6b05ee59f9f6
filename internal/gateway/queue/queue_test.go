package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// room is something with so many places.
type room struct {
	name string
	mu   sync.Mutex
	free int
	q    *Queue
}

func (r *room) take() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free == 0 {
		return Result{On: r.name}
	}
	r.free--
	return Result{OK: true}
}

func (r *room) give() {
	r.mu.Lock()
	r.free++
	r.mu.Unlock()
	r.q.Wake()
}

func (r *room) ticket(lane string, priority int) Ticket {
	return Ticket{Lane: lane, Names: r.name, Priority: priority, Try: r.take, Undo: r.give}
}

// served has tickets wait in their order and returns the order in which they got the one place.
func served(t *testing.T, tickets func(r *room) []Ticket, pause time.Duration) []string {
	t.Helper()
	var order []string
	synctest.Test(t, func(t *testing.T) {
		q := New(100)
		defer q.Close()
		r := &room{name: "slot", q: q}
		var mu sync.Mutex
		var wait sync.WaitGroup
		for i, ticket := range tickets(r) {
			wait.Go(func() {
				if err := q.Wait(context.Background(), ticket); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, fmt.Sprint(ticket.Lane, i))
				mu.Unlock()
			})
			time.Sleep(time.Millisecond)
		}
		for range tickets(r) {
			synctest.Wait()
			time.Sleep(pause)
			r.give()
		}
		wait.Wait()
	})
	return order
}

func TestWorkflowsTakeTurnsHoweverManyCallsEachHas(t *testing.T) {
	got := served(t, func(r *room) []Ticket {
		var all []Ticket
		for range 4 {
			all = append(all, r.ticket("greedy", Normal))
		}
		return append(all, r.ticket("modest", Normal), r.ticket("modest", Normal))
	}, 0)
	want := []string{"greedy0", "modest4", "greedy1", "modest5", "greedy2", "greedy3"}
	if !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestAHigherPriorityGoesFirst(t *testing.T) {
	got := served(t, func(r *room) []Ticket {
		return []Ticket{r.ticket("batch", Low), r.ticket("usual", Normal), r.ticket("urgent", High), r.ticket("urgent", High)}
	}, 0)
	want := []string{"urgent2", "urgent3", "usual1", "batch0"}
	if !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestWhoWaitsLongRises(t *testing.T) {
	got := served(t, func(r *room) []Ticket {
		all := []Ticket{r.ticket("batch", Low)}
		for range 5 {
			all = append(all, r.ticket("urgent", High))
		}
		return all
	}, 11*time.Second)
	// Each of them rises with time. The one that came first is served before the last of those who came later.
	if got[len(got)-1] == "batch0" {
		t.Fatalf("the call of low priority starved: %v", got)
	}
}

func TestWhatHasNoRoomForOneHoldsUpOnlyThoseWhoNeedTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(100)
		defer q.Close()
		full, free := &room{name: "full", q: q}, &room{name: "free", free: 1, q: q}
		ctx, cancel := context.WithCancel(context.Background())
		stuck := make(chan error, 1)
		go func() { stuck <- q.Wait(ctx, full.ticket("a", High)) }()
		synctest.Wait()
		if err := q.Wait(context.Background(), free.ticket("b", Low)); err != nil {
			t.Fatal(err)
		}
		if !q.Busy("full") || q.Busy("free") {
			t.Fatal("the queue does not know what calls stand before")
		}
		cancel()
		if err := <-stuck; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if q.Busy("full") || q.Waiting() != 0 || len(q.Lengths()) != 0 {
			t.Fatal("a call that left still stands in the queue")
		}
	})
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(1)
		defer q.Close()
		r := &room{name: "slot", q: q}
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Minute, errors.New("waited a minute"))
		defer cancel()
		first := make(chan error, 1)
		go func() { first <- q.Wait(ctx, r.ticket("a", Normal)) }()
		synctest.Wait()
		if err := q.Wait(ctx, r.ticket("b", High)); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if err := <-first; err == nil || err.Error() != "waited a minute" {
			t.Fatalf("the cause of the end is not told: %v", err)
		}
	})
}

func TestATryAfterATimeIsMadeThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(10)
		defer q.Close()
		at := time.Now().Add(300 * time.Millisecond)
		begin := time.Now()
		err := q.Wait(context.Background(), Ticket{Lane: "a", Try: func() Result {
			return Result{OK: !time.Now().Before(at), On: "rate", At: at}
		}, Undo: func() {}})
		if took := time.Since(begin); err != nil || took < 300*time.Millisecond || took > 302*time.Millisecond {
			t.Fatalf("%s %v", took, err)
		}
	})
}

func TestUnderLoadNoPlaceIsLostAndNoneIsGivenTwice(t *testing.T) {
	q := New(10_000)
	defer q.Close()
	r := &room{name: "slot", free: 5, q: q}
	var inside, most, passed, left atomic.Int64
	var wait sync.WaitGroup
	for i := range 2000 {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if i%3 == 0 { // leaves soon, at any moment
				cancel()
				ctx, cancel = context.WithTimeout(context.Background(), time.Duration(i%50)*100*time.Microsecond)
			}
			defer cancel()
			if q.Wait(ctx, r.ticket(fmt.Sprint(i%7), i%3-1)) != nil {
				left.Add(1)
				return
			}
			n := inside.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			passed.Add(1)
			inside.Add(-1)
			r.give()
		})
	}
	wait.Wait()
	if most.Load() > 5 || passed.Load()+left.Load() != 2000 || passed.Load() < 1333 {
		t.Fatalf("%d inside at once, %d passed, %d left", most.Load(), passed.Load(), left.Load())
	}
	if r.mu.Lock(); r.free != 5 || q.Waiting() != 0 {
		t.Fatalf("%d places are left of 5, %d wait", r.free, q.Waiting())
	}
	r.mu.Unlock()
}

func TestWhenAWaitIsOverNothingOfItRunsAnyMore(t *testing.T) {
	q := New(10)
	defer q.Close()
	ctx, leave := context.WithCancel(t.Context())
	var running, undone atomic.Bool
	trying := make(chan bool)
	go func() {
		<-trying
		leave()
		time.Sleep(20 * time.Millisecond) // so that Wait would be over long before, if it did not wait
		trying <- true
	}()
	err := q.Wait(ctx, Ticket{Lane: "a", Names: "x", Try: func() Result {
		running.Store(true)
		trying <- true
		<-trying
		running.Store(false)
		return Result{OK: true}
	}, Undo: func() { undone.Store(true) }})
	if !errors.Is(err, context.Canceled) || running.Load() || !undone.Load() || q.Waiting() != 0 {
		t.Fatal(err, running.Load(), undone.Load())
	}
}
