package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"airfield/internal/bucket"
	"airfield/internal/bucket/file"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
	"airfield/internal/ingest/source/sourcetest"
)

// site is a web site: what it has, and what was asked of it.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]answer // by path and query
	asked map[string]int
	sent  int // bytes of pages
}

type answer struct {
	status   int // 200 where 0
	kind     string
	body     string
	location string
	header   map[string]string
	bare     bool // without an ETag
	handler  http.HandlerFunc
}

func newSite(t testing.TB) *site {
	s := &site{pages: map[string]answer{}, asked: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	a, ok := s.pages[r.URL.RequestURI()]
	s.asked[r.URL.RequestURI()]++
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	if a.handler != nil {
		a.handler(w, r)
		return
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.location != "" {
		http.Redirect(w, r, a.location, a.status)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	if a.kind == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	sum := sha256.Sum256([]byte(a.body))
	tag := `"` + hex.EncodeToString(sum[:4]) + `"`
	if !a.bare && a.status == 0 {
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	n, _ := w.Write([]byte(a.body))
	s.mu.Lock()
	s.sent += n
	s.mu.Unlock()
}

// put gives the site a page with text and links.
func (s *site) put(path, text string, links ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "<html><head><title>%s</title></head><body><p>%s</p>", path, text)
	for _, link := range links {
		fmt.Fprintf(&b, "<a href=\"%s\">%s</a>", link, link)
	}
	s.set(path, answer{body: b.String()})
}

func (s *site) set(path string, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = a
}

func (s *site) remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pages, path)
}

// reset forgets what was asked.
func (s *site) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = 0
	clear(s.asked)
}

func (s *site) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

func (s *site) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// place is a collection that follows a site.
type place struct {
	*sourcetest.Collection
	t      testing.TB
	site   *site
	config ingest.SourceConfig
	max    int64
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, d *db.DB, s *site, change ...func(*ingest.SourceConfig)) *place {
	t.Helper()
	b, err := file.Open(t.TempDir(), bucket.Default(), slog.New(slog.DiscardHandler))
	must(t, err)
	p := &place{t: t, site: s, max: 1 << 20}
	p.config = ingest.SourceConfig{Web: &ingest.WebConfig{URL: s.URL + "/", Rate: 1000, Allow: []string{"127.0.0.1"}}}
	for _, fn := range change {
		fn(&p.config)
	}
	p.Collection = sourcetest.Open(t, d, b, p.config, func(c *ingest.CollectionConfig) { c.MaxFileBytes = p.max })
	p.restart()
	return p
}

// restart makes the source anew: what it remembers is in the database.
func (p *place) restart() {
	p.t.Helper()
	b, err := New(p.config, p.max, p.t.TempDir())
	must(p.t, err)
	p.t.Cleanup(func() { b.Close() })
	p.Backend = b
}

// keys are the documents' addresses without the site's.
func (p *place) keys() string {
	p.t.Helper()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(p.Documents())) {
		keys = append(keys, strings.TrimPrefix(key, p.site.URL))
	}
	return strings.Join(keys, " ")
}

func (p *place) expectKeys(want string) {
	p.t.Helper()
	if got := p.keys(); got != want {
		p.t.Fatalf("the documents are %q, not %q", got, want)
	}
}

func sqlite(t testing.TB) *db.DB { return dbtest.Open(t, dbtest.SQLite(t)) }

