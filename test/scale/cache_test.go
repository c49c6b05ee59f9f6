package scale

import (
	"context"
	"sync"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

const cached = team + "workflows: {team: {business_unit: product, clearance: internal, cache: {ttl: 1h}}, other: {business_unit: product, clearance: internal, cache: {ttl: 1h}}}\n"

func TestAnAnswerThatOneProcessKeptIsAHitInAnother(t *testing.T) {
	u := upstream.New(t, upstream.Options{})
	url := dbtest.Postgres(t)
	f := launch(t, 3, u, url, stores(t, url)+redisFor(t)+models(u, 1, output)+cached)
	for n := range 2 { // a stream, and a whole answer
		first := f.chat(0, f.key, n)
		if got := first.Header.Get("X-Airfield-Cache"); got != "miss" || !first.Whole {
			t.Errorf("the first: %q %s", got, first.Text)
		}
		for i := range f.all {
			var again binary.Exchange
			f.all[i].Await("the answer to be kept", func() bool {
				again = f.chat(i, f.key, n)
				return again.Header.Get("X-Airfield-Cache") == "hit"
			})
			if !again.Whole || again.ID == first.ID {
				t.Errorf("process %d: %s", i, again.Text)
			}
		}
		if got := u.Chats().Begun; got != int64(n+1) {
			t.Errorf("the provider was asked %d times for %d questions", got, n+1)
		}
	}
	if e := f.chat(1, f.all[0].Key("other"), 0); e.Header.Get("X-Airfield-Cache") != "miss" || u.Chats().Begun != 3 {
		t.Errorf("a workflow got another's answer: %+v", e)
	}
	hits := 0
	for _, row := range f.rows() {
		if row.Cache == "hit" {
			hits++
			if row.CostUSD != 0 {
				t.Errorf("a hit costs %s", row.CostUSD)
			}
		}
	}
	if hits < 6 {
		t.Errorf("%d hits are in the log", hits)
	}
}

func TestFiftyEqualQuestionsAtOnceAreAskedOnceByAProcess(t *testing.T) {
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Delay: 700 * time.Millisecond}})
	url := dbtest.Postgres(t)
	f := launch(t, 3, u, url, stores(t, url)+redisFor(t)+models(u, 1, output)+cached)
	var wait sync.WaitGroup
	for _, stream := range []int{0, 1} {
		before := u.Chats().Begun
		for i := range 50 {
			wait.Go(func() {
				e := f.chat(0, f.key, stream)
				if !e.Whole {
					t.Errorf("call %d: %d %s", i, e.Status, e.Text)
				}
			})
		}
		wait.Wait()
		if asked := u.Chats().Begun - before; asked != 1 {
			t.Errorf("the provider was asked %d times for fifty equal questions", asked)
		}
	}
}

// chat asks one process.
func (f *fleet) chat(process int, key string, n int) binary.Exchange {
	f.t.Helper()
	e, err := f.all[process].Chat(context.Background(), question(n, used), binary.As(key)...)
	if err != nil {
		f.t.Error(err)
	}
	return e
}
