package api

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/bucket/file"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
	"airfield/internal/ingest/source/sourcetest"
	"airfield/internal/secret"
)

// server is an API: its records by id, in pages of two.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	records map[string]map[string]any
	asked   []string // queries
	fail    func(w http.ResponseWriter, r *http.Request) bool
}

func newServer(t testing.TB) *server {
	s := &server{records: map[string]map[string]any{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) put(id, text, updated string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[id] = map[string]any{"id": id, "text": text, "meta": map[string]any{"updated": updated}}
}

func (s *server) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, id)
}

// took returns what was asked since the last call.
func (s *server) took() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.asked, " ")
	s.asked = nil
	return text
}

const size = 2

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	s.asked = append(s.asked, "?"+r.URL.RawQuery)
	if s.fail != nil && s.fail(w, r) {
		return
	}
	var all []any
	for _, id := range slices.Sorted(maps.Keys(s.records)) {
		if s.records[id]["meta"].(map[string]any)["updated"].(string) >= q.Get("since") {
			all = append(all, s.records[id])
		}
	}
	from := 0
	for name, unit := range map[string]int{"cursor": 1, "offset": 1, "page": size} {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			if from = n * unit; name == "page" {
				from -= size
			}
		}
	}
	to := min(len(all), from+size)
	page := map[string]any{"data": map[string]any{"items": all[min(from, to):to]}, "next": nil}
	if to < len(all) {
		page["cursor"], page["next"] = to, fmt.Sprintf("/?cursor=%d", to)
		w.Header().Set("Link", fmt.Sprintf(`<%[1]s/?cursor=0>; rel="first", <%[1]s/?cursor=%[2]d>; title="a, b"; rel="next"`, s.URL, to))
	}
	json.NewEncoder(w).Encode(page)
}

// place is a collection that follows an API.
type place struct {
	*sourcetest.Collection
	t      testing.TB
	source *Source
	config ingest.SourceConfig
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sqlite(t testing.TB) *db.DB { return dbtest.Open(t, dbtest.SQLite(t)) }

func open(t testing.TB, d *db.DB, s *server, change ...func(*ingest.APIConfig)) *place {
	t.Helper()
	b, err := file.Open(t.TempDir(), bucket.Default(), slog.New(slog.DiscardHandler))
	must(t, err)
	p := &place{t: t, config: ingest.SourceConfig{API: &ingest.APIConfig{URL: s.URL + "/", Items: "/data/items", Rate: 1000, Allow: []string{"127.0.0.1"}}}}
	for _, fn := range change {
		fn(p.config.API)
	}
	p.Collection = sourcetest.Open(t, d, b, p.config, func(c *ingest.CollectionConfig) { c.MaxFileBytes = 4096 })
	p.restart()
	return p
}

func (p *place) restart() {
	p.t.Helper()
	b, err := New(p.config, 4096, p.t.TempDir())
	must(p.t, err)
	p.t.Cleanup(func() { b.Close() })
	p.source, p.Backend = b, b
}

func (p *place) expectKeys(want string) {
	p.t.Helper()
	if got := strings.Join(slices.Sorted(maps.Keys(p.Documents())), " "); got != want {
		p.t.Fatalf("the documents are %q, not %q", got, want)
	}
}

func cursors(c *ingest.APIConfig) {
	c.Pages = ingest.APIPages{Cursor: "/cursor", CursorParam: "cursor"}
}

func TestAnAPIIsFollowed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newServer(t)
		s.put("1", "one", "a")
		s.put("a/b c", "two", "b")
		s.put("3", "three <&>", "c")
		p := open(t, d, s, cursors)
		if message := p.Expect(source.Report{Added: 3}); message != "3 records" {
			t.Error(message)
		}
		p.expectKeys("1.json 3.json a%2Fb%20c.json")
		doc := p.Documents()["3.json"]
		if doc.Newest.MediaType != "application/json" || doc.Newest.State != ingest.Live {
			t.Errorf("%+v", doc.Newest)
		}
		original, _, err := p.Content(sourcetest.System, doc.ID, 0)
		must(t, err)
		defer original.Close()
		raw, err := io.ReadAll(original)
		must(t, err)
		if want := `{"id":"3","meta":{"updated":"c"},"text":"three <&>"}`; string(raw) != want {
			t.Errorf("%s, not %s", raw, want)
		}

		embedded, read := p.Embedded, p.Read.Load()
		p.Expect(source.Report{})
		p.restart()
		p.Expect(source.Report{})
		if p.Embedded != embedded || p.Read.Load() != read {
			t.Errorf("%d texts were embedded, %d records read again", p.Embedded-embedded, p.Read.Load()-read)
		}
		s.put("1", "changed", "d")
		s.put("4", "four", "d")
		s.remove("3")
		p.Expect(source.Report{Added: 1, Changed: 1, Removed: 1})
		p.expectKeys("1.json 4.json a%2Fb%20c.json")
	})
}