func TestASiteIsFollowed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t)
		s.put("/", "home", "a", "/b.html#part", "style.css", "https://elsewhere.example/", "mailto:x@y")
		s.put("/a", "alpha", "/", "/deep/c")
		s.put("/b.html", "beta")
		s.put("/deep/c", "gamma")
		s.set("/paper.pdf", answer{kind: "application/pdf", body: "%PDF-1.4 text"})
		s.set("/notes.md", answer{kind: "application/octet-stream", body: "# Notes"})
		s.set("/feed", answer{kind: "application/rss+xml", body: "<rss/>"})
		s.set("/sitemap.xml", answer{kind: "application/xml", body: fmt.Sprintf("<urlset><url><loc>%[1]s/paper.pdf</loc></url><url><loc>%[1]s/notes.md</loc></url><url><loc>%[1]s/feed</loc></url></urlset>", s.URL)})
		p := open(t, d, s)
		message := p.Expect(source.Report{Added: 6})
		p.expectKeys("/ /a /b.html /deep/c /notes.md /paper.pdf")
		if message != "6 pages; left out: 1 of other types" {
			t.Error(message)
		}
		before := p.Documents()
		if got := before[s.URL+"/notes.md"].Newest; got.MediaType != "text/markdown" || got.State != ingest.Live {
			t.Errorf("%+v", got)
		}

		// Nothing changed: nothing is transferred, read or embedded, not by a process that begins anew either.
		for _, again := range []func(){func() {}, p.restart} {
			again()
			embedded, read := p.Embedded, p.Read.Load()
			s.set("/feed", answer{status: http.StatusNotFound})
			s.set("/sitemap.xml", answer{status: http.StatusNotFound})
			s.reset()
			p.Expect(source.Report{})
			if s.bytes() != 0 || p.Embedded != embedded || p.Read.Load() != read {
				t.Errorf("%d bytes were sent, %d texts embedded, %d files read", s.bytes(), p.Embedded-embedded, p.Read.Load()-read)
			}
			if s.count("/a") != 1 || s.count("/deep/c") != 1 {
				t.Errorf("asked: %v", s.asked)
			}
		}

		s.put("/a", "alpha, changed", "/new")
		s.put("/new", "new")
		p.Expect(source.Report{Added: 1, Changed: 1})
		if got := p.Documents()[s.URL+"/a"]; got.ID != before[s.URL+"/a"].ID || got.Newest.Number != 2 {
			t.Errorf("%+v", got)
		}
		s.remove("/deep/c")
		s.set("/b.html", answer{status: http.StatusGone})
		p.Expect(source.Report{Removed: 2})
		p.expectKeys("/ /a /new /notes.md /paper.pdf")

		// What is served without validators is compared by its bytes.
		s.set("/new", answer{body: "same", bare: true})
		p.Expect(source.Report{Changed: 1})
		embedded := p.Embedded
		p.Expect(source.Report{})
		s.set("/new", answer{body: "same"})
		p.Expect(source.Report{Touched: 1})
		if p.Embedded != embedded {
			t.Error("the same bytes were embedded again")
		}
	})
}

func TestAMovedPageIsARename(t *testing.T) {
	s := newSite(t)
	s.put("/", "home", "/old", "/plain", "/lent")
	s.put("/old", "text")
	s.put("/plain", "equal bytes")
	s.put("/lent", "lent")
	p := open(t, sqlite(t), s)
	p.Expect(source.Report{Added: 4})
	before := p.Documents()
	embedded := p.Embedded

	s.put("/", "home", "/old", "/plain", "/lent")
	s.set("/old", answer{status: http.StatusMovedPermanently, location: "/moved/first"})
	s.set("/moved/first", answer{status: http.StatusPermanentRedirect, location: s.URL + "/moved/there"})
	s.put("/moved/there", "other text") // it changed on the way
	s.set("/lent", answer{status: http.StatusFound, location: "/"})
	p.Expect(source.Report{Renamed: 1, Changed: 1})
	p.expectKeys("/ /lent /moved/there /plain")
	got := p.Documents()
	if got[s.URL+"/moved/there"].ID != before[s.URL+"/old"].ID || p.Embedded != embedded+1 {
		t.Errorf("%+v, %d embedded", got, p.Embedded-embedded)
	}
	p.Expect(source.Report{})

	s.set("/plain", answer{status: http.StatusNotFound})
	s.put("/plain2", "equal bytes")
	s.set("/plain2", answer{body: strings.ReplaceAll(s.pages["/plain2"].body, "/plain2", "/plain")})
	s.put("/", "home", "/plain2")
	p.Expect(source.Report{Renamed: 1, Changed: 1})
	if got := p.Documents()[s.URL+"/plain2"]; got.ID != before[s.URL+"/plain"].ID {
		t.Errorf("%+v", got)
	}
	// To a page that is there already, and round in circles.
	s.set("/plain2", answer{status: http.StatusMovedPermanently, location: "/"})
	s.set("/lent", answer{status: http.StatusFound, location: "/lent2"})
	s.set("/lent2", answer{status: http.StatusFound, location: "/lent"})
	p.Expect(source.Report{Removed: 1})
	p.expectKeys("/ /lent /moved/there")
}

