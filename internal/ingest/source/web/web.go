// Package web is the source that is a web site, or a part of one: it reads the sitemap, follows links, and asks for each page
// only whether it is still the one that was seen last.
package web

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/fetch"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

const (
	defaultInterval = 24 * time.Hour
	retry           = 15 * time.Minute
	defaultRate     = 2
	defaultDepth    = 16
	defaultPages    = 10_000
	defaultAgent    = "airfield"
)

// Source is a source.Backend and a source.Recaller.
type Source struct {
	config   ingest.WebConfig
	scope    scope
	asker    *source.Asker
	interval time.Duration // between requests, by the configuration
	patterns []string      // include and exclude as they are written
	include  []*regexp.Regexp
	exclude  []*regexp.Regexp
	maxBytes int64
	dir      string
	spool    *source.Spool
	known    map[string]ingest.Item
	cursor   string // the root of the last listing that was whole
	walk     *walk  // a comparison under way; nil between two

	// What is no document is remembered as long as the process lives.
	done     string          // the root of the last walk that came to its end
	owed     map[string]bool // pages that could not be read when they were found
	fresh    map[string]bool // pages of that walk that were new; whether they were taken is seen at the next
	rules    remembered[robots]
	sitemaps map[string]remembered[sitemap]
	hubs     map[string]remembered[hub]
}

// remembered is something with what its server called it.
type remembered[T any] struct {
	validators source.Validators
	value      T
}

// New makes a source of its configuration. It asks nothing of the site. dir is where pages wait to be taken.
func New(c ingest.SourceConfig, maxBytes int64, dir string) (*Source, error) {
	w := *c.Web
	w.UserAgent, w.MaxPages, w.Rate = cmp.Or(w.UserAgent, defaultAgent), cmp.Or(w.MaxPages, defaultPages), cmp.Or(w.Rate, defaultRate)
	if w.Depth = cmp.Or(w.Depth, defaultDepth); w.Depth < 0 {
		w.Depth = 0
	}
	start, err := url.Parse(w.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "source_web", "web.url cannot be read")
	}
	start = canonical(start)
	allow, err := fetch.ParseAllow(w.Allow)
	if err != nil {
		return nil, fault.New(fault.Invalid, "source_web", "web.allow: %w", err)
	}
	headers, err := ingest.Reveal(w.Headers)
	if err != nil {
		return nil, fault.New(fault.Invalid, "source_web", "web.%w", err)
	}
	s := &Source{config: w, scope: newScope(start), maxBytes: maxBytes, dir: dir, interval: time.Duration(float64(time.Second) / w.Rate),
		owed: map[string]bool{}, sitemaps: map[string]remembered[sitemap]{}, hubs: map[string]remembered[hub]{}}
	s.asker = &source.Asker{Interval: s.interval, Client: fetch.New(fetch.Config{Allow: allow, UserAgent: w.UserAgent, Origin: start, Headers: headers, Timeout: w.Timeout})}
	if s.include, err = ingest.Globs(c.Include); err != nil {
		return nil, err
	}
	s.patterns = slices.Concat(c.Include, []string{""}, c.Exclude)
	s.exclude, err = ingest.Globs(c.Exclude)
	return s, err
}

// Close gives back what a source holds.
func (s *Source) Close() error {
	s.asker.Client.Close()
	if s.spool == nil {
		return nil
	}
	return s.spool.Close()
}

// Keep makes what keeps collections in line with sites; pages wait in dir until they are taken.
func Keep(dir string) source.Keep {
	return func(ctx context.Context, library source.Library, s ingest.Source, woken <-chan struct{}, log *slog.Logger) {
		log = log.With("collection", s.Collection, "source", s.Name)
		b, err := New(s.Config, s.MaxFileBytes, dir)
		if err != nil {
			log.Error("a source cannot be read", "err", err)
			return
		}
		defer b.Close()
		source.Loop{Library: library, Backend: b, Source: s, Changed: woken, Settle: time.Second, Default: defaultInterval, Retry: retry, Log: log}.Run(ctx)
	}
}