func TestEveryWayFromPageToPage(t *testing.T) {
	for name, way := range map[string]struct {
		pages ingest.APIPages
		asked string
	}{
		"cursor": {ingest.APIPages{Cursor: "/cursor", CursorParam: "cursor"}, "? ?cursor=2 ?cursor=4"},
		"next":   {ingest.APIPages{Next: "/next"}, "? ?cursor=2 ?cursor=4"},
		"link":   {ingest.APIPages{Next: "link"}, "? ?cursor=2 ?cursor=4"},
		"page":   {ingest.APIPages{PageParam: "page"}, "?page=1 ?page=2 ?page=3 ?page=4"},
		"offset": {ingest.APIPages{OffsetParam: "offset", LimitParam: "limit", Limit: size}, "?limit=2&offset=0 ?limit=2&offset=2 ?limit=2&offset=4"},
		"none":   {ingest.APIPages{}, "?"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			for i := range 5 {
				s.put(fmt.Sprint(i), "text", "a")
			}
			p := open(t, sqlite(t), s, func(c *ingest.APIConfig) { c.Pages = way.pages })
			want := 5
			if name == "none" {
				want = size
			}
			p.Expect(source.Report{Added: want})
			if got := s.took(); got != way.asked {
				t.Errorf("asked for %s, not %s", got, way.asked)
			}
		})
	}
}

func TestOnlyWhatChangedIsAskedFor(t *testing.T) {
	s := newServer(t)
	for i, at := range []string{"2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-02T00:00:00Z"} {
		s.put(fmt.Sprint(i), "text", at)
	}
	p := open(t, sqlite(t), s, cursors, func(c *ingest.APIConfig) {
		c.Since = ingest.APISince{Param: "since", Field: "/meta/updated", Full: time.Hour}
		c.Deleted = "gone"
	})
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	p.source.now = func() time.Time { return now }
	p.Expect(source.Report{Added: 3})
	if got := s.took(); got != "? ?cursor=2" {
		t.Error(got)
	}
	s.put("0", "changed", "2026-01-04T00:00:00Z")
	s.remove("2")
	p.Expect(source.Report{Changed: 1})
	if got := s.took(); got != "?since=2026-01-03T00%3A00%3A00Z" {
		t.Error(got)
	}
	p.expectKeys("0.json 1.json 2.json") // what is gone is found when all is read
	s.put("1", "", "2026-01-05T00:00:00Z")
	s.records["1"]["gone"] = true // but for what says that it is
	p.Expect(source.Report{Removed: 1})
	if got := s.took(); got != "?since=2026-01-04T00%3A00%3A00Z" {
		t.Error(got)
	}
	now = now.Add(2 * time.Hour)
	p.Expect(source.Report{Removed: 1})
	if got := s.took(); got != "?" {
		t.Error(got)
	}
	p.expectKeys("0.json")

	// After a failure all is read again.
	s.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("cursor") {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	}
	for i := range 4 {
		s.put(fmt.Sprint("x", i), "text", "2026-01-06T00:00:00Z")
	}
	s.remove("0")
	message := p.Expect(source.Report{Added: 1, State: ingest.SourceWarning, Missed: true})
	if !strings.Contains(message, "page 2: ") || !strings.Contains(message, "status 500") {
		t.Error(message)
	}
	s.fail = nil
	s.took()
	p.Expect(source.Report{Added: 3, Removed: 1})
	if got := s.took(); got != "? ?cursor=2 ?cursor=4" {
		t.Error(got)
	}
}

