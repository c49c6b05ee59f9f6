package binary

import (
	"syscall"
	"time"
)

// Kill ends the server as a power switch would, if one runs.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.process.Process.Kill()
	<-s.ended
	s.gone()
}

// Stop asks the server to end and returns how long that took. It must succeed.
func (s *Server) Stop() time.Duration {
	s.T.Helper()
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	if err := s.AwaitEnd(); err != nil {
		s.T.Fatalf("the server was asked to end and did so with: %v", err)
	}
	return time.Since(began)
}

// Signal sends the server a signal.
func (s *Server) Signal(sig syscall.Signal) {
	s.T.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.T.Fatal(err)
	}
}

// Pause halts the server in whatever it is at, until Resume: a machine that is overloaded, or suspended.
func (s *Server) Pause() {
	s.T.Helper()
	s.Signal(syscall.SIGSTOP)
	s.Await("the server to be halted", func() bool { return s.state() == 'T' })
}

// Resume lets a halted server go on.
func (s *Server) Resume() {
	s.T.Helper()
	s.Signal(syscall.SIGCONT)
}

// Ended is closed when the launched server has ended.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// AwaitEnd waits until the server has ended and returns how.
func (s *Server) AwaitEnd() error {
	s.T.Helper()
	select {
	case <-s.ended:
		s.gone()
	case <-time.After(Patience):
		s.T.Fatalf("the server did not end within %s", Patience)
	}
	return s.err
}

func (s *Server) gone() {
	s.process = nil
	s.HTTP.CloseIdleConnections()
}
