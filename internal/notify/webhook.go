package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ours are headers that a channel cannot set. X-Airfield-Signature is t=SECONDS,v1=HEX: when the request was sent, as seconds
// since 1970, and the HMAC-SHA256 of these digits, a dot and the body, under the signing key.
var ours = []string{"Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection", "Host", "User-Agent", signatureHeader}

const signatureHeader = "X-Airfield-Signature"

// maxAnswer bounds what is read of a receiver's answer, so that its connection can be used again.
const maxAnswer = 64 << 10

// failure is why a try failed. Its text holds no address, which may be a secret, and nothing of the receiver's answer.
type failure struct {
	text  string
	final bool          // another try would fail too
	after time.Duration // the receiver asks for this much patience
}

// webhook posts to one address.
type webhook struct {
	client *http.Client
	config Channel
}

// newClient takes a transport, which tests replace. Redirects are not followed: they would carry the headers elsewhere.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// deliver makes one try.
func (w webhook) deliver(ctx context.Context, m *message) *failure {
	ctx, cancel := context.WithTimeoutCause(ctx, w.config.Timeout, errTimeout)
	defer cancel()
	body := m.body()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.address(), bytes.NewReader(body))
	if err != nil {
		return &failure{text: "the address is not one that can be posted to", final: true}
	}
	for name, value := range w.config.Headers {
		r.Header.Set(name, value)
	}
	for name, value := range w.config.SecretHeaders {
		if !value.Empty() {
			r.Header.Set(name, value.Reveal())
		}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "airfield")
	if !w.config.SigningKey.Empty() {
		r.Header.Set(signatureHeader, sign([]byte(w.config.SigningKey.Reveal()), time.Now(), body))
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return &failure{text: reason(ctx, err)}
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, maxAnswer) // the status has said it all
	return judge(answer)
}

var errTimeout = errors.New("no answer in time")

// judge reads the status of an answer.
func judge(answer *http.Response) *failure {
	status := answer.StatusCode
	f := &failure{text: fmt.Sprintf("answered %d %s", status, http.StatusText(status))}
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		f.after = retryAfter(answer.Header.Get("Retry-After"))
	case status == http.StatusRequestTimeout || status >= 500:
	case status >= 300 && status < 400:
		f.text += ": redirects are not followed, use the address it leads to"
		f.final = true
	default:
		f.final = true
	}
	return f
}

// retryAfter reads seconds or a date, and nothing of another form.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// reason is an error of the transport without the address in front of it.
func reason(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil {
		return cause.Error()
	}
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if strings.Contains(err.Error(), "malformed") { // and quoted
		return "answered with something that is not HTTP"
	}
	return err.Error()
}

func sign(key []byte, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, key)
	io.WriteString(h, seconds+".")
	h.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(h.Sum(nil))
}
