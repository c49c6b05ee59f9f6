// Package wire is what the providers that are asked over HTTP share: one connection pool each, the request that carries an
// attempt, and an answer as the gateway takes it, with our keys taken out of what went wrong. What is particular to an API,
// its paths, its ways to say who asks, its limits and its usage, stays with its provider.
package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
)

// Client sends to one endpoint. It is safe for concurrent use.
type Client struct {
	name      string
	base      *url.URL
	keys      []string    // what must not be told to anybody else
	header    http.Header // of every request
	transport *http.Transport
}

// idleTimeout is shorter than the minute after which servers commonly close a connection on their side.
const idleTimeout = 50 * time.Second

// New connects to nothing yet. The header goes with every request; the secrets are kept from answers.
func New(name string, c gateway.ProviderConfig, header http.Header, secrets []string) (*Client, error) {
	base, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, err
	}
	if base.Host == "" {
		return nil, errors.New("base_url is missing")
	}
	if base.Path == "" {
		base.Path = "/"
	}
	w := &Client{name: name, base: base, keys: secrets, header: http.Header{
		"Content-Type": {"application/json"},
		"User-Agent":   {"airfield"},
		// An empty key is not sent. It tells the transport that a request which died with a connection the provider
		// was just closing may be sent once more.
		"Idempotency-Key": {},
	}}
	maps.Copy(w.header, header)
	dialer := &net.Dialer{Timeout: c.Timeouts.Connect}
	w.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    c.Timeouts.Connect,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true, // bytes go through as they are
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         8 << 10,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return w, nil
}

// Post is what all requests to a path below the base URL have in common.
func (w *Client) Post(path string) *http.Request {
	return &http.Request{Method: http.MethodPost, URL: w.base.JoinPath(path), Host: w.base.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

// Close gives back idle connections.
func (w *Client) Close() error {
	w.transport.CloseIdleConnections()
	return nil
}

// Send posts an attempt's body as common says; own are headers of this request, which win over those of every request.
// An error is a fault, or that of ctx. An answer that is none is an error, too; RequestID, Quota and Meter of one that is
// are for the provider to fill in: its header is returned for that.
func (w *Client) Send(ctx context.Context, common *http.Request, a *gateway.Attempt, own http.Header) (*gateway.Response, http.Header, error) {
	header := make(http.Header, len(w.header)+len(own)+2)
	maps.Copy(header, w.header)
	if a.Traceparent != "" {
		header["Traceparent"] = []string{a.Traceparent}
	}
	if a.Stream {
		header["Accept"] = []string{"text/event-stream"}
	}
	maps.Copy(header, own)
	r := common.WithContext(ctx) // a copy
	r.Header, r.ContentLength = header, int64(len(a.Body))
	r.GetBody = func() (io.ReadCloser, error) { return newBody(a.Body), nil }
	r.Body = newBody(a.Body)
	answer, err := w.transport.RoundTrip(r) // not a client: a redirect would carry the key and the text elsewhere
	if err != nil {
		return nil, nil, w.failed(err)
	}
	response, err := w.response(answer)
	return response, answer.Header, err
}

// newBody has the one form that the transport knows to be in memory: it is then written together with the header, in
// one system call, and a connection that was closed shows before anything is sent.
func newBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

func (w *Client) response(answer *http.Response) (*gateway.Response, error) {
	refuse := func(format string, args ...any) (*gateway.Response, error) {
		answer.Body.Close()
		return nil, fault.New(fault.Upstream, "upstream_answer", "provider "+w.name+" "+format, args...)
	}
	if answer.StatusCode < 200 || (answer.StatusCode >= 300 && answer.StatusCode < 400) {
		return refuse("answered with status %d, which is no answer: is its base_url right?", answer.StatusCode)
	}
	if enc := answer.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return refuse("compressed its answer (%s) though it was not asked to", enc)
	}
	contentType, in := answer.Header.Get("Content-Type"), retryIn(answer.Header)
	r := &gateway.Response{
		Status: answer.StatusCode, ContentType: contentType, RetryAfter: retryAfter(answer.Header, in), RetryIn: in, Size: answer.ContentLength,
		Body: answer.Body, Stream: strings.HasPrefix(contentType, "text/event-stream"),
	}
	if len(w.keys) > 0 {
		r.Clean = w.clean
		if r.Status >= 400 {
			r.Body = &redacted{answer.Body, w.clean}
		}
	}
	return r, nil
}

// RequestID is the provider's own id of an exchange, from the header of that canonical name.
func (w *Client) RequestID(h http.Header, name string) string {
	return string(w.clean([]byte(First(h, name))))
}

// clean takes our keys out of a text: some endpoints quote the key they refuse.
func (w *Client) clean(text []byte) []byte {
	for _, key := range w.keys {
		text = bytes.ReplaceAll(text, []byte(key), []byte("[key]"))
	}
	return text
}

// failed says what kept a request from being answered, without the address, which may be nobody's business.
func (w *Client) failed(err error) error {
	var timeout net.Error
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &dns):
		return fault.New(fault.Unavailable, "upstream_unreachable", "the host of provider %s has no address: %w", w.name, err)
	case errors.As(err, &op) && op.Op == "dial":
		return fault.New(fault.Unavailable, "upstream_unreachable", "provider %s cannot be reached: %w", w.name, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fault.New(fault.Timeout, "upstream_timeout", "provider %s did not answer in time: %w", w.name, err)
	}
	return fault.New(fault.Upstream, "upstream_broken", "provider %s broke the connection: %w", w.name, err)
}

// maxError bounds what is read of an error.
const maxError = 64 << 10

// redacted reads an error's body as a whole and cleans it.
type redacted struct {
	body  io.ReadCloser
	clean func([]byte) []byte // nil once it is done
}

func (r *redacted) Read(p []byte) (int, error) {
	if r.clean != nil {
		text, err := io.ReadAll(io.LimitReader(r.body, maxError))
		if err != nil && len(text) == 0 {
			return 0, err
		}
		r.body, r.clean = &closing{bytes.NewReader(r.clean(text)), r.body}, nil
	}
	return r.body.Read(p)
}

func (r *redacted) Close() error { return r.body.Close() }

type closing struct {
	io.Reader
	io.Closer
}