func TestWhatCannotBeReadIsNotGone(t *testing.T) {
	s := newSite(t)
	s.put("/", "home", "/a", "/b", "/c")
	s.put("/a", "a")
	s.put("/b", "b")
	s.put("/c", "c")
	p := open(t, sqlite(t), s)
	p.Expect(source.Report{Added: 4})
	s.remove("/a")
	s.set("/b", answer{status: http.StatusInternalServerError})
	s.set("/c", answer{status: http.StatusForbidden})
	message := p.Expect(source.Report{State: ingest.SourceWarning, Missed: true})
	if !strings.Contains(message, "/b answers with status 500") || !strings.Contains(message, "nothing was removed") {
		t.Error(message)
	}
	p.expectKeys("/ /a /b /c")
	s.put("/b", "b")
	s.put("/c", "c")
	p.Expect(source.Report{Removed: 1})

	// What is refused stays as it is, and says nothing about others. What moved to where nothing can be read stays, too.
	s.put("/", "home", "/b", "/c", "/members")
	s.put("/d", "d")
	s.set("/members", answer{status: http.StatusUnauthorized})
	s.set("/c", answer{status: http.StatusForbidden})
	s.set("/b", answer{status: http.StatusMovedPermanently, location: "/walled"})
	s.set("/walled", answer{status: http.StatusForbidden})
	if message := p.Expect(source.Report{Changed: 1}); !strings.HasPrefix(message, "3 pages; left out: 3 that are refused") {
		t.Error(message)
	}
	p.expectKeys("/ /b /c")
	s.put("/b", "b")
	s.put("/c", "c")
	p.Expect(source.Report{})

	// A page that could not be read when it was found is asked for again, though what leads to it stays the same; by a new
	// process, too.
	for i, restart := range []func(){func() {}, p.restart} {
		page := fmt.Sprintf("/late%d", i)
		s.put("/b", "b", "/late0", page)
		s.set(page, answer{status: http.StatusBadGateway})
		p.Expect(source.Report{Changed: 1, State: ingest.SourceWarning, Missed: true})
		restart()
		s.put(page, "late")
		p.Expect(source.Report{Added: 1})
	}

	// The whole site is away, in every way.
	for _, away := range []func(){
		func() { s.set("/robots.txt", answer{status: http.StatusServiceUnavailable}) },
		func() {
			s.set("/robots.txt", answer{body: "User-agent: *\nDisallow: /", kind: "text/plain"})
		},
		func() { s.set("/robots.txt", answer{status: http.StatusFound, location: "/robots.txt"}) },
		func() { s.Server.Close() },
	} {
		away()
		s.reset()
		p.Expect(source.Report{State: ingest.SourceWarning, Away: true, Missed: true})
		p.expectKeys("/ /b /c /late0 /late1")
		if s.count("/b") != 0 {
			t.Error("pages were asked for all the same")
		}
	}
}

func TestManyPagesThatAreGoneAreHeld(t *testing.T) {
	s := newSite(t)
	var links []string
	for i := range 30 {
		links = append(links, fmt.Sprintf("/p%d", i))
		s.put(links[i], fmt.Sprint("text ", i))
	}
	s.put("/", "home", links...)
	p := open(t, sqlite(t), s)
	p.Expect(source.Report{Added: 31})
	for _, link := range links[:25] {
		s.remove(link)
	}
	p.Expect(source.Report{State: ingest.SourceHeld})
	must(t, p.Confirm(sourcetest.System, "docs", "outside"))
	p.Expect(source.Report{Removed: 25})
}

