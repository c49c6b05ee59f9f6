// Package hostile sends the real binary what nobody should send, on both databases, and expects an answer to all of it:
// no error of the server's own, nothing half made, and a call log that goes on.
package hostile

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airfield/internal/app"
	"airfield/internal/db/dbtest"
	"airfield/test/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// server is a running installation with one collection and nothing in it.
type server struct {
	t     *testing.T
	dir   string
	local app.Local
	http  *http.Client
}

const configuration = `environment: test
server: {listen: "127.0.0.1:0"}
business_units: {product: {}}
workflows:
  team: {business_unit: product, clearance: confidential, collections: ["papers"]}
collections:
  papers:
    sources: {inbox: {folder: inbox}}
`

// start runs a server on a database until the test ends.
func start(t *testing.T, database string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	if err := os.WriteFile(filepath.Join(s.dir, "airfield.yaml"), []byte(configuration+"database: {url: '"+database+"'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path("inbox"), 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(s.path("server.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(binary.Build(t), "serve", "--config", s.path("airfield.yaml"))
	cmd.Stderr, cmd.Env = log, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + os.TempDir()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		s.http.CloseIdleConnections()
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(30 * time.Second):
			cmd.Process.Kill()
			t.Error("the server did not end within 30 s")
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log())
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s.local, err = app.ReadLocal(s.path("data")); err == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("the server is not ready after 30 s")
		}
	}
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) log() string {
	text, _ := os.ReadFile(s.path("server.log"))
	return string(text)
}

// answer is what the server said.
type answer struct {
	status int
	body   []byte
}

func (a answer) read(t *testing.T, into any) {
	t.Helper()
	if a.status >= 300 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
}

// send makes a request with a key, by default the local one, and fails the test for what only a broken server answers.
func (s *server) send(method, path string, body []byte, header ...string) answer {
	s.t.Helper()
	target, err := url.Parse(s.local.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	req := &http.Request{Method: method, URL: &url.URL{Scheme: target.Scheme, Host: target.Host, Opaque: "//" + target.Host + path, RawQuery: query}, Header: http.Header{}}
	req.Header.Set("Authorization", "Bearer "+s.local.Key)
	if body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Errorf("%s %.200s with %.200q: %v", method, path, body, err)
		return answer{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 500 {
		s.t.Errorf("%s %.200s?%.100s with %.200q: %d %.300s %v", method, path, query, body, res.StatusCode, text, err)
	}
	return answer{res.StatusCode, text}
}

// each runs a test against a server on either database.
func each(t *testing.T, fn func(t *testing.T, s *server)) {
	t.Run("sqlite", func(t *testing.T) {
		fn(t, start(t, "sqlite:"+filepath.Join(t.TempDir(), "airfield.db")))
	})
	t.Run("postgres", func(t *testing.T) { fn(t, start(t, dbtest.Postgres(t))) })
}
