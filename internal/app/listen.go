package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"airfield/internal/config"
	"airfield/internal/fault"
)

// listen opens the port, with TLS where certificates are configured.
func listen(c config.Server) (net.Listener, string, error) {
	l, err := net.Listen("tcp", c.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, "", fault.New(fault.Conflict, "port_busy", "%s is in use by another process", c.Listen).Hinted("stop it, or choose another address: server.listen, or AIRFIELD_SERVER_LISTEN")
	case errors.Is(err, syscall.EACCES):
		return nil, "", fault.New(fault.Denied, "port_denied", "%s may not be listened on by this user", c.Listen).Hinted("choose a port above 1023")
	case err != nil:
		return nil, "", fault.New(fault.Invalid, "listen", "cannot listen on %s: %w", c.Listen, err)
	}
	if c.TLS.Certificate == "" {
		return l, "http://" + reachable(l), nil
	}
	files := &certificate{certificate: c.TLS.Certificate, key: c.TLS.Key}
	if _, err := files.get(nil); err != nil {
		l.Close()
		return nil, "", fault.New(fault.Invalid, "tls", "the certificate cannot be used: %w", err)
	}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.get, NextProtos: []string{"http/1.1"}}), "https://" + reachable(l), nil
}

// reachable is the listener's address as a client on this machine writes it.
func reachable(l net.Listener) string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// certificate reads its files again when they change, so that a renewed one needs no restart.
type certificate struct {
	certificate, key string

	mu      sync.Mutex
	changed time.Time
	checked time.Time
	current *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && time.Since(c.checked) < time.Second {
		return c.current, nil
	}
	c.checked = time.Now()
	stat, err := os.Stat(c.certificate)
	if err == nil && c.current != nil && stat.ModTime().Equal(c.changed) {
		return c.current, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certificate, c.key)
	}
	if err != nil {
		if c.current != nil {
			return c.current, nil // a renewal in progress: the old one serves on
		}
		return nil, err
	}
	c.current, c.changed = &pair, stat.ModTime()
	return c.current, nil
}

// serveHTTP answers requests until ctx ends, then lets those in flight finish within the drain time.
func serveHTTP(ctx context.Context, l net.Listener, c config.Server, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: c.HeaderTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	var unused sync.Map // connections on which nothing has come yet
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			unused.Store(c, nil)
		} else {
			unused.Delete(c)
		}
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), c.Drain, errors.New("requests in flight took longer than server.drain"))
	defer cancel()
	// Shutdown waits five seconds for connections such as browsers open in advance.
	defer time.AfterFunc(unusedTime, func() {
		unused.Range(func(c, _ any) bool {
			c.(net.Conn).Close()
			return true
		})
	}).Stop()
	if err := server.Shutdown(stop); err != nil {
		log.Warn("requests were cut off", "cause", context.Cause(stop))
		return server.Close()
	}
	return nil
}

// unusedTime is how long a connection may still bring its first request after the process was asked to stop.
const unusedTime = 500 * time.Millisecond
