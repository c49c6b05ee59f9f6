package web

import (
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/fault"
	"airfield/internal/fetch"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
	"airfield/internal/ingest/source/sourcetest"
	"airfield/internal/secret"
)

func TestASiteLeadsNowhereElse(t *testing.T) {
	inside := newSite(t) // what only this machine reaches
	inside.put("/secret", "secret")
	s := newSite(t)
	links := []string{"/meta", "/loop", "/mapped", "/file", "/userinfo"}
	s.put("/", "home", append(links, inside.URL+"/secret")...)
	s.set("/meta", answer{status: http.StatusFound, location: "http://169.254.169.254/latest/meta-data/"})
	s.set("/loop", answer{status: http.StatusMovedPermanently, location: inside.URL + "/secret"})
	s.set("/mapped", answer{status: http.StatusTemporaryRedirect, location: "http://[::ffff:127.0.0.1]/"})
	s.set("/file", answer{status: http.StatusFound, location: "file:///etc/passwd"})
	s.set("/userinfo", answer{status: http.StatusFound, location: "http://a:b@" + strings.TrimPrefix(s.URL, "http://") + "/x"})
	s.set("/robots.txt", answer{kind: "text/plain", body: "Sitemap: http://169.254.169.254/sitemap.xml\nSitemap: " + inside.URL + "/map.xml\nSitemap: file:///etc/passwd\n"})
	p := open(t, sqlite(t), s)
	p.Expect(source.Report{Added: 1})
	if inside.count("/secret") != 0 {
		t.Error("what is inside was asked")
	}

	// robots.txt may redirect to another host, which is not followed to where nobody may go.
	s.set("/robots.txt", answer{status: http.StatusFound, location: "http://169.254.169.254/robots.txt"})
	message := p.Expect(source.Report{State: ingest.SourceWarning, Away: true, Missed: true})
	if !strings.Contains(message, "169.254.169.254, which is no public address") {
		t.Error(message)
	}

	// Without being allowed, the site itself is not asked.
	s.reset()
	closed := open(t, sqlite(t), s, func(c *ingest.SourceConfig) { c.Web.Allow = nil })
	message = closed.Expect(source.Report{State: ingest.SourceWarning, Away: true, Missed: true})
	if len(s.asked) != 0 || !strings.Contains(message, "no public address") {
		t.Errorf("%s, %v", message, s.asked)
	}
	if err := Reach(t.Context(), closed.config); !fault.Is(err, fault.Denied) || !strings.Contains(fault.As(err).Hint, "allow") {
		t.Error(err)
	}
	if err := Reach(t.Context(), p.config); err != nil {
		t.Error(err)
	}
}

func TestAnswersThatAreTooMuch(t *testing.T) {
	s := newSite(t)
	s.put("/", "home", "/announced", "/huge", "/bomb", "/slow", "/cut", "/fine")
	s.put("/fine", "fine")
	s.set("/announced", answer{handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", strconv.Itoa(1<<40))
		w.Write(make([]byte, 1<<10))
	}})
	var sent atomic.Int64
	s.set("/huge", answer{handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for r.Context().Err() == nil {
			n, err := w.Write(make([]byte, 64<<10))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}})
	s.set("/bomb", answer{handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 256 {
			if _, err := z.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
		z.Close()
	}})
	gate := make(chan struct{})
	defer close(gate)
	s.set("/slow", answer{handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for {
			w.Write([]byte("<p>"))
			w.(http.Flusher).Flush()
			select {
			case <-gate:
				return
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}})
	s.set("/cut", answer{handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte("half"))
	}})
	p := open(t, sqlite(t), s, func(c *ingest.SourceConfig) { c.Web.Timeout = 500 * time.Millisecond })
	message := p.Expect(source.Report{Added: 2, Failed: 3, State: ingest.SourceWarning, Missed: true})
	if !strings.Contains(message, "/slow") || !strings.Contains(message, "/cut") {
		t.Error(message)
	}
	if sent.Load() > 64<<20 {
		t.Errorf("%d bytes were sent before anybody hung up", sent.Load())
	}
	s.remove("/slow")
	s.remove("/cut")
	message = p.Expect(source.Report{Failed: 3, State: ingest.SourceWarning})
	if !strings.Contains(message, "more than the 1048576 bytes") {
		t.Error(message)
	}
}

