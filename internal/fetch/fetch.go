package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"airfield/internal/fault"
)

// Config is how addresses are read.
type Config struct {
	Allow     Allow
	UserAgent string
	Origin    *url.URL          // where the headers go, and nowhere else
	Headers   map[string]string // secrets, as a rule
	Timeout   time.Duration     // of one answer, its body included; 5 minutes where 0
	Idle      time.Duration     // without a byte of an answer; 30 seconds where 0
}

// Client makes GET requests, one connection to a host at a time. It follows no redirect: who asked decides about that, and
// asks again. It takes no proxy from the environment, which would connect in its stead, unchecked.
type Client struct {
	config Config
	http   *http.Client
}

const (
	defaultTimeout = 5 * time.Minute
	defaultIdle    = 30 * time.Second
	maxHeaderBytes = 256 << 10
)

// New makes a client. Nothing is asked of anybody.
func New(c Config) *Client {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Idle <= 0 {
		c.Idle = defaultIdle
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
		if !c.Allow.host(host) {
			d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
				return c.Allow.check(host, resolved)
			}
		}
		return d.DialContext(ctx, network, address)
	}
	return &Client{config: c, http: &http.Client{
		Transport: &http.Transport{
			DialContext: dial, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second,
			MaxConnsPerHost: 1, MaxIdleConns: 4, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: c.Idle, MaxResponseHeaderBytes: maxHeaderBytes,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends connections that wait for another request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

var (
	errTime = errors.New("the answer took too long")
	errIdle = errors.New("the answer stopped coming")
)

// Get asks for one address. The body is decompressed, has no bound of size, and must be closed; reading it fails when the
// time is over. A status is no error.
func (c *Client) Get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	if err := Plain(u); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.config.Timeout, errTime)
	limited, stop := context.WithCancelCause(limited)
	end := func() { stop(nil); cancel() }
	r, err := http.NewRequestWithContext(limited, http.MethodGet, u.String(), nil)
	if err != nil {
		end()
		return nil, fault.New(fault.Invalid, "fetch_address", "the address cannot be asked for: %s", Shown(u))
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", c.config.UserAgent)
	if c.config.Origin != nil && SameOrigin(u, c.config.Origin) {
		for name, value := range c.config.Headers {
			r.Header.Set(name, value)
		}
	}
	res, err := c.http.Do(r)
	if err != nil {
		defer end()
		return nil, explain(ctx, limited, u, err)
	}
	res.Body = &body{ReadCloser: res.Body, explain: func(err error) error { return explain(ctx, limited, u, err) }, end: end,
		idle: c.config.Idle, timer: time.AfterFunc(c.config.Idle, func() { stop(errIdle) })}
	return res, nil
}

// body watches over an answer on its way.
type body struct {
	io.ReadCloser
	explain func(error) error
	end     func()
	idle    time.Duration
	timer   *time.Timer
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.explain(err)
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	b.end()
	return b.ReadCloser.Close()
}

// explain says what became of a request, without what an address may hold of secrets.
func explain(ctx, limited context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var no refusal
	if errors.As(err, &no) {
		return fault.New(fault.Denied, "fetch_refused", "%s is not asked: %s", Shown(u), no.Error()).
			Hinted("where it is meant, name the network or the host in allow of the source")
	}
	if cause := context.Cause(limited); cause != nil {
		err = cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fault.New(fault.Unavailable, "fetch_failed", "%s does not answer: %s", Shown(u), err.Error())
}

// Plain refuses what is not an address of the web.
func Plain(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fault.New(fault.Invalid, "fetch_address", "%s: only http and https are asked", Shown(u))
	case u.Hostname() == "":
		return fault.New(fault.Invalid, "fetch_address", "%s names no host", Shown(u))
	case u.User != nil:
		return fault.New(fault.Invalid, "fetch_address", "%s: a name or a password is no part of an address; use headers", Shown(u))
	}
	return nil
}

// SameOrigin reports whether two addresses are of the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && Port(a) == Port(b)
}

// Port is an address's, its scheme's where it names none.
func Port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// Shown is an address for messages: without a password, and without its query, where tokens stand.
func Shown(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	text := shown.String()
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}

// RetryAfter is how long an answer asks to be left alone; 0 where it does not say.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
