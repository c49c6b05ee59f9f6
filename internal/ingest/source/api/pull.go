package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/fetch"
	"airfield/internal/ingest/source"
)

// pull is one reading of all records, or of those that changed.
type pull struct {
	full    bool
	began   time.Time
	next    *url.URL // nil at the end
	number  int      // of the page
	offset  int
	seen    map[[sha256.Size]byte]bool // what led to a page
	last    [sha256.Size]byte          // of the page before
	entries map[string]source.Entry
	since   string
	left    map[string]int
	missed  string
}

// List reads page by page. After some hundreds of records it returns with these; the next call goes on. A page that cannot
// be read ends it, and nothing is taken for gone.
func (s *Source) List(ctx context.Context) (l source.Listing, err error) {
	defer func() {
		if err != nil {
			s.pull = nil
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
	if s.pull == nil {
		s.begin()
	}
	p := s.pull
	l = source.Listing{Entries: map[string]source.Entry{}, Root: fetch.Shown(s.start)}
	for p.next != nil {
		if s.spool.Full() {
			l.More, l.Note = true, fmt.Sprintf("reading: %d records so far", len(p.entries))
			return l, nil
		}
		if err := s.turn(ctx, p, l.Entries); err != nil {
			if ctx.Err() != nil {
				return l, context.Cause(ctx)
			}
			if p.number == 0 {
				return l, err
			}
			p.missed, p.next = fmt.Sprintf("page %d: %s", p.number+1, fault.As(err).Text), nil
		}
	}
	s.settle(p, &l)
	s.pull = nil
	return l, nil
}

// begin decides whether all is read, or what changed.
func (s *Source) begin() {
	p := &pull{full: true, began: s.now(), seen: map[[sha256.Size]byte]bool{}, entries: map[string]source.Entry{}, left: map[string]int{}, since: s.since}
	taken := true
	for key, print := range s.pending {
		taken = taken && s.known[key].Fingerprint == print
	}
	if s.config.Since.Param != "" && s.since != "" && taken && !s.fullAt.IsZero() && p.began.Sub(s.fullAt) < s.config.Since.Full {
		p.full = false
	}
	since := ""
	if !p.full {
		since = s.since
	}
	p.next = s.first(since)
	s.pull = p
}

// first is the address of the first page.
func (s *Source) first(since string) *url.URL {
	set := map[string]string{}
	c := s.config
	if c.Pages.LimitParam != "" {
		set[c.Pages.LimitParam] = strconv.Itoa(c.Pages.Limit)
	}
	if c.Pages.PageParam != "" {
		set[c.Pages.PageParam] = strconv.Itoa(c.Pages.First)
	}
	if c.Pages.OffsetParam != "" {
		set[c.Pages.OffsetParam] = "0"
	}
	if since != "" {
		set[c.Since.Param] = since
	}
	return with(s.start, set)
}

// with sets parameters of an address.
func with(u *url.URL, set map[string]string) *url.URL {
	c := *u
	q := c.Query()
	for name, value := range set {
		q.Set(name, value)
	}
	c.RawQuery = q.Encode()
	return &c
}

// turn reads one page, and finds the next.
func (s *Source) turn(ctx context.Context, p *pull, part map[string]source.Entry) error {
	if p.number >= s.config.MaxPages {
		return fault.New(fault.TooLarge, "source_pages", "there are more than the %d pages of max_pages", s.config.MaxPages)
	}
	from := sha256.Sum256([]byte(p.next.String()))
	if p.seen[from] {
		return fault.New(fault.Upstream, "source_pages", "it leads back to a page that was read: pages go round in a circle")
	}
	p.seen[from] = true
	a, err := s.page(ctx, p.next)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(a.raw)
	if p.number > 0 && sum == p.last && len(a.records) > 0 {
		return fault.New(fault.Upstream, "source_pages", "it is the same as the one before: the parameter of pages does nothing")
	}
	p.last = sum
	for _, record := range a.records {
		if err := s.take(p, record, part); err != nil {
			return err
		}
	}
	p.number++
	p.offset += len(a.records)
	p.next, err = s.next(p, a)
	return err
}

// next is the address of the page after one; nil where that was the last.
func (s *Source) next(p *pull, a answer) (*url.URL, error) {
	c := s.config.Pages
	short := len(a.records) == 0 || c.LimitParam != "" && len(a.records) < c.Limit
	switch {
	case c.Next != "":
		address := ""
		if c.Next == "link" {
			address = nextLink(a.header.Values("Link"))
		} else {
			address = parsePointer(c.Next).scalar(a.raw)
		}
		if address == "" {
			return nil, nil
		}
		ref, err := url.Parse(address)
		if err != nil {
			return nil, fault.New(fault.Upstream, "source_pages", "the address of the next page cannot be read")
		}
		u := a.address.ResolveReference(ref)
		if !fetch.SameOrigin(u, s.start) || u.User != nil {
			return nil, fault.New(fault.Conflict, "source_pages", "the next page is on another host: %s", fetch.Shown(u))
		}
		return u, nil
	case c.Cursor != "":
		cursor := parsePointer(c.Cursor).scalar(a.raw)
		if cursor == "" {
			return nil, nil
		}
		return with(a.address, map[string]string{c.CursorParam: cursor}), nil
	case c.PageParam != "" && !short:
		return with(a.address, map[string]string{c.PageParam: strconv.Itoa(c.First + p.number)}), nil
	case c.OffsetParam != "" && !short:
		return with(a.address, map[string]string{c.OffsetParam: strconv.Itoa(p.offset)}), nil
	}
	return nil, nil
}

// nextLink finds the address with rel=next in headers Link (RFC 8288).
func nextLink(values []string) string {
	for _, value := range values {
		for value != "" {
			begin := strings.IndexByte(value, '<')
			if begin < 0 {
				break
			}
			end := strings.IndexByte(value[begin:], '>')
			if end < 0 {
				break
			}
			address, rest := value[begin+1:begin+end], value[begin+end+1:]
			params := rest
			if i := strings.IndexByte(rest, '<'); i >= 0 {
				params = rest[:i]
			}
			for param := range strings.SplitSeq(params, ";") {
				name, rel, _ := strings.Cut(strings.Trim(param, " ,\t"), "=")
				if strings.EqualFold(strings.TrimSpace(name), "rel") && slices.Contains(strings.Fields(strings.ToLower(strings.Trim(rel, ` "`))), "next") {
					return address
				}
			}
			value = rest[len(params):]
		}
	}
	return ""
}

// take brings one record in. An error is one of our own disk.
func (s *Source) take(p *pull, raw json.RawMessage, part map[string]source.Entry) error {
	text, err := canonical(raw)
	if err != nil {
		p.left["that are no objects"]++
		return nil
	}
	key, ok := s.keyOf(raw)
	switch {
	case !ok:
		p.left["without a key"]++
		return nil
	case !s.globs.Want(key):
		p.left["excluded"]++
		return nil
	}
	if f := s.config.Since.Field; f != "" {
		if at := parsePointer(f).scalar(raw); later(p.since, at) {
			p.since = at
		}
	}
	if _, twice := p.entries[key]; twice {
		p.left["twice, of which the later counts"]++
		s.spool.Drop(key)
	}
	if s.config.Deleted != "" && parsePointer(s.config.Deleted).truth(raw) {
		p.entries[key] = source.Entry{} // gone
		delete(part, key)
		return nil
	}
	e := source.Entry{Key: key, Fingerprint: tooLarge, MediaType: mediaType}
	if int64(len(text)) <= s.maxBytes {
		kept, err := s.spool.Put(key, bytes.NewReader(text), s.maxBytes)
		if err != nil {
			return err
		}
		e.Fingerprint, e.Size = fingerprint(kept), kept.Size
		if s.known[key].Fingerprint == e.Fingerprint {
			s.spool.Drop(key)
		}
	}
	p.entries[key], part[key] = e, e
	return nil
}

// settle makes the listing of what was read: what was not asked for stays as it is.
func (s *Source) settle(p *pull, l *source.Listing) {
	l.Entries = p.entries
	absent := map[string]bool{}
	// Records move from page to page while pages of numbers are read: what is not seen once may have been on neither.
	moving := p.number > 1 && (s.config.Pages.PageParam != "" || s.config.Pages.OffsetParam != "")
	for key, item := range s.known {
		if _, listed := p.entries[key]; listed || !s.globs.Want(key) {
			continue
		}
		if p.full && (!moving || s.absent[key]) {
			continue
		}
		absent[key] = p.full
		l.Entries[key] = source.Entry{Key: key, Fingerprint: item.Fingerprint, Identity: item.Identity, Sidecar: item.Sidecar}
	}
	maps.DeleteFunc(l.Entries, func(_ string, e source.Entry) bool { return e.Key == "" })
	l.Note = p.note(len(l.Entries))
	s.pending = map[string]string{}
	for key, e := range l.Entries {
		if s.known[key].Fingerprint != e.Fingerprint && e.Fingerprint != tooLarge {
			s.pending[key] = e.Fingerprint
		}
	}
	if p.missed != "" {
		l.Missed = []string{p.missed}
		s.fullAt = time.Time{}
		return
	}
	s.since = p.since
	if p.full {
		s.fullAt, s.absent = p.began, absent
		if len(absent) > 0 {
			s.fullAt = time.Time{} // the next one tells
		}
	}
}

func (p *pull) note(records int) string {
	text := fmt.Sprintf("%d records", records)
	if !p.full {
		text += ", asked for what changed"
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(p.left)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", p.left[reason], reason))
	}
	if len(reasons) > 0 {
		text += "; left out: " + strings.Join(reasons, ", ")
	}
	return text
}