func TestASiteWithoutAnEnd(t *testing.T) {
	s := newSite(t)
	var asked atomic.Int64
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" || r.URL.Path == "/sitemap.xml" {
			http.NotFound(w, r)
			return
		}
		n := asked.Add(1)
		w.Header().Set("Content-Type", "text/html")
		for i := range 50 {
			fmt.Fprintf(w, `<a href="/calendar/%d?day=%d">x</a><a href="x/%d">y</a>`, n, i, i)
		}
	})
	p := open(t, sqlite(t), s, func(c *ingest.SourceConfig) { c.Web.MaxPages = 40 })
	message := p.Expect(source.Report{Added: 40})
	if asked.Load() != 40 || !strings.Contains(message, "beyond max_pages") {
		t.Errorf("%d pages were asked for: %s", asked.Load(), message)
	}
	p.Expect(source.Report{Changed: 40}) // each answer is another
	if asked.Load() != 80 {
		t.Errorf("%d pages were asked for", asked.Load())
	}
}

func TestASitemapThatIsMeantToHurt(t *testing.T) {
	s := newSite(t)
	s.put("/", "home")
	s.put("/a", "a")
	const head = "<urlset><url><loc>/a</loc></url>"
	for name, handler := range map[string]http.HandlerFunc{
		"entities": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><urlset><url><loc>/a</loc></url><url><loc>&a;</loc></url></urlset>`)
		},
		"nested": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, head, strings.Repeat("<a>", 1<<20)) },
		"packed bomb": func(w http.ResponseWriter, _ *http.Request) {
			z := gzip.NewWriter(w)
			fmt.Fprint(z, head)
			for range 100 {
				z.Write([]byte(strings.Repeat(" ", 1<<20)))
			}
			z.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.set("/sitemap.xml", answer{handler: handler})
			p := open(t, sqlite(t), s)
			p.Expect(source.Report{Added: 2}) // what stood before the harm counts
		})
	}
}

func TestASiteThatAsksToBeLeftAlone(t *testing.T) {
	s := newSite(t)
	s.put("/", "home", "/a", "/never")
	var asked atomic.Int64
	s.set("/a", answer{handler: func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "at last")
	}})
	s.set("/never", answer{status: http.StatusServiceUnavailable, header: map[string]string{"Retry-After": "86400"}})
	p := open(t, sqlite(t), s)
	began := time.Now()
	p.Expect(source.Report{Added: 2, State: ingest.SourceWarning, Missed: true})
	if took := time.Since(began); asked.Load() != 3 || took < 2*time.Second || s.count("/never") != 1 {
		t.Errorf("%d times in %s", asked.Load(), took)
	}
}

func TestPagesComeAtARate(t *testing.T) {
	s := newSite(t)
	s.set("/robots.txt", answer{kind: "text/plain", body: "User-agent: *\nCrawl-delay: 0.2\n"})
	s.put("/", "home", "/a", "/b", "/c")
	var at []time.Time
	var open1, most atomic.Int64
	for _, page := range []string{"/a", "/b", "/c"} {
		s.set(page, answer{handler: func(w http.ResponseWriter, _ *http.Request) {
			at = append(at, time.Now())
			most.Store(max(most.Load(), open1.Add(1)))
			defer open1.Add(-1)
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, page)
		}})
	}
	p := open(t, sqlite(t), s)
	p.Expect(source.Report{Added: 4})
	if len(at) != 3 || at[2].Sub(at[0]) < 350*time.Millisecond || most.Load() != 1 {
		t.Errorf("%v, %d at once", at, most.Load())
	}
}

func TestHeadersAreSecretAndStayWithTheSite(t *testing.T) {
	t.Setenv("TEST_SITE_TOKEN", "Bearer very-secret")
	var value secret.Value
	must(t, value.UnmarshalText([]byte("env:TEST_SITE_TOKEN")))
	s := newSite(t)
	elsewhere := newSite(t)
	leaked := ""
	elsewhere.set("/robots.txt", answer{handler: func(w http.ResponseWriter, r *http.Request) { leaked += r.Header.Get("Authorization") }})
	s.set("/robots.txt", answer{status: http.StatusFound, location: elsewhere.URL + "/robots.txt"})
	s.set("/", answer{handler: func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer very-secret" || r.UserAgent() != "airfield" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "members only")
	}})
	p := open(t, sqlite(t), s, func(c *ingest.SourceConfig) { c.Web.Headers = map[string]secret.Value{"Authorization": value} })
	p.Expect(source.Report{Added: 1})
	if elsewhere.count("/robots.txt") != 1 || leaked != "" {
		t.Errorf("elsewhere was asked %d times, and told %q", elsewhere.count("/robots.txt"), leaked)
	}
	src, err := p.GetSource(sourcetest.System, "docs", "outside")
	must(t, err)
	if text := fmt.Sprintf("%+v %s", src, src.Config.Web.Headers); strings.Contains(text, "very-secret") {
		t.Error(text)
	}
	t.Setenv("TEST_SITE_TOKEN", "")
	if _, err := New(src.Config, 1, t.TempDir()); err == nil || !strings.Contains(err.Error(), "TEST_SITE_TOKEN") {
		t.Error(err)
	}
}

func TestALongReadingComesInPartsAndGoesOnAfterACrash(t *testing.T) {
	s := newSite(t)
	const n = 400
	for i := range n {
		s.put(fmt.Sprintf("/p%d", i), fmt.Sprint("text ", i), fmt.Sprintf("/p%d", i+1))
	}
	s.put("/", "home", "/p0")
	p := open(t, sqlite(t), s, func(c *ingest.SourceConfig) { c.Web.Depth = 1000 })
	// The first part alone: then the process is gone.
	backend := p.Backend
	p.Backend = once{backend}
	first := p.Scan()
	if first.Added != 256 || len(p.Documents()) != 256 {
		t.Fatalf("%+v, %d documents", first, len(p.Documents()))
	}
	p.restart()
	p.Expect(source.Report{Added: n + 1 - 256})
	if len(p.Documents()) != n+1 {
		t.Errorf("%d documents", len(p.Documents()))
	}
	s.reset()
	p.restart()
	p.Expect(source.Report{})
	if s.bytes() != 0 {
		t.Errorf("%d bytes", s.bytes())
	}
}

// once lists one part, and then nothing can be read.
type once struct{ source.Backend }

func (o once) Recall(items map[string]ingest.Item, root string) {
	o.Backend.(source.Recaller).Recall(items, root)
}

func (o once) List(ctx context.Context) (source.Listing, error) {
	l, err := o.Backend.List(ctx)
	l.More = false
	l.Missed, l.Owes = []string{"the process ends here"}, true
	return l, err
}

func TestMemoryOfTenThousandPagesIsBounded(t *testing.T) {
	s := newSite(t)
	const n = 10_000
	filler := strings.Repeat("x", 4<<10)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if r.URL.Path == "/" {
			i, err = 0, nil
		}
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", strconv.Quote(r.URL.Path))
		if r.Header.Get("If-None-Match") == strconv.Quote(r.URL.Path) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		for link := 10*i + 1; link <= 10*i+10 && link < n; link++ {
			fmt.Fprintf(w, `<a href="/%d">next</a>`, link)
		}
		fmt.Fprint(w, filler)
	})
	allow, err := fetch.ParseAllow([]string{"127.0.0.1"})
	must(t, err)
	b, err := New(ingest.SourceConfig{Web: &ingest.WebConfig{URL: s.URL, MaxPages: n, Depth: 100}}, 1<<20, t.TempDir())
	must(t, err)
	defer b.Close()
	b.asker = &source.Asker{Client: fetch.New(fetch.Config{Allow: allow})}
	b.interval = 0
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, parts := heap(), uint64(0), 0
	items := map[string]ingest.Item{}
	read := func() (pages int) {
		for {
			b.Recall(items, "")
			l, err := b.List(t.Context())
			must(t, err)
			parts++
			most = max(most, heap())
			for key, e := range l.Entries {
				items[key] = ingest.Item{Key: key, Fingerprint: e.Fingerprint}
			}
			if !l.More {
				return len(l.Entries)
			}
		}
	}
	if pages := read(); pages != n {
		t.Fatalf("%d pages", pages)
	}
	if parts < n/256 || most-before > 32<<20 {
		t.Errorf("%d parts, %d MB", parts, (most-before)>>20)
	}
	parts = 0
	if pages := read(); pages != n || parts != 1 {
		t.Errorf("%d pages in %d parts", pages, parts)
	}
	t.Logf("%d KB of heap at most for %d pages", (most-before)>>10, n)
}
