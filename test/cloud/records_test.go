package cloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"airfield/internal/ingest"
)

// desk is an API of tickets, one a page, that asks for a token.
type desk struct {
	mu      sync.Mutex
	tickets []map[string]any
	away    bool
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, _ := strconv.Atoi(r.URL.Query().Get("after"))
	switch {
	case r.Header.Get("Authorization") != "Bearer desk-secret":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case d.away && at > 0:
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	page := map[string]any{"tickets": d.tickets[min(at, len(d.tickets)):min(at+1, len(d.tickets))]}
	if at+1 < len(d.tickets) {
		page["after"] = at + 1
	}
	json.NewEncoder(w).Encode(page)
}

func (d *desk) change(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

func TestACollectionFollowsAnAPI(t *testing.T) {
	d := &desk{tickets: []map[string]any{
		{"id": 1, "subject": "The crane", "text": "The quayside crane lifts forty tonnes."},
		{"id": 2, "subject": "The yard", "text": "Trains leave the shunting yard at dawn."},
		{"id": 3, "subject": "The light", "text": "A lighthouse was built."},
	}}
	server := httptest.NewServer(d)
	defer server.Close()
	s := install(t, fmt.Sprintf(`
collections:
  papers:
    sources:
      desk:
        api: {url: '%s/tickets', headers: {Authorization: env:DESK_TOKEN}, items: tickets, pages: {cursor: after, cursor_param: after}, rate: 500, allow: [127.0.0.0/8]}
        interval: 1s
`, server.URL))
	s.Env = append(s.Env, "DESK_TOKEN=Bearer desk-secret")
	s.Start()
	s.awaitLive("1.json", "2.json", "3.json")
	if d := s.document("1.json"); d.Newest.MediaType != "application/json" || d.Newest.Number != 1 {
		t.Errorf("%+v", d)
	}
	if !s.finds("quayside") {
		t.Error("a record is not found")
	}
	d.change(func() { d.tickets[0]["text"] = "The gantry moves sixty tonnes." })
	s.Await("the new text to be found", func() bool { return s.finds("gantry") && !s.finds("quayside") })

	// A page that cannot be read takes nothing away; one that can does.
	d.change(func() { d.away, d.tickets = true, d.tickets[:2] })
	s.Await("the source to say that it cannot be read", func() bool { return s.source().State == ingest.SourceWarning })
	s.awaitLive("1.json", "2.json", "3.json")
	d.change(func() { d.away = false })
	s.awaitLive("1.json", "2.json")
	if s.finds("lighthouse") {
		t.Error("what was removed is found")
	}
	if got := s.document("2.json").Newest.Number; got != 1 {
		t.Errorf("what never changed has version %d", got)
	}
	if strings.Contains(s.Log(), "desk-secret") {
		t.Error("the token is in the log")
	}
}
