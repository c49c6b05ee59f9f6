package cloud

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"airfield/internal/ingest"
)

// site is a web site: pages by path, and how many bytes of them were sent.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]string
	sent  int
}

func newSite(t *testing.T) *site {
	s := &site{pages: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.pages[r.URL.Path]
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(text)))
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case strings.HasPrefix(text, "to "):
		http.Redirect(w, r, strings.TrimPrefix(text, "to "), http.StatusMovedPermanently)
		return
	case r.Header.Get("If-None-Match") == tag:
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	n, _ := w.Write([]byte(text))
	s.sent += n
}

func (s *site) put(path, title, text string, links ...string) {
	for _, link := range links {
		text += fmt.Sprintf(`</p><p>See also <a href="%[1]s">%[1]s</a>.`, link)
	}
	s.change(path, "<!doctype html><html><head><title>"+title+"</title></head><body><main><h1>"+title+"</h1><p>"+text+"</p></main></body></html>")
}

func (s *site) change(path, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages[path] = text; text == "" {
		delete(s.pages, path)
	}
}

func (s *site) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

func TestACollectionFollowsAWebSite(t *testing.T) {
	web := newSite(t)
	web.put("/", "Port", "All about the port.", "/harbour", "/rail/yard.html", "http://127.0.0.1:1/other")
	web.put("/harbour", "Harbour", "The quayside crane lifts forty tonnes.")
	web.put("/rail/yard.html", "Rail", "Trains leave the shunting yard at dawn.")
	s := install(t, fmt.Sprintf(`
collections:
  papers:
    sources: {site: {web: {url: '%s', rate: 500, allow: [127.0.0.1]}, interval: 1s}}
`, web.URL))
	s.Start()
	key := func(path string) string { return web.URL + path }
	s.awaitLive(key("/"), key("/harbour"), key("/rail/yard.html"))
	if d := s.document(key("/harbour")); d.Title != "Harbour" || d.Newest.MediaType != "text/html" {
		t.Errorf("%+v", d)
	}
	var answer struct {
		Citations []struct {
			SourceKey string `json:"source_key"`
		} `json:"citations"`
	}
	s.Call(http.MethodPost, "/v1/answers", map[string]any{"collection": "papers", "question": "How much does the quayside crane lift?"}, &answer)
	if len(answer.Citations) == 0 || answer.Citations[0].SourceKey != key("/harbour") {
		t.Errorf("cited is %+v", answer.Citations)
	}
	if message := s.source().Message; !strings.HasPrefix(message, "3 pages") {
		t.Error(message)
	}

	// Restarted, nothing is sent again.
	sent := web.bytes()
	s.Stop()
	s.Start()
	scanned := s.source().ScannedAt
	s.Await("another look", func() bool { return s.source().ScannedAt.After(scanned) })
	if n := web.bytes() - sent; n != 0 {
		t.Errorf("%d bytes were sent again", n)
	}

	id := s.document(key("/harbour")).ID
	web.put("/port/haven", "Haven", "The gantry moves sixty tonnes.")
	web.change("/harbour", "to /port/haven")
	s.Await("the new text to be found", func() bool { return s.finds("gantry") })
	if d := s.document(key("/port/haven")); d.ID != id || s.finds("quayside") {
		t.Errorf("%+v, was %s", d, id)
	}
	web.change("/rail/yard.html", "")
	s.awaitLive(key("/"), key("/port/haven"))
	if s.finds("shunting") {
		t.Error("what was removed is found")
	}
	web.Close()
	s.Await("the source to say that it cannot be read", func() bool { return s.source().State == ingest.SourceWarning })
	s.awaitLive(key("/"), key("/port/haven"))
}