func TestWhatASiteDoesNotWantIsLeft(t *testing.T) {
	s := newSite(t)
	s.set("/robots.txt", answer{kind: "text/plain", body: "User-agent: *\nDisallow: /private\n\nSitemap: " + s.URL + "/map.xml\n"})
	s.set("/map.xml", answer{kind: "application/xml", body: "<sitemapindex><sitemap><loc>/map.xml</loc></sitemap><sitemap><loc>/part.xml</loc></sitemap><sitemap><loc>http://169.254.169.254/x.xml</loc></sitemap></sitemapindex>"})
	s.set("/part.xml", answer{kind: "application/xml", body: "<sitemapindex><sitemap><loc>/map.xml</loc></sitemap></sitemapindex>"})
	s.put("/", "home", "/private/a", "/private/a", "/hidden", "/mute", "/header", "/a?x=1", "/a")
	s.put("/private/a", "secret")
	s.set("/hidden", answer{body: `<meta name="robots" content="noindex"><a href="/behind">x</a>`})
	s.set("/mute", answer{body: `<meta name="robots" content="nofollow"><a href="/unseen">x</a>`})
	s.set("/header", answer{body: "x", header: map[string]string{"X-Robots-Tag": "noindex"}})
	s.set("/a", answer{body: `<link rel="canonical" href="/a">a`})
	s.set("/a?x=1", answer{body: `<link rel="canonical" href="/a">a, otherwise`})
	s.set("/b?x=1", answer{body: `<link rel="canonical" href="/b">b`})
	s.put("/behind", "behind", "/b?x=1", "/wrong")
	s.set("/wrong", answer{body: `<link rel="canonical" href="/">every page says that`})
	s.put("/unseen", "unseen")
	p := open(t, sqlite(t), s)
	message := p.Expect(source.Report{Added: 6})
	p.expectKeys("/ /a /b?x=1 /behind /mute /wrong")
	if message != "6 pages; left out: 1 forbidden by robots.txt, 1 sitemaps that cannot be read, 1 that name another as canonical, 2 that say noindex" {
		t.Error(message)
	}
	if s.count("/private/a") != 0 || s.count("/unseen") != 0 {
		t.Errorf("asked for what is forbidden: %v", s.asked)
	}
	s.reset()
	p.Expect(source.Report{})
	if s.bytes() != 0 {
		t.Errorf("%d bytes were sent of what did not change", s.bytes())
	}
	s.set("/behind", answer{body: "x", header: map[string]string{"X-Robots-Tag": "none"}})
	s.set("/robots.txt", answer{kind: "text/plain", body: "User-agent: *\nDisallow: /mute\n"})
	p.Expect(source.Report{Added: 1, Removed: 2}) // what robots.txt allows now is found on pages that did not change
	p.expectKeys("/ /a /b?x=1 /private/a /wrong")
}

func TestOnlyAPartOfASiteIsRead(t *testing.T) {
	s := newSite(t)
	s.put("/docs/", "home", "/docs/hub/", "/other", "/docs/drafts/x")
	s.put("/docs/hub/", "hub", "guide/one", "guide/two.html")
	s.put("/docs/hub/guide/one", "one", "/docs/hub/guide/three")
	s.put("/docs/hub/guide/two.html", "two")
	s.put("/docs/hub/guide/three", "three")
	s.put("/docs/drafts/x", "draft")
	s.put("/other", "other")
	p := open(t, sqlite(t), s, func(c *ingest.SourceConfig) {
		c.Web.URL, c.Web.Depth = s.URL+"/docs/", 2
		c.Include, c.Exclude = []string{"docs/**/guide/*"}, []string{"docs/drafts/"}
	})
	p.Expect(source.Report{Added: 2})
	p.expectKeys("/docs/hub/guide/one /docs/hub/guide/two.html")
	if s.count("/docs/drafts/x") != 0 || s.count("/other") != 0 || s.count("/docs/hub/guide/three") != 0 {
		t.Errorf("asked for %v", s.asked)
	}
	s.reset()
	p.Expect(source.Report{})
	if s.bytes() != 0 {
		t.Errorf("%d bytes were sent of what did not change", s.bytes())
	}
	// Another configuration finds what the unchanged pages lead to.
	p.config.Web.Depth = 9
	p.restart()
	p.Expect(source.Report{Added: 1})
	// One that takes less removes.
	p.config.Exclude = []string{"**/one", "docs/drafts/"}
	p.restart()
	p.Expect(source.Report{Removed: 1})
}
