package mcp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

// serve opens a door with one tool, of a caller that is let in.
func serve(t *testing.T, do func(context.Context) error) *httptest.Server {
	d := &Door{Log: slog.New(slog.DiscardHandler), Authentication: func(context.Context, string) (*caller.Caller, error) {
		return &caller.Caller{Role: caller.Workflow, Workflow: "w", Clearance: caller.Internal}, nil
	}}
	s := sdk.NewServer(&sdk.Implementation{Name: "test"}, nil)
	tool("try", "Try", "Tries.", func(_ *Door, ctx context.Context, _ nothing) (a answered[nothing], err error) { return a, do(ctx) }).add(d, s)
	server := httptest.NewServer(d.handler(s))
	t.Cleanup(server.Close)
	return server
}

func call(ctx context.Context, t *testing.T, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"try","arguments":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	return http.DefaultClient.Do(r)
}

func text(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAToolRunsForWhoeverAsked(t *testing.T) {
	var who *caller.Caller
	s := serve(t, func(ctx context.Context) error {
		who = caller.From(ctx)
		return nil
	})
	res, err := call(t.Context(), t, s.URL)
	if got := text(t, res, err); who == nil || who.Workflow != "w" || !strings.Contains(got, `"result"`) {
		t.Errorf("%+v %s", who, got)
	}
}

func TestAToolEndsWhenItsClientLeaves(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	s := serve(t, func(ctx context.Context) error {
		close(began)
		select {
		case <-ctx.Done():
			ended <- nil
		case <-time.After(20 * time.Second):
			ended <- errors.New("it was not told")
		}
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if res, err := call(ctx, t, s.URL); err == nil {
		res.Body.Close()
		t.Error("it was answered")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatGoesWrongInsideIsNotTold(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(context.Context) error
		says string
	}{
		"a panic":             {func(context.Context) error { panic("the password is swordfish") }, "the server's log has the details"},
		"an error of our own": {func(context.Context) error { return errors.New("swordfish") }, "the server's log has the details"},
		"the cause of a fault": {func(context.Context) error {
			return fault.New(fault.Limited, "full", "it is full: %w", errors.New("swordfish")).Hinted("wait")
		}, "it is full (full) — wait"},
		"when to come back": {func(context.Context) error {
			f := fault.New(fault.Limited, "full", "it is full")
			f.RetryAfter = 7 * time.Second
			return f
		}, "try again in 7s"},
	} {
		res, err := call(t.Context(), t, serve(t, c.do).URL)
		if got := text(t, res, err); strings.Contains(got, "swordfish") || !strings.Contains(got, c.says) || !strings.Contains(got, `"isError":true`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
