package binary

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/app"
)

// Patience is how long a test waits for something that must happen.
const Patience = 60 * time.Second

// Server is an installation in a folder of its own, and the process that runs on it, if any. T, Args and Env may be set while
// none does.
type Server struct {
	T     testing.TB
	Dir   string
	Args  []string     // further flags of serve: "--role", "gateway"
	Env   []string     // further variables: "PROVIDER_KEY=x"
	Local app.Local    // the address and the key of the process that was started last
	HTTP  *http.Client // for requests to it

	process *exec.Cmd     // nil while none runs
	ended   chan struct{} // closed when the process has ended
	err     error         // of the process, once ended
}

// Install writes a configuration into a new folder. What it does not say is an environment named test and a free port. The
// test's end kills the server, and shows its log where the test has failed.
func Install(t testing.TB, config string) *Server {
	t.Helper()
	s := &Server{T: t, Dir: t.TempDir()}
	s.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}, Timeout: Patience}
	s.Configure(config)
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", Tail(s.Log(), 6000))
		}
	})
	return s
}

// Configure writes another configuration.
func (s *Server) Configure(config string) {
	s.T.Helper()
	for key, value := range map[string]string{"environment": "test", "server": `{listen: "127.0.0.1:0"}`} {
		if !strings.Contains("\n"+config, "\n"+key+":") {
			config = key + ": " + value + "\n" + config
		}
	}
	s.Write("airfield.yaml", []byte(config))
}

// Path is a path in the installation's folder.
func (s *Server) Path(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

// Write writes a file in the installation's folder.
func (s *Server) Write(name string, text []byte) {
	s.T.Helper()
	err := os.MkdirAll(filepath.Dir(s.Path(name)), 0o755)
	if err := errors.Join(err, os.WriteFile(s.Path(name), text, 0o644)); err != nil {
		s.T.Fatal(err)
	}
}

// Launch starts the server and does not wait for it.
func (s *Server) Launch() {
	s.T.Helper()
	if s.process != nil {
		s.T.Fatal("a server runs already")
	}
	log, err := os.OpenFile(s.Path("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.T.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(Build(s.T), append([]string{"serve", "--config", s.Path("airfield.yaml")}, s.Args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir, "TMPDIR=" + os.TempDir()}, s.Env...)
	if err := cmd.Start(); err != nil {
		s.T.Fatal(err)
	}
	ended := make(chan struct{})
	s.process, s.ended, s.err = cmd, ended, nil
	go func() {
		s.err = cmd.Wait()
		close(ended)
	}()
}

// Start starts the server and waits until it answers.
func (s *Server) Start() {
	s.T.Helper()
	s.Launch()
	s.AwaitReady()
}

// AwaitReady waits until the launched server answers.
func (s *Server) AwaitReady() {
	s.T.Helper()
	s.Await("the server to be ready", func() bool {
		select {
		case <-s.ended:
			s.T.Fatalf("the server ended at its start: %v", s.err)
		default:
		}
		l, err := app.ReadLocal(s.Path("data"))
		s.Local = l
		return err == nil && l.Process == s.process.Process.Pid
	})
}

// Running reports whether a process was started and not seen to end.
func (s *Server) Running() bool { return s.process != nil }

// Await polls until the condition is true.
func (s *Server) Await(what string, condition func() bool) {
	s.T.Helper()
	s.AwaitFor(Patience, 20*time.Millisecond, what, condition)
}

// AwaitFor is Await with another patience and haste.
func (s *Server) AwaitFor(most, every time.Duration, what string, condition func() bool) {
	s.T.Helper()
	for end := time.Now().Add(most); !condition(); time.Sleep(every) {
		if time.Now().After(end) {
			s.T.Fatalf("waited %s for %s", most, what)
		}
	}
}

// Log is what the server has said, over all its processes.
func (s *Server) Log() string {
	text, _ := os.ReadFile(s.Path("server.log"))
	return string(text)
}

// Tail is the end of a text.
func Tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}
