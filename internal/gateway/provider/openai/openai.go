// Package openai talks to every endpoint that speaks OpenAI's API: chat completions, responses and embeddings. The gateway's
// wiring gives it the kind of this name.
package openai

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
	"airfield/internal/gateway/neutral"
	"airfield/internal/llm"
)

// Provider is one endpoint.
type Provider struct {
	name      string
	keys      []string                      // what must not be told to anybody else
	requests  map[llm.Surface]*http.Request // what all of a surface have in common
	header    http.Header                   // of every request
	transport *http.Transport
}

// idleTimeout is shorter than the minute after which servers commonly close a connection on their side.
const idleTimeout = 50 * time.Second

// maxError bounds what is read of an error.
const maxError = 64 << 10

// New connects to nothing yet; it is a gateway.Kind.
func New(name string, c gateway.ProviderConfig, _ *slog.Logger) (gateway.Provider, error) {
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
	p := &Provider{name: name, header: http.Header{
		"Content-Type": {"application/json"},
		"User-Agent":   {"airfield"},
		// An empty key is not sent. It tells the transport that a request which died with a connection the provider
		// was just closing may be sent once more.
		"Idempotency-Key": {},
	}}
	request := func(path string) *http.Request {
		return &http.Request{Method: http.MethodPost, URL: base.JoinPath(path), Host: base.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	}
	p.requests = map[llm.Surface]*http.Request{}
	for _, surface := range served(c) {
		path, ok := paths[surface]
		if !ok {
			return nil, fmt.Errorf("surfaces: %q is none of %v", surface, slices.Sorted(maps.Keys(paths)))
		}
		p.requests[surface] = request(path)
	}
	configured, secrets := c.Header()
	maps.Copy(p.header, configured)
	p.keys = secrets
	dialer := &net.Dialer{Timeout: c.Timeouts.Connect}
	p.transport = &http.Transport{
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
	return p, nil
}

// paths are where the surfaces are, below the base URL.
var paths = map[llm.Surface]string{llm.ChatCompletions: "chat/completions", llm.Responses: "responses", llm.Embeddings: "embeddings"}

// served are the surfaces that an endpoint serves itself.
func served(c gateway.ProviderConfig) []llm.Surface {
	if len(c.Surfaces) == 0 {
		usual := []llm.Surface{llm.ChatCompletions, llm.Embeddings}
		if c.PriceList == "openai" {
			usual = append(usual, llm.Responses)
		}
		return usual
	}
	var list []llm.Surface
	for _, name := range c.Surfaces {
		list = append(list, llm.Surface(name))
	}
	return list
}

// Takes reports whether the endpoint serves a surface itself.
func (p *Provider) Takes(s llm.Surface) bool { return p.requests[s] != nil }

// Dialect is nil: what the endpoint does not serve itself, it does not serve.
func (p *Provider) Dialect() neutral.Dialect { return nil }

// Close gives back idle connections.
func (p *Provider) Close() error {
	p.transport.CloseIdleConnections()
	return nil
}

// Send posts the attempt's body.
func (p *Provider) Send(ctx context.Context, a *gateway.Attempt) (*gateway.Response, error) {
	common := p.requests[a.Surface]
	if common == nil {
		return nil, fault.New(fault.Invalid, "surface_unsupported", "provider %s does not serve %s", p.name, a.Surface)
	}
	header := make(http.Header, len(p.header)+2)
	for name, values := range p.header {
		header[name] = values
	}
	if a.Traceparent != "" {
		header["Traceparent"] = []string{a.Traceparent}
	}
	if a.Stream {
		header["Accept"] = []string{"text/event-stream"}
	}
	r := common.WithContext(ctx) // a copy
	body := a.Body
	if a.Surface == llm.Responses {
		body = ownThoughts(body)
	}
	r.Header, r.ContentLength = header, int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return newBody(body), nil }
	r.Body = newBody(body)
	answer, err := p.transport.RoundTrip(r) // not a client: a redirect would carry the key and the text elsewhere
	if err != nil {
		return nil, p.failed(err)
	}
	return p.response(a, answer)
}

// newBody has the one form that the transport knows to be in memory: it is then written together with the header, in
// one system call, and a connection that was closed shows before anything is sent.
func newBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

func (p *Provider) response(a *gateway.Attempt, answer *http.Response) (*gateway.Response, error) {
	refuse := func(format string, args ...any) (*gateway.Response, error) {
		answer.Body.Close()
		return nil, fault.New(fault.Upstream, "upstream_answer", "provider "+p.name+" "+format, args...)
	}
	if answer.StatusCode < 200 || (answer.StatusCode >= 300 && answer.StatusCode < 400) {
		return refuse("answered with status %d, which is no answer: is its base_url right?", answer.StatusCode)
	}
	if enc := answer.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return refuse("compressed its answer (%s) though it was not asked to", enc)
	}
	contentType := answer.Header.Get("Content-Type")
	in := retryIn(answer.Header)
	r := &gateway.Response{
		Status: answer.StatusCode, ContentType: contentType, RetryAfter: retryAfter(answer.Header, in), RetryIn: in, Quota: quotaOf(answer.Header),
		RequestID: answer.Header.Get("X-Request-Id"), Size: answer.ContentLength, Body: answer.Body,
		Stream: strings.HasPrefix(contentType, "text/event-stream"), Meter: NewMeter(a.Surface),
	}
	if len(p.keys) == 0 {
		return r, nil
	}
	r.Clean, r.RequestID = p.clean, string(p.clean([]byte(r.RequestID)))
	if r.Status >= 400 {
		r.Body = &redacted{answer.Body, p.clean}
	}
	return r, nil
}

// clean takes our keys out of a text: some endpoints quote the key they refuse.
func (p *Provider) clean(text []byte) []byte {
	for _, key := range p.keys {
		text = bytes.ReplaceAll(text, []byte(key), []byte("[key]"))
	}
	return text
}

// failed says what kept a request from being answered, without the address, which may be nobody's business.
func (p *Provider) failed(err error) error {
	var timeout net.Error
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &dns):
		return fault.New(fault.Unavailable, "upstream_unreachable", "the host of provider %s has no address: %w", p.name, err)
	case errors.As(err, &op) && op.Op == "dial":
		return fault.New(fault.Unavailable, "upstream_unreachable", "provider %s cannot be reached: %w", p.name, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fault.New(fault.Timeout, "upstream_timeout", "provider %s did not answer in time: %w", p.name, err)
	}
	return fault.New(fault.Upstream, "upstream_broken", "provider %s broke the connection: %w", p.name, err)
}

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
