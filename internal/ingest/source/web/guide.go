package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/fetch"
	"airfield/internal/ingest/source"
)

// readRobots asks for robots.txt. Where there is none all is allowed; where it cannot be read nothing is (RFC 9309).
func (s *Source) readRobots(ctx context.Context) error {
	u := s.scope.start.ResolveReference(&url.URL{Path: "/robots.txt"})
	res, err := s.chase(ctx, u, s.rules.validators.Header())
	if err == nil {
		defer source.Leave(res)
		switch status := res.StatusCode; {
		case status == http.StatusNotModified:
			return nil
		case status == http.StatusOK:
			s.rules = remembered[robots]{source.ValidatorsOf(res.Header), parseRobots(res.Body, s.config.UserAgent)}
			return nil
		case status >= 400 && status < 500 && status != http.StatusTooManyRequests:
			s.rules = remembered[robots]{}
			return nil
		}
		err = answered(u, res.StatusCode)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fault.New(fault.As(err).Kind, fault.As(err).Code, "robots.txt cannot be read, so no page is asked for: %s", fault.As(err).Text).Hinted("%s", fault.As(err).Hint)
}

// chase follows a few redirects, wherever they lead on the internet: for robots.txt and sitemaps.
func (s *Source) chase(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	for range 5 {
		res, err := s.asker.Get(ctx, u, header)
		if err != nil || res.StatusCode < 300 || res.StatusCode >= 400 || res.StatusCode == http.StatusNotModified {
			return res, err
		}
		to, err := res.Location()
		source.Leave(res)
		if err != nil {
			return nil, answered(u, res.StatusCode)
		}
		u, header = to, nil
	}
	return nil, fault.New(fault.Unavailable, "source_status", "%s leads from one address to the next", fetch.Shown(u))
}

// readSitemaps queues what sitemaps name, the newest first: should there be too many, these are taken.
func (s *Source) readSitemaps(ctx context.Context) error {
	w := s.walk
	var roots []string
	chosen := s.config.Sitemap != ""
	switch {
	case s.config.Sitemap == "none":
		return nil
	case chosen:
		roots = []string{s.config.Sitemap}
	case len(w.rules.sitemaps) > 0:
		roots, chosen = w.rules.sitemaps, true
	default:
		roots = []string{s.scope.start.ResolveReference(&url.URL{Path: "/sitemap.xml"}).String()}
	}
	reading := sitemaps{source: s, seen: map[string]bool{}}
	for _, root := range roots {
		if err := reading.read(ctx, root, 0, s.config.Sitemap != ""); err != nil {
			return err
		}
	}
	if chosen && reading.failed > 0 {
		w.left["sitemaps that cannot be read"] += reading.failed
	}
	slices.SortStableFunc(reading.pages, func(a, b listed) int { return b.modified.Compare(a.modified) })
	for _, page := range reading.pages {
		s.enqueue(w, s.scope.resolve(s.scope.start, page.address), 0)
	}
	return nil
}

// sitemaps is a reading of all that an index leads to.
type sitemaps struct {
	source *Source
	seen   map[string]bool
	pages  []listed
	failed int
}

// read takes one file. One that cannot be read is no reason to stop: pages are found by links, too. An error is the end of ctx.
func (r *sitemaps) read(ctx context.Context, address string, depth int, anywhere bool) error {
	s := r.source
	u, err := url.Parse(address)
	if err == nil {
		u = s.scope.start.ResolveReference(u)
	}
	if err != nil || fetch.Plain(u) != nil || !anywhere && !strings.EqualFold(u.Hostname(), s.scope.start.Hostname()) || depth > maxIndexDepth || len(r.seen) >= maxSitemaps {
		r.failed++
		return nil
	}
	key := canonical(u).String()
	if r.seen[key] {
		return nil
	}
	r.seen[key] = true
	before := s.sitemaps[key]
	res, err := s.chase(ctx, u, before.validators.Header())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.failed++
		return nil
	}
	defer source.Leave(res)
	switch res.StatusCode {
	case http.StatusNotModified:
	case http.StatusOK:
		found, err := parseSitemap(res.Body)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			r.failed++
			if errors.Is(err, errNoSitemap) {
				return nil
			}
		}
		found.pages = r.within(found.pages)
		before = remembered[sitemap]{source.ValidatorsOf(res.Header), found}
		if err != nil {
			before.validators = source.Validators{} // it is read whole next time
		}
		s.sitemaps[key] = before
	default:
		r.failed++
		return nil
	}
	if room := 2*s.config.MaxPages - len(r.pages); room > 0 {
		r.pages = append(r.pages, before.value.pages[:min(room, len(before.value.pages))]...)
	}
	for _, more := range before.value.more {
		if err := r.read(ctx, more, depth+1, anywhere); err != nil {
			return err
		}
	}
	return nil
}

// within leaves out what this source does not read, so that it need not be remembered.
func (r *sitemaps) within(pages []listed) []listed {
	return slices.DeleteFunc(pages, func(p listed) bool { return r.source.scope.resolve(r.source.scope.start, p.address) == nil })
}
