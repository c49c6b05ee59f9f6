package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/fetch"
	"airfield/internal/ingest/source"
)

// Limits of one comparison.
const (
	maxHops     = 10 // redirects from one page on
	maxBroken   = 5  // pages in a row that cannot be read, before the site is left alone
	maxHubs     = 1000
	maxHubLinks = 100_000 // that are remembered of all of them
	examples    = 5
)

// walk is one comparison of a site with what was seen of it. It may be made in parts.
type walk struct {
	root    string
	whole   bool // the last one came to its end: what is unchanged leads to nothing new
	rules   robots
	queue   []visit
	at      int // in the queue
	seen    map[string]bool
	entries map[string]source.Entry
	left    map[string]int // pages that were left out, by reason
	out     map[string]bool
	variant map[string]variant
	missed  []string
	misses  int
	broken  int   // in a row
	start   error // why the first page cannot be read
}

// visit is a page to ask for.
type visit struct {
	key   string // its address
	depth int    // links away from where reading begins
	from  string // the known page that leads here for good
	hops  int
}

// variant is a page that names another as the canonical one.
type variant struct {
	entry      source.Entry
	of         string
	validators source.Validators
	links      []string
}

// hub is a page that is no document, but leads to some.
type hub struct{ links []string }

// List asks for every page that is known, and for what they and the sitemap lead to. After some hundreds of new pages it
// returns with these; the next call goes on.
func (s *Source) List(ctx context.Context) (l source.Listing, err error) {
	defer func() {
		if err != nil {
			s.walk = nil
		}
	}()
	if s.spool == nil {
		if s.spool, err = source.NewSpool(s.dir); err != nil {
			return l, err
		}
	}
	if err := s.spool.Reset(); err != nil {
		return l, err
	}
	if s.walk == nil {
		if err := s.begin(ctx); err != nil {
			return l, err
		}
	}
	w := s.walk
	l = source.Listing{Entries: map[string]source.Entry{}, Root: w.root}
	for w.at < len(w.queue) {
		if s.spool.Full() {
			l.More, l.Note = true, fmt.Sprintf("reading: %d pages so far", len(w.entries))
			return l, nil
		}
		v := w.queue[w.at]
		w.at++
		if err := s.visit(ctx, w, v, l.Entries); err != nil {
			return l, err
		}
		if w.broken >= maxBroken {
			w.missed = append(w.missed, "the site stopped answering")
			break
		}
	}
	if more := w.misses - examples; more > 0 {
		w.missed = append(w.missed, fmt.Sprintf("and %d more", more))
	}
	s.settle(w)
	if len(w.entries) == 0 && w.start != nil {
		return l, w.start
	}
	l.Entries, l.Note, l.Missed, l.Owes = w.entries, w.note(), w.missed, len(s.owed) > 0
	s.walk, s.done = nil, w.root
	return l, nil
}

// settle decides what only the end tells: which variants have their page, and what is still owed.
func (s *Source) settle(w *walk) {
	for key, v := range w.variant {
		if w.entries[v.of].Key != "" {
			w.left["that name another as canonical"]++
			s.remember(key, v.validators, append(v.links, v.of))
		} else {
			w.entries[key] = v.entry
		}
	}
	for _, v := range w.queue[w.at:] {
		s.owe(v.key)
	}
	s.fresh = map[string]bool{}
	for key := range w.entries {
		if _, known := s.known[key]; !known {
			s.fresh[key] = true
		}
	}
	for key := range s.hubs {
		if !w.seen[key] {
			delete(s.hubs, key)
		}
	}
}

// owe remembers a page that was found and not read.
func (s *Source) owe(key string) {
	if _, known := s.known[key]; !known {
		s.owed[key] = true
	}
}

// begin reads robots.txt and the sitemap, and queues what is known first.
func (s *Source) begin(ctx context.Context) error {
	s.asker.Interval = s.interval
	if err := s.readRobots(ctx); err != nil {
		return err
	}
	s.asker.Interval = max(s.interval, s.rules.value.delay)
	w := &walk{root: s.root(), rules: s.rules.value, seen: map[string]bool{}, entries: map[string]source.Entry{}, left: map[string]int{}, out: map[string]bool{}, variant: map[string]variant{}}
	w.whole = w.root == s.done || w.root == s.cursor
	s.walk = w
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		if u, err := url.Parse(key); err == nil {
			depth, _ := recalled(s.known[key].Fingerprint)
			s.enqueue(w, s.scope.within(u), depth)
		}
	}
	for key := range s.owed {
		s.enqueue(w, mustParse(key), 0)
	}
	for key := range s.fresh {
		s.enqueue(w, mustParse(key), 0)
	}
	clear(s.owed)
	s.enqueue(w, s.scope.start, 0)
	if len(w.queue) == 0 && !w.rules.allows(s.scope.start) {
		w.start = fault.New(fault.Denied, "source_robots", "%s is forbidden by the site's robots.txt", fetch.Shown(s.scope.start))
	}
	return s.readSitemaps(ctx)
}

// root names what is read, and all by which it is decided what belongs to it: were that another, pages that did not change
// would lead to others than before.
func (s *Source) root() string {
	raw, err := json.Marshal([]any{s.config.Sitemap, s.config.Depth, s.config.MaxPages, s.config.UserAgent, s.patterns, fmt.Sprint(s.rules.value.rules)})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return s.scope.start.String() + " " + hex.EncodeToString(sum[:8])
}

