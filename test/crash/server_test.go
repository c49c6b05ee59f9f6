package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airfield/internal/app"
	"airfield/test/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// patience is how long a test waits for something that must happen.
const patience = 60 * time.Second

// installation is a folder with an airfield.yaml, and the server that runs on it, if any.
type installation struct {
	t      *testing.T
	dir    string
	server *exec.Cmd
	ended  chan struct{}
	err    error // of the server, once ended
	local  app.Local
	http   *http.Client
}

// install writes the configuration into a new folder, in which the folder documents is for sources.
func install(t *testing.T, config string) *installation {
	t.Helper()
	s := &installation{t: t, dir: t.TempDir()}
	if err := os.Mkdir(s.path("documents"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("airfield.yaml", []byte("environment: test\nserver: {listen: \"127.0.0.1:0\"}\n"+config))
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", tail(s.log(), 6000))
		}
	})
	return s
}

func (s *installation) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func (s *installation) write(name string, text []byte) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), text, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// settled writes a document that was last changed a minute ago, so that no scan waits for it to be left alone.
func (s *installation) settled(name string, text []byte) {
	s.t.Helper()
	path := filepath.Join("documents", name)
	s.write(path+".part", text) // a name that sources pass over
	before := time.Now().Add(-time.Minute)
	if err := errors.Join(os.Chtimes(s.path(path+".part"), before, before), os.Rename(s.path(path+".part"), s.path(path))); err != nil {
		s.t.Fatal(err)
	}
}

// launch starts the server and does not wait for it.
func (s *installation) launch() {
	s.t.Helper()
	if s.server != nil {
		s.t.Fatal("a server runs already")
	}
	log, err := os.OpenFile(s.path("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(binary.Build(s.t), "serve", "--config", s.path("airfield.yaml"))
	cmd.Stderr, cmd.Env = log, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + os.TempDir()}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.server, s.ended = cmd, make(chan struct{})
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
}

// start starts the server and waits until it answers.
func (s *installation) start() {
	s.t.Helper()
	s.launch()
	s.await("the server to be ready", func() bool {
		select {
		case <-s.ended:
			s.t.Fatalf("the server ended at its start: %v", s.err)
		default:
		}
		l, err := app.ReadLocal(s.path("data"))
		s.local = l
		return err == nil && l.Process == s.server.Process.Pid
	})
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: patience}
}

// await polls until the condition is true.
func (s *installation) await(what string, condition func() bool) {
	s.t.Helper()
	s.awaitFor(patience, 20*time.Millisecond, what, condition)
}

func (s *installation) awaitFor(most, every time.Duration, what string, condition func() bool) {
	s.t.Helper()
	for end := time.Now().Add(most); !condition(); time.Sleep(every) {
		if time.Now().After(end) {
			s.t.Fatalf("waited %s for %s", most, what)
		}
	}
}

// kill ends the server as a power switch would, if one runs.
func (s *installation) kill() {
	if s.server == nil {
		return
	}
	s.server.Process.Kill()
	<-s.ended
	s.server = nil
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
}

// stop asks the server to end and returns how long that took. It must succeed.
func (s *installation) stop() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.signal(syscall.SIGTERM)
	s.awaitEnd()
	if s.err != nil {
		s.t.Fatalf("the server was asked to end and did so with: %v", s.err)
	}
	return time.Since(began)
}

func (s *installation) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.server.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *installation) awaitEnd() {
	s.t.Helper()
	select {
	case <-s.ended:
		s.server = nil
	case <-time.After(patience):
		s.t.Fatalf("the server did not end within %s", patience)
	}
}

func (s *installation) log() string {
	text, _ := os.ReadFile(s.path("server.log"))
	return string(text)
}

func tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}

// request makes a request with the local key and returns the answer as it is.
func (s *installation) request(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.local.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.local.Key)
	if strings.HasPrefix(path, "/v1/") { // and not on uploads, whose type it would say
		req.Header.Set("Content-Type", "application/json")
	}
	return s.http.Do(req)
}

// call makes a request that must succeed and reads the answer into out, unless that is nil.
func (s *installation) call(method, path string, body, out any) {
	s.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	res, err := s.request(context.Background(), method, path, text)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s: %s %v", method, path, res.Status, answer, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
}

// cpu is the processor time the server has used, that of its ended children included.
func (s *installation) cpu() time.Duration {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.server.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:15] { // utime, stime and those of children
		var n int64
		if _, err := fmt.Sscan(f, &n); err != nil {
			s.t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * time.Second / 100 // the kernel counts in hundredths on every Linux of today
}
