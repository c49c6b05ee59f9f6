package redistest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"airfield/internal/redis"
)

// Server is a Redis of one test's own, which the test may kill, freeze and start again. What it held is gone then.
type Server struct {
	URL string

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// Start starts a server with further arguments, and ends it when the test ends.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	_, err := program()
	need(t, err)
	dir, err := os.MkdirTemp("", "airfield-redis") // not the test's folder: a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // the server is another user where we are root
		t.Fatal(err)
	}
	s := &Server{t: t, dir: dir, args: args, URL: "unix://" + filepath.Join(dir, "redis.sock")}
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Config is that of this server.
func (s *Server) Config() redis.Config { return config(s.URL) }

// Restart starts the server that was killed, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	path, _ := program()
	socket := filepath.Join(s.dir, "redis.sock")
	args := append([]string{"--port", "0", "--unixsocket", socket, "--unixsocketperm", "777", "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.args...)
	s.cmd = exec.Command(path, args...)
	s.cmd.Dir = s.dir
	s.cmd.SysProcAttr = tied()
	if os.Getuid() == 0 {
		s.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", path, err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if answers(socket, deadline) {
			return
		}
	}
	s.t.Fatalf("%s did not answer", path)
}

// answers reports whether a server reads what comes to a socket. It takes connections there before it listens elsewhere.
func answers(socket string, deadline time.Time) bool {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	_, err = conn.Read(make([]byte, 1))
	return err == nil
}

// Kill kills the server by its process id; a second time does nothing.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// Freeze stops the server as a machine that hangs would: it accepts and does not answer.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(which syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(which); err != nil {
		s.t.Fatal(err)
	}
}