// enqueue takes a page in that was not seen yet, may be asked for, and is one of those that are wanted. nil is no page.
func (s *Source) enqueue(w *walk, u *url.URL, depth int) {
	if u == nil || asset(u) || s.avoids(u) {
		return
	}
	key := u.String()
	switch {
	case w.seen[key]:
	case !w.rules.allows(u):
		s.leave(w, key, "forbidden by robots.txt")
	case len(w.seen) >= s.config.MaxPages:
		s.leave(w, key, "beyond max_pages")
	default:
		w.seen[key] = true
		w.queue = append(w.queue, visit{key: key, depth: depth})
	}
}

// leave counts a page that is not asked for, once. Of endless ones it counts as many as would be asked for.
func (s *Source) leave(w *walk, key, reason string) {
	if !w.out[key] && len(w.out) < s.config.MaxPages {
		w.out[key] = true
		w.left[reason]++
	}
}

// visit asks for one page. An error ends the whole comparison.
func (s *Source) visit(ctx context.Context, w *walk, v visit, part map[string]source.Entry) error {
	u, err := url.Parse(v.key)
	if err != nil {
		return nil
	}
	item, known := s.known[v.key]
	validators := s.hubs[v.key].validators
	if known {
		_, validators = recalled(item.Fingerprint)
	}
	if !w.whole {
		validators = source.Validators{}
	}
	header := validators.Header()
	header.Set("Accept", "text/html, application/xhtml+xml, application/pdf, text/markdown, text/plain, */*;q=0.5")
	res, err := s.asker.Get(ctx, u, header)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.miss(w, v, u, err, part)
		return nil
	}
	defer source.Leave(res)
	switch status := res.StatusCode; {
	case status == http.StatusNotModified:
		w.broken = 0
		if !known {
			for _, link := range s.hubs[v.key].value.links {
				if to, err := url.Parse(link); err == nil && v.depth < s.config.Depth {
					s.enqueue(w, to, v.depth+1)
				}
			}
			return nil
		}
		if said(res.Header, s.config.UserAgent).noindex {
			w.left["that say noindex"]++
			return nil
		}
		s.keep(w, v, part)
	case status == http.StatusOK:
		w.broken = 0
		return s.take(ctx, w, v, u, res, part)
	case status >= 300 && status < 400:
		w.broken = 0
		return s.follow(ctx, w, v, u, res, part)
	case status == http.StatusNotFound, status == http.StatusGone, status == http.StatusUnavailableForLegalReasons:
		w.broken = 0
		if v.key == s.scope.start.String() {
			w.start = answered(u, status)
		}
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		w.broken++ // of one page it says nothing about others, of many in a row it does
		w.left["that are refused"]++
		if v.key == s.scope.start.String() {
			w.start = answered(u, status)
		}
		s.keep(w, v, part)
	default:
		s.miss(w, v, u, answered(u, status), part)
	}
	return nil
}

// keep leaves a known page as it is, and one that leads to it for good.
func (s *Source) keep(w *walk, v visit, part map[string]source.Entry) {
	for _, key := range []string{v.key, v.from} {
		item, known := s.known[key]
		if !known || !s.wants(mustParse(key)) {
			continue
		}
		e := source.Entry{Key: key, Fingerprint: item.Fingerprint, Identity: item.Identity, Sidecar: item.Sidecar}
		w.entries[key], part[key] = e, e
	}
}

func mustParse(key string) *url.URL {
	u, err := url.Parse(key)
	if err != nil {
		return &url.URL{}
	}
	return u
}

// miss notes a page that cannot be read now: nothing is taken for gone then.
func (s *Source) miss(w *walk, v visit, u *url.URL, err error, part map[string]source.Entry) {
	w.broken++
	w.misses++
	text := fault.As(err).Text
	if len(w.missed) < examples {
		w.missed = append(w.missed, text)
	}
	if v.key == s.scope.start.String() {
		w.start = err
	}
	s.owe(v.key)
	s.keep(w, v, part)
}

// follow goes where a page leads. For good, the page is another now, and its document is renamed; for a time, what is known
// of it stays.
func (s *Source) follow(ctx context.Context, w *walk, v visit, u *url.URL, res *http.Response, part map[string]source.Entry) error {
	good := res.StatusCode == http.StatusMovedPermanently || res.StatusCode == http.StatusPermanentRedirect
	to, err := res.Location()
	source.Leave(res)
	if err != nil {
		s.miss(w, v, u, answered(u, res.StatusCode), part)
		return nil
	}
	next := s.scope.within(to)
	if next == nil && v.key == s.scope.start.String() {
		w.start = outside(u, to)
	}
	if !good || v.hops >= maxHops || next != nil && next.String() == v.key {
		s.keep(w, v, part)
	}
	if next == nil {
		w.left["that lead elsewhere"]++
		return nil
	}
	queued := len(w.queue)
	s.enqueue(w, next, v.depth)
	if len(w.queue) == queued || v.hops >= maxHops {
		return nil
	}
	w.queue = w.queue[:queued] // it is visited now
	moved := visit{key: next.String(), depth: v.depth, hops: v.hops + 1}
	if good {
		moved.from = v.from
		if _, known := s.known[v.key]; known {
			moved.from = v.key
		}
	}
	if v.key == s.scope.start.String() {
		defer func() {
			if w.entries[moved.key].Key == "" && w.start == nil {
				w.start = fault.New(fault.Conflict, "source_moved", "%s leads to %s, which is no page that is taken", fetch.Shown(u), fetch.Shown(next))
			}
		}()
	}
	return s.visit(ctx, w, moved, part)
}

// note says what a comparison came to.
func (w *walk) note() string {
	text := fmt.Sprintf("%d pages", len(w.entries))
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(w.left)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", w.left[reason], reason))
	}
	if len(reasons) > 0 {
		text += "; left out: " + strings.Join(reasons, ", ")
	}
	return text
}
