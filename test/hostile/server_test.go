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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/test/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// server is a running installation with one collection and nothing in it.
type server struct{ *binary.Server }

const configuration = `business_units: {product: {}}
workflows:
  team: {business_unit: product, clearance: confidential, collections: ["papers"]}
collections:
  papers:
    sources: {inbox: {folder: inbox}}
`

// start runs a server on a database until the test ends, when it must end well.
func start(t *testing.T, database string) *server {
	t.Helper()
	s := &server{binary.Install(t, configuration+"database: {url: '"+database+"'}\n")}
	if err := os.Mkdir(s.Path("inbox"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.HTTP = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
	s.Start()
	t.Cleanup(func() {
		if took := s.Stop(); took > 30*time.Second {
			t.Errorf("the server took %s to end", took)
		}
	})
	return s
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
	s.T.Helper()
	target, err := url.Parse(s.Local.URL)
	if err != nil {
		s.T.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	req := &http.Request{Method: method, URL: &url.URL{Scheme: target.Scheme, Host: target.Host, Opaque: "//" + target.Host + path, RawQuery: query}, Header: http.Header{}}
	req.Header.Set("Authorization", "Bearer "+s.Local.Key)
	if body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.HTTP.Do(req)
	if err != nil {
		s.T.Errorf("%s %.200s with %.200q: %v", method, path, body, err)
		return answer{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 500 {
		s.T.Errorf("%s %.200s?%.100s with %.200q: %d %.300s %v", method, path, query, body, res.StatusCode, text, err)
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