func TestRecordsThatMoveBetweenPagesAreNotGone(t *testing.T) {
	s := newServer(t)
	for i := range 6 {
		s.put(fmt.Sprint(i), "text", "a")
	}
	p := open(t, sqlite(t), s, func(c *ingest.APIConfig) { c.Pages = ingest.APIPages{PageParam: "page"} })
	p.Expect(source.Report{Added: 6})
	// While pages are read one record goes, and another slips to a page that was read.
	s.fail = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") == "2" {
			delete(s.records, "0")
		}
		return false
	}
	p.Expect(source.Report{})
	p.expectKeys("0.json 1.json 2.json 3.json 4.json 5.json")
	p.Expect(source.Report{}) // not seen once
	p.Expect(source.Report{Removed: 1})
	p.expectKeys("1.json 2.json 3.json 4.json 5.json")
	// And one comes: the next is seen twice.
	s.fail = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") == "2" {
			s.records["00"] = map[string]any{"id": "00", "meta": map[string]any{"updated": "a"}}
		}
		return false
	}
	p.Expect(source.Report{})
	p.Expect(source.Report{Added: 1})
}

func TestAnAPIThatIsMeantToHurt(t *testing.T) {
	answers := func(text string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, text); return true }
	}
	n := 0
	for name, c := range map[string]struct {
		pages ingest.APIPages
		fail  func(w http.ResponseWriter, r *http.Request) bool
		want  string
	}{
		"the same cursor for ever": {ingest.APIPages{Cursor: "/cursor", CursorParam: "cursor"}, func(w http.ResponseWriter, _ *http.Request) bool {
			n++
			fmt.Fprintf(w, `{"data":{"items":[{"id":%d}]},"cursor":"x"}`, n)
			return true
		}, "go round in a circle"},
		"a new cursor for ever": {ingest.APIPages{Cursor: "/cursor", CursorParam: "cursor"}, func(w http.ResponseWriter, _ *http.Request) bool {
			n++
			fmt.Fprintf(w, `{"data":{"items":[]},"cursor":"%d"}`, n)
			return true
		}, "more than the 20 pages"},
		"pages that are all alike": {ingest.APIPages{PageParam: "page"}, answers(`{"data":{"items":[{"id":1}]}}`), "does nothing"},
		"a page on another host":   {ingest.APIPages{Next: "/next"}, answers(`{"data":{"items":[{"id":1}]},"next":"http://169.254.169.254/x"}`), "on another host"},
		"a redirect to another host": {ingest.APIPages{}, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
			return true
		}, "leads elsewhere"},
		"a redirect to itself": {ingest.APIPages{}, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/", http.StatusFound)
			return true
		}, "leads elsewhere"},
		"no JSON":                      {ingest.APIPages{}, answers(`<html>`), "does not answer with JSON"},
		"JSON that is cut":             {ingest.APIPages{}, answers(`{"data":{"items":[{"id":1},`), "does not answer with JSON"},
		"nested without end":           {ingest.APIPages{}, answers(strings.Repeat(`{"data":`, 100_000)), "does not answer with JSON"},
		"no list":                      {ingest.APIPages{}, answers(`{"error":"sorry"}`), "no list at"},
		"an object in place of a list": {ingest.APIPages{}, answers(`{"data":{"items":{"id":1}}}`), "no list at"},
		"a page that does not end": {ingest.APIPages{}, func(w http.ResponseWriter, r *http.Request) bool {
			io.WriteString(w, `{"data":{"items":[{"id":"`)
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat("x", 1<<20))); err != nil {
					break
				}
			}
			return true
		}, "more than"},
		"somebody who is not let in": {ingest.APIPages{}, func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(401); return true }, "status 401"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.put("old", "text", "a")
			p := open(t, sqlite(t), s, func(a *ingest.APIConfig) { a.Pages, a.MaxPages = c.pages, 20 })
			p.Expect(source.Report{Added: 1})
			s.fail = c.fail
			r := p.Scan()
			if r.State != ingest.SourceWarning || !strings.Contains(r.Message, c.want) || r.Removed != 0 {
				t.Errorf("%+v", r)
			}
			if _, there := p.Documents()["old.json"]; !there {
				t.Error("what was there is gone")
			}
		})
	}
}

