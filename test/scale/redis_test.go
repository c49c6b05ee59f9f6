package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/api/admin"
	"airfield/internal/db/dbtest"
	"airfield/internal/redis/redistest"
	"airfield/test/binary"
	"airfield/test/upstream"
)

// receiver takes webhooks.
type receiver struct {
	url string
	mu  sync.Mutex
	all []event
}

type event struct {
	Kind     string
	Resolved bool
	Title    string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var e event
		text, _ := io.ReadAll(req.Body)
		if err := json.Unmarshal(text, &e); err != nil {
			t.Errorf("a webhook: %v in %s", err, text)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, e)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// got counts events of a kind.
func (r *receiver) got(kind string, resolved bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.all {
		if e.Kind == kind && e.Resolved == resolved {
			n++
		}
	}
	return n
}

// part is what a process says of one of its parts.
func part(s *binary.Server, name string) string {
	s.T.Helper()
	var st admin.ServerStatus
	s.Call(http.MethodGet, "/api/status", nil, &st)
	for _, p := range st.Parts {
		if p.Name == name {
			return p.Detail
		}
	}
	return ""
}

func TestRedisKilledUnderLoadFailsNoCallAndIsSaidAloud(t *testing.T) {
	server, told := redistest.Start(t), newReceiver(t)
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Between: 20 * time.Millisecond}})
	url := dbtest.Postgres(t)
	f := launch(t, 3, u, url, stores(t, url)+fmt.Sprintf("redis: {url: %q, timeout: 2s}\nnotify: {us: {webhook: %q}}\n", server.URL, told.url)+models(u, 1, output)+limited("parallel: 10"))
	load := func() (end func()) {
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for _, s := range f.all {
			wait.Go(func() {
				for _, e := range s.Load(ctx, 40, func(c, n int) []byte { return question(c, used) }, binary.As(f.key)...) {
					if !e.Whole {
						t.Errorf("%d %s", e.Status, e.Text)
					}
				}
			})
		}
		return func() { stop(); wait.Wait() }
	}
	more := func(n int64) {
		before := u.Chats().Whole
		f.all[0].Await("calls to be answered", func() bool { return u.Chats().Whole >= before+n })
	}
	end := load()
	more(200)
	if peak := f.most(0); peak > 10 {
		t.Errorf("%d calls at once with ten slots that are shared", peak)
	}
	server.Kill()
	for _, s := range f.all {
		s.Await("Redis to be missed", func() bool { return s.Metric("airfield_redis_away") == 1 })
		if said := part(s, "redis"); !strings.HasPrefix(said, "away since") || !strings.Contains(s.Log(), "Redis is away") {
			t.Errorf("it is not said: %s", said)
		}
	}
	f.all[0].Await("limits to be local", func() bool { return u.Chats().Peak > 10 })
	more(200)
	end()
	if peak := f.most(0); peak > 30 {
		t.Errorf("%d calls at once with ten slots for each of three processes", peak)
	}
	server.Restart()
	for _, s := range f.all {
		s.Await("Redis to be back", func() bool { return s.Metric("airfield_redis_away") == 0 })
		if said := part(s, "redis"); !strings.Contains(said, "shared") || !strings.Contains(s.Log(), "Redis is back") {
			t.Errorf("it is not said: %s", said)
		}
	}
	before := len(u.Exchanges())
	end = load()
	more(200)
	end()
	if peak := f.most(before); peak > 10 {
		t.Errorf("%d calls at once with ten slots that are shared again", peak)
	}
	f.all[0].Await("who is to be told", func() bool { return told.got("redis.away", false) == 3 && told.got("redis.away", true) == 3 })
	if rows := f.rows(); len(rows) != int(u.Chats().Begun) {
		t.Errorf("%d rows, and the provider has %d", len(rows), u.Chats().Begun)
	}
}

func TestRedisKilledAndBackUnderLoadIsSharedAgainOnceCallsOfBeforeHaveEnded(t *testing.T) {
	server := redistest.Start(t)
	u := upstream.New(t, upstream.Options{Default: upstream.Behaviour{Between: 20 * time.Millisecond}})
	url := dbtest.Postgres(t)
	f := launch(t, 3, u, url, stores(t, url)+fmt.Sprintf("redis: {url: %q, timeout: 2s}\n", server.URL)+models(u, 1, output)+limited("parallel: 10"))
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for _, s := range f.all {
		wait.Go(func() {
			for _, e := range s.Load(ctx, 40, func(c, n int) []byte { return question(c, used) }, binary.As(f.key)...) {
				if !e.Whole {
					t.Errorf("%d %s", e.Status, e.Text)
				}
			}
		})
	}
	f.all[0].Await("calls", func() bool { return u.Chats().Whole >= 100 })
	server.Kill()
	f.all[0].Await("calls with local limits", func() bool { return u.Chats().Now > 10 })
	server.Restart()
	for _, s := range f.all {
		s.Await("Redis to be back", func() bool { return s.Metric("airfield_redis_away") == 0 })
	}
	last := u.Chats().Begun
	f.all[0].Await("the calls of before to end", func() bool {
		for _, x := range u.Exchanges()[:last] {
			if x.End == upstream.Open {
				return false
			}
		}
		return true
	})
	before := len(u.Exchanges())
	f.all[0].Await("calls after that", func() bool { return u.Chats().Whole >= int64(before)+150 })
	stop()
	wait.Wait()
	if peak := f.most(before); peak > 10 {
		t.Errorf("%d calls at once with ten slots that are shared again", peak)
	}
}
