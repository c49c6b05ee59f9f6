package source

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"airfield/internal/fetch"
)

// Asker asks one server politely: so many requests a second, and none for as long as the server wants to be left alone.
type Asker struct {
	Client   *fetch.Client
	Interval time.Duration // between the beginnings of two requests

	mu   sync.Mutex
	next time.Time
}

// Tries and patience with a server that says that it is asked too much.
const (
	maxTries    = 4
	maxPatience = 2 * time.Minute
)

// Get asks, and asks again where the server says when. An answer that is still a refusal then is for the caller to judge.
func (a *Asker) Get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	for try := 1; ; try++ {
		if err := a.turn(ctx); err != nil {
			return nil, err
		}
		res, err := a.Client.Get(ctx, u, header)
		if err != nil {
			return nil, err
		}
		busy := res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable
		wait := fetch.RetryAfter(res.Header, time.Now())
		if res.StatusCode == http.StatusTooManyRequests && wait == 0 {
			wait = time.Second << (try - 1)
		}
		if !busy || wait == 0 || wait > maxPatience || try == maxTries {
			return res, nil
		}
		Leave(res)
		a.rest(wait)
	}
}

// turn waits for the next moment at which a request may begin.
func (a *Asker) turn(ctx context.Context) error {
	a.mu.Lock()
	now := time.Now()
	at := a.next
	if at.Before(now) {
		at = now
	}
	a.next = at.Add(a.Interval)
	a.mu.Unlock()
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (a *Asker) rest(wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := time.Now().Add(wait); at.After(a.next) {
		a.next = at
	}
}

// Leave ends an answer that is of no use, so that its connection is, where little is left of it.
func Leave(res *http.Response) {
	io.CopyN(io.Discard, res.Body, 64<<10)
	res.Body.Close()
}

// Validators are what a server calls an answer, to ask for it again only when it changed.
type Validators struct{ ETag, Modified string }

// maxValidator bounds what is kept of them with every item.
const maxValidator = 256

// ValidatorsOf reads an answer's.
func ValidatorsOf(h http.Header) (v Validators) {
	if tag := h.Get("ETag"); len(tag) <= maxValidator {
		v.ETag = strings.ToValidUTF8(tag, "")
	}
	if at := h.Get("Last-Modified"); len(at) <= maxValidator {
		v.Modified = strings.ToValidUTF8(at, "")
	}
	return v
}

// Header is what a request says with them.
func (v Validators) Header() http.Header {
	h := http.Header{}
	if v.ETag != "" {
		h.Set("If-None-Match", v.ETag)
	}
	if v.Modified != "" {
		h.Set("If-Modified-Since", v.Modified)
	}
	return h
}