// Reach reports whether the site of a configuration answers.
func Reach(ctx context.Context, c ingest.SourceConfig) error {
	s, err := New(c, 0, "")
	if err != nil {
		return err
	}
	defer s.Close()
	res, err := s.asker.Client.Get(ctx, s.scope.start, nil)
	if err != nil {
		return err
	}
	defer source.Leave(res)
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		to, err := res.Location()
		if err == nil && s.scope.within(to) == nil {
			return outside(s.scope.start, to)
		}
		return err
	case res.StatusCode >= 400:
		return answered(s.scope.start, res.StatusCode)
	}
	return nil
}

func outside(from, to *url.URL) error {
	return fault.New(fault.Conflict, "source_moved", "%s leads to %s, which is outside of what is read", fetch.Shown(from), fetch.Shown(to)).
		Hinted("make that the url of the source, if it is meant")
}

func answered(u *url.URL, status int) error {
	kind := fault.Unavailable
	if status < 500 {
		kind = fault.NotFound
	}
	return fault.New(kind, "source_status", "%s answers with status %d", fetch.Shown(u), status)
}

// Recall is told what was seen last.
func (s *Source) Recall(items map[string]ingest.Item, root string) { s.known, s.cursor = items, root }

// Open reads a page as it was listed. One that waits no more, because it could not be taken then, is asked for again.
func (s *Source) Open(ctx context.Context, e source.Entry) (io.ReadCloser, func() error, error) {
	verify := func() error { return nil }
	if e.Fingerprint == tooLarge {
		return nil, verify, fault.New(fault.TooLarge, "file_too_large", "it has more than the %d bytes that the collection takes", s.maxBytes).Hinted("raise max_file_bytes of the collection, or exclude the page")
	}
	if s.spool != nil {
		if r, ok := s.spool.Open(e.Key); ok {
			return r, verify, nil
		}
	}
	u, err := url.Parse(e.Key)
	if err != nil {
		return nil, verify, err
	}
	res, err := s.asker.Get(ctx, u, nil)
	if err != nil {
		return nil, verify, err
	}
	if res.StatusCode != http.StatusOK {
		source.Leave(res)
		return nil, verify, answered(u, res.StatusCode)
	}
	return res.Body, verify, nil
}

// Sidecar is nil: pages have none.
func (s *Source) Sidecar(context.Context, source.Entry) ([]byte, error) { return nil, nil }

// wants reports whether a page is to be a document; avoids whether it is not even asked for.
func (s *Source) wants(u *url.URL) bool {
	return len(s.include) == 0 || matchesAny(s.include, u)
}

func (s *Source) avoids(u *url.URL) bool { return matchesAny(s.exclude, u) }

func matchesAny(globs []*regexp.Regexp, u *url.URL) bool {
	p := strings.TrimPrefix(u.Path, "/")
	return slices.ContainsFunc(globs, func(re *regexp.Regexp) bool { return re.MatchString(p) })
}

// tooLarge stands for the fingerprint of a page that the collection does not take.
const tooLarge = "0:too_large"

// fingerprint says of which bytes a page was, how its server calls them, and how many links away it is.
func fingerprint(k source.Kept, depth int, v source.Validators) string {
	q := url.Values{"d": {strconv.Itoa(depth)}, "h": {k.SHA256[:32]}}
	if v.ETag != "" {
		q.Set("e", v.ETag)
	}
	if v.Modified != "" {
		q.Set("m", v.Modified)
	}
	return fmt.Sprintf("%d:%s", k.Size, q.Encode())
}

// recalled reads a fingerprint.
func recalled(print string) (depth int, v source.Validators) {
	_, text, _ := strings.Cut(print, ":")
	q, err := url.ParseQuery(text)
	if err != nil {
		return 0, v
	}
	depth, _ = strconv.Atoi(q.Get("d"))
	return depth, source.Validators{ETag: q.Get("e"), Modified: q.Get("m")}
}
