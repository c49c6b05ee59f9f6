package fetch

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"airfield/internal/fault"
)

func TestOnlyPublicAddressesArePublic(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34": true, "8.8.8.8": true, "2606:4700::1111": true, "172.32.0.1": true, "100.128.0.1": true,
		"127.0.0.1": false, "127.8.8.8": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "168.63.129.16": false, "192.0.0.192": false,
		"198.18.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "192.0.2.7": false, "203.0.113.9": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:8.8.8.8": true, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:0:1::": false, "2001:db8::1": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public is %v", address, got)
		}
	}
}

func TestWhatIsAllowed(t *testing.T) {
	a, err := ParseAllow([]string{"10.1.0.0/16", "127.0.0.1", "Wiki.Internal.", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": true, "::ffff:127.0.0.1": true, "127.0.0.2": false, "fd12::1": true, "fe80::1": false} {
		if got := a.address(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if !a.host("wiki.internal") || a.host("internal") || a.host("wiki.internal.evil.example") {
		t.Error("hosts")
	}
	for _, bad := range []string{"", "*.internal", "http://x", "a b", "10.0.0.0/99", "::ffff:10.0.0.0/104"} {
		if _, err := ParseAllow([]string{bad}); err == nil {
			t.Errorf("%q is allowed", bad)
		}
	}
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func loopback(t *testing.T) Allow {
	t.Helper()
	a, err := ParseAllow([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNothingIsConnectedToThatIsNotAllowed(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer s.Close()
	// A proxy of the environment would be one way around.
	t.Setenv("HTTP_PROXY", s.URL)
	t.Setenv("http_proxy", s.URL)
	port := address(t, s.URL).Port()
	c := New(Config{})
	for _, text := range []string{
		s.URL, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://0.0.0.0:" + port, "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://[::1]:" + port,
	} {
		_, err := c.Get(t.Context(), address(t, text), nil)
		if !fault.Is(err, fault.Denied) || fault.As(err).Hint == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"ftp://example.org/", "file:///etc/passwd", "gopher://127.0.0.1/", "http:///x", "http://user:hush@example.org/"} {
		_, err := c.Get(t.Context(), address(t, text), nil)
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if asked != 0 {
		t.Errorf("%d requests were made", asked)
	}
	byName, err := ParseAllow([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	res, err := New(Config{Allow: byName}).Get(t.Context(), address(t, "http://localhost:"+port), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

func TestARedirectIsNotFollowedAndHeadersStayHome(t *testing.T) {
	var other string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { other = r.Header.Get("Authorization") + r.UserAgent() }))
	defer elsewhere.Close()
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	}))
	defer home.Close()
	c := New(Config{Allow: loopback(t), UserAgent: "airfield", Origin: address(t, home.URL), Headers: map[string]string{"Authorization": "Bearer t"}})
	res, err := c.Get(t.Context(), address(t, home.URL), nil)
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatal(res, err)
	}
	res.Body.Close()
	if res, err = c.Get(t.Context(), address(t, elsewhere.URL), nil); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if other != "airfield" {
		t.Errorf("elsewhere was told %q", other)
	}
}

func TestAnAnswerThatDoesNotEndIsLeft(t *testing.T) {
	gate := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
			<-gate
		case "/stalls":
			w.Write([]byte("some"))
			w.(http.Flusher).Flush()
			<-gate
		case "/drips":
			for r.Context().Err() == nil {
				w.Write([]byte("."))
				w.(http.Flusher).Flush()
				select {
				case <-gate:
				case <-time.After(5 * time.Millisecond):
				}
			}
		}
	}))
	defer s.Close()
	defer close(gate)
	for path, c := range map[string]Config{"/silent": {Idle: 50 * time.Millisecond}, "/stalls": {Idle: 50 * time.Millisecond}, "/drips": {Timeout: 100 * time.Millisecond, Idle: time.Second}} {
		c.Allow = loopback(t)
		res, err := New(c).Get(t.Context(), address(t, s.URL+path), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", path, err)
		}
	}
	stop := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := New(Config{Allow: loopback(t)}).Get(ctx, address(t, s.URL), nil); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestABodyIsDecompressedAsItIsRead(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		block := make([]byte, 1<<20)
		for range 64 {
			z.Write(block)
		}
		z.Close()
	}))
	defer s.Close()
	res, err := New(Config{Allow: loopback(t)}).Get(t.Context(), address(t, s.URL), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)); n != 1<<20 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

func TestHowLongToStayAway(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-3": 0, "soon": 0, "Fri, 01 May 2026 12:01:00 GMT": time.Minute, "Fri, 01 May 2020 12:01:00 GMT": 0} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}
