package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"airfield/internal/config"
)

func TestAConnectionThatNobodyUsesDoesNotDelayTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- serveHTTP(ctx, l, config.Default().Server, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	}()
	unused, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	if _, err := http.Get("http://" + l.Addr().String()); err != nil { // by then the one before it was accepted
		t.Fatal(err)
	}
	began := time.Now()
	cancel()
	select {
	case err = <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end")
	}
	if took := time.Since(began); err != nil || took > 3*time.Second {
		t.Errorf("it ended after %s: %v", took, err)
	}
}
