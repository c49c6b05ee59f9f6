package scale

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// limited is a workflow with limits.
func limited(limits string) string {
	return team + fmt.Sprintf("workflows: {team: {business_unit: product, clearance: internal, limits: {%s}}}\n", limits)
}

// most is how many of the exchanges from the nth on were open at once.
func (f *fleet) most(from int) (peak int) {
	type change struct {
		at   time.Time
		more int
	}
	var all []change
	for _, x := range f.upstream.Exchanges()[from:] {
		all = append(all, change{x.Began, 1})
		if !x.Last.IsZero() {
			all = append(all, change{x.Last, -1})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.more, b.more)) })
	now := 0
	for _, c := range all {
		now += c.more
		peak = max(peak, now)
	}
	return peak
}

func TestSlotsAreSharedByThreeProcesses(t *testing.T) {
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Between: 20 * time.Millisecond}})
	url := dbtest.Postgres(t)
	f := launch(t, 3, u, url, stores(t, url)+redisFor(t)+models(u, 1, output)+limited("parallel: 10"))
	for _, e := range f.volley(200, used) {
		if !e.Whole {
			t.Errorf("%d %s", e.Status, e.Text)
		}
	}
	f.quiet()
	if got := u.Chats(); got.Peak > 10 || got.Peak < 2 || got.Whole != 200 {
		t.Errorf("with ten slots: %+v", got)
	}
}

func TestRequestsAMinuteAreSharedByThreeProcesses(t *testing.T) {
	u := upstream.New(t, upstream.Options{})
	url := dbtest.Postgres(t)
	f := launch(t, 3, u, url, stores(t, url)+redisFor(t)+models(u, 1, output)+"routing: {queue: {wait: 200ms}}\n"+limited("requests_per_minute: 60"))
	begin, passed := time.Now(), 0
	for _, e := range f.volley(240, used) {
		switch {
		case e.Whole:
			passed++
		case e.Status != http.StatusTooManyRequests || code(e) != "limit_reached":
			t.Errorf("%d %s", e.Status, e.Text)
		}
	}
	took := time.Since(begin)
	if most := 60 + int(took.Seconds()) + 1; passed < 60 || passed > most || int(u.Chats().Begun) != passed {
		t.Errorf("%d calls passed in %s, and the provider has %d: sixty a minute are %d at the most", passed, took, u.Chats().Begun, most)
	}
}

func TestSlotsOfAKilledProcessComeFree(t *testing.T) {
	u := upstream.New(t, upstream.Options{})
	u.Behave(func(r *upstream.Request) upstream.Behaviour {
		if r.N <= 10 {
			return upstream.Behaviour{Kind: upstream.Hang}
		}
		return upstream.Behaviour{}
	})
	url := dbtest.Postgres(t)
	f := launch(t, 2, u, url, stores(t, url)+redisFor(t)+models(u, 1, output)+limited("parallel: 10"))
	dead, alive := f.all[0], f.all[1]
	var wait sync.WaitGroup
	for n := range 10 {
		wait.Go(func() {
			dead.Chat(context.Background(), question(n, used), append(binary.As(f.key), "X-Airfield-Timeout", "2s")...)
		})
	}
	dead.Await("every slot to be taken", func() bool { return u.Chats().Now == 10 })
	if e, err := alive.Chat(t.Context(), question(10, used), append(binary.As(f.key), "X-Airfield-Timeout", "200ms")...); err != nil || e.Status != http.StatusTooManyRequests {
		t.Errorf("an eleventh call: %d %s %v", e.Status, e.Text, err)
	}
	dead.Kill()
	wait.Wait()
	begin := time.Now()
	if e, err := alive.Chat(t.Context(), question(11, used), append(binary.As(f.key), "X-Airfield-Timeout", "20s")...); err != nil || !e.Whole {
		t.Errorf("after the slots' time: %d %s %v", e.Status, e.Text, err)
	}
	t.Logf("the slots were free after %s", time.Since(begin).Round(time.Millisecond))
}
