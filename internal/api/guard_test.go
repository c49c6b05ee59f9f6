package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

func TestAPathSaysWhichMethodsItTakes(t *testing.T) {
	mux := http.NewServeMux()
	ok := func(http.ResponseWriter, *http.Request) {}
	mux.HandleFunc("GET /api/keys", ok)
	mux.HandleFunc("POST /api/keys", ok)
	mux.HandleFunc("POST /api/keys/{id}/revoke", ok)
	mux.Handle("/api/", Unknown(mux, "/api/", WriteProblem, "look elsewhere"))
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/api/keys", 200, ""},
		{"DELETE", "/api/keys", 405, "GET, POST"},
		{"GET", "/api/keys/key_1/revoke", 405, "POST"},
		{"BREW", "/api/keys", 405, "GET, POST"},
		{"GET", "/api/nothing", 404, ""},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, w.Code, w.Header().Get("Allow"), w.Body)
		}
	}
}

func TestWhoIsNotLetInIsToldWhy(t *testing.T) {
	auth := func(_ context.Context, key string) (*caller.Caller, error) {
		if key == "" {
			return nil, fault.New(fault.Unauthenticated, "key_missing", "this needs a key")
		}
		return &caller.Caller{Role: caller.Role(key)}, nil
	}
	h := Guard(auth, WriteProblem, []caller.Role{caller.Viewer}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, caller.From(r.Context()).Role)
	}))
	for key, want := range map[string]int{"": 401, "viewer": 200, "admin": 200, "workflow": 403} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "bearer "+key)
		h.ServeHTTP(w, r)
		if w.Code != want || (w.Header().Get("WWW-Authenticate") != "") != (want == 401) {
			t.Errorf("%q: %d %v", key, w.Code, w.Header())
		}
	}
}

func TestABodyThatTricklesIsGivenUpAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		l := &one{conn: theirs, closed: make(chan struct{})}
		server := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := Body(w, r, 1<<20); err != nil {
				WriteProblem(w, r, err)
			}
		})}
		go server.Serve(l)
		began := time.Now()
		var trickle sync.WaitGroup
		trickle.Go(func() {
			fmt.Fprint(ours, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
			for range 1000 {
				time.Sleep(5 * time.Second)
				if _, err := ours.Write([]byte("a")); err != nil {
					return
				}
			}
		})
		res, err := http.ReadResponse(bufio.NewReader(ours), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		if took := time.Since(began); res.StatusCode != 408 || !strings.Contains(string(text), "request_slow") || took < bodyTime || took > bodyTime+10*time.Second {
			t.Errorf("after %s: %d %s", took, res.StatusCode, text)
		}
		ours.Close()
		trickle.Wait()
		server.Close()
	})
}

// one is a listener of one connection.
type one struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *one) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, errors.New("closed")
}

func (l *one) Close() error   { close(l.closed); return nil }
func (l *one) Addr() net.Addr { return &net.UnixAddr{Name: "test"} }

func TestABodyIsOfTheLengthItSaysAndNotTooLarge(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		says int64
		want fault.Kind
	}{
		"whole":               {"abc", 3, ""},
		"of unknown length":   {"abc", -1, ""},
		"empty":               {"", 0, ""},
		"cut at once":         {"", 3, fault.Invalid},
		"cut":                 {"ab", 3, fault.Invalid},
		"too large":           {"", 11, fault.TooLarge},
		"too large unsaid":    {strings.Repeat("a", 11), -1, fault.TooLarge},
		"as large as allowed": {strings.Repeat("a", 10), -1, ""},
	} {
		r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(c.body))) // its length is not to be seen
		r.ContentLength = c.says
		got, err := Body(httptest.NewRecorder(), r, 10)
		if fault.KindOf(err) != c.want || err == nil && string(got) != c.body {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestAPanicIsOneRequestsError(t *testing.T) {
	w := httptest.NewRecorder()
	Recover(slog.New(slog.DiscardHandler), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAClientIsToldWhenToComeAgainAndNotToWaitForTheNextMonth(t *testing.T) {
	for after, want := range map[time.Duration][2]string{
		0: {"", ""}, 1500 * time.Millisecond: {"2", ""}, time.Minute: {"60", ""}, 61 * time.Second: {"61", "false"}, 720 * time.Hour: {"2592000", "false"},
	} {
		w := httptest.NewRecorder()
		RetryAfter(w, &fault.Fault{RetryAfter: after})
		if got := [2]string{w.Header().Get("Retry-After"), w.Header().Get("X-Should-Retry")}; got != want {
			t.Errorf("%s: %q, not %q", after, got, want)
		}
	}
}