func TestRecordsThatAreOdd(t *testing.T) {
	s := newServer(t)
	s.fail = func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprintf(w, `{"data":{"items":[{"id":1,"org":"x"},{"id":1,"org":"y"},{"id":1,"org":"y","later":true},{"org":"x"},{"id":null,"org":"x"},7,"text",[1],
			{"id":12345678901234567890,"org":"x"},{"id":"","org":"x"},{"id":"../../etc","org":"x,y"},{"id":"big","org":"x","text":"%s"},{"id":"left","org":"x"}]}}`, strings.Repeat("x", 8192))
		return true
	}
	p := open(t, sqlite(t), s, func(c *ingest.APIConfig) { c.Key = []string{"/org", "id"} })
	p.config.Exclude = []string{"*left*"}
	p.restart()
	message := p.Expect(source.Report{Added: 4, Failed: 1, State: ingest.SourceWarning})
	p.expectKeys("x%2Cy,..%2F..%2Fetc.json x,1.json x,12345678901234567890.json y,1.json")
	if !strings.Contains(message, "x,big.json has more than the 4096 bytes") {
		t.Error(message)
	}
	l, err := p.source.List(sourcetest.System)
	must(t, err)
	if want := "5 records; left out: 1 excluded, 3 that are no objects, 1 twice, of which the later counts, 3 without a key"; l.Note != want {
		t.Errorf("%s, not %s", l.Note, want)
	}
}

func TestTheTokenIsSecretAndPatienceIsKept(t *testing.T) {
	t.Setenv("TEST_API_TOKEN", "Bearer very-secret")
	var value secret.Value
	must(t, value.UnmarshalText([]byte("env:TEST_API_TOKEN")))
	s := newServer(t)
	s.put("1", "one", "a")
	busy := 2
	s.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer very-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if busy--; busy >= 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return false
	}
	p := open(t, sqlite(t), s, func(c *ingest.APIConfig) { c.Headers = map[string]secret.Value{"Authorization": value} })
	began := time.Now()
	p.Expect(source.Report{Added: 1})
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("after %s", took)
	}
	must(t, Reach(t.Context(), p.config))
	p.config.API.Allow = nil
	if err := Reach(t.Context(), p.config); !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	src, err := p.GetSource(sourcetest.System, "docs", "outside")
	must(t, err)
	if text := fmt.Sprintf("%+v %+v", src, *src.Config.API); strings.Contains(text, "very-secret") {
		t.Error(text)
	}
}

func TestManyRecordsComeInParts(t *testing.T) {
	s := newServer(t)
	for i := range 600 {
		s.put(fmt.Sprintf("r%03d", i), "text", "a")
	}
	p := open(t, sqlite(t), s, cursors)
	l, err := p.source.List(sourcetest.System)
	must(t, err)
	if !l.More || len(l.Entries) != 256 {
		t.Fatalf("%d entries, more: %v", len(l.Entries), l.More)
	}
	p.restart()
	p.Expect(source.Report{Added: 600})
	p.Expect(source.Report{})
}

func TestPointers(t *testing.T) {
	raw := json.RawMessage(` {"a/b": {"~c": [10, {"d": "x"}]}, "n": null, "t": true, "e": 1e9}`)
	for place, want := range map[string]string{"/a~1b/~0c/0": "10", "/a~1b/~0c/1/d": "x", "/n": "", "t": "", "e": "1e9", "/none": "", "/a~1b/~0c/9": "", "/a~1b/~0c/x": "", "/a~1b": "", "/e/x": ""} {
		if got := parsePointer(place).scalar(raw); got != want {
			t.Errorf("%s: %q, not %q", place, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{{"", "x", true}, {"x", "", false}, {"9", "10", true}, {"2026-01-01T01:00:00+02:00", "2026-01-01T00:00:00Z", true}, {"2026-01-02", "2026-01-01", false}, {"1e999999999", "2", true}} {
		if got := later(c.a, c.b); got != c.want {
			t.Errorf("%q is later than %q: %v", c.b, c.a, got)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"id":1,"a":{"b":[1,2]}}`), "/a/b/0")
	f.Add([]byte(`[{"id":"\u0000"}]`), "~")
	f.Fuzz(func(t *testing.T, raw []byte, place string) {
		parsePointer(place).scalar(raw)
		parsePointer(place).truth(raw)
		text, err := canonical(raw)
		if err != nil {
			return
		}
		again, err := canonical(text)
		if err != nil || string(again) != string(text) {
			t.Errorf("%s is %s: %v", text, again, err)
		}
	})
}

func FuzzLink(f *testing.F) {
	f.Add(`<a>; rel=prev, <b>; rel="next last"`)
	f.Fuzz(func(t *testing.T, value string) {
		if got := nextLink([]string{value}); !strings.Contains(value, got) {
			t.Error(got)
		}
	})
}
