// Package api is the source that is a JSON API: it reads a list of records page by page. Each record is an item of its own,
// named by its key: one JSON object.
package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/fetch"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

const (
	defaultInterval = time.Hour
	defaultFull     = 24 * time.Hour
	retry           = 15 * time.Minute
	defaultRate     = 2
	defaultPages    = 10_000
	maxPageBytes    = 32 << 20
	maxKey          = 1024
	mediaType       = "application/json"
)

// Source is a source.Backend and a source.Recaller.
type Source struct {
	config   ingest.APIConfig
	start    *url.URL
	items    pointer
	key      []pointer
	asker    *source.Asker
	globs    source.Globs
	maxBytes int64
	dir      string
	spool    *source.Spool
	known    map[string]ingest.Item
	pull     *pull // one under way; nil between two
	now      func() time.Time

	// What a process remembers: it begins with reading all.
	since   string            // the latest change that was seen
	fullAt  time.Time         // when all was read last; zero: it is due
	pending map[string]string // fingerprints of what was given last: whether it was taken is seen at the next
	absent  map[string]bool   // what the last full reading did not find
}

// New makes a source of its configuration. It asks nothing of the API. dir is where records wait to be taken.
func New(c ingest.SourceConfig, maxBytes int64, dir string) (*Source, error) {
	a := *c.API
	a.MaxPages, a.Rate, a.Since.Full = cmp.Or(a.MaxPages, defaultPages), cmp.Or(a.Rate, defaultRate), cmp.Or(a.Since.Full, defaultFull)
	if len(a.Key) == 0 {
		a.Key = []string{"id"}
	}
	if a.Pages.First = cmp.Or(a.Pages.First, 1); a.Pages.First < 0 {
		a.Pages.First = 0
	}
	start, err := url.Parse(a.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "source_api", "api.url cannot be read")
	}
	allow, err := fetch.ParseAllow(a.Allow)
	if err != nil {
		return nil, fault.New(fault.Invalid, "source_api", "api.allow: %w", err)
	}
	headers, err := ingest.Reveal(a.Headers)
	if err != nil {
		return nil, fault.New(fault.Invalid, "source_api", "api.%w", err)
	}
	s := &Source{config: a, start: start, items: parsePointer(a.Items), maxBytes: maxBytes, dir: dir, now: time.Now, asker: &source.Asker{
		Interval: time.Duration(float64(time.Second) / a.Rate),
		Client:   fetch.New(fetch.Config{Allow: allow, UserAgent: "airfield", Origin: start, Headers: headers, Timeout: a.Timeout}),
	}}
	for _, k := range a.Key {
		s.key = append(s.key, parsePointer(k))
	}
	s.globs, err = source.NewGlobs(c)
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

// Keep makes what keeps collections in line with APIs; records wait in dir until they are taken.
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

// Reach reports whether the API of a configuration answers with a list of records.
func Reach(ctx context.Context, c ingest.SourceConfig) error {
	s, err := New(c, 0, "")
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.page(ctx, s.first(""))
	return err
}

// Recall is told what was seen last.
func (s *Source) Recall(items map[string]ingest.Item, _ string) { s.known = items }

// Open reads a record as it was listed.
func (s *Source) Open(_ context.Context, e source.Entry) (io.ReadCloser, func() error, error) {
	verify := func() error { return nil }
	if e.Fingerprint == tooLarge {
		return nil, verify, fault.New(fault.TooLarge, "file_too_large", "the record has more than the %d bytes that the collection takes", s.maxBytes)
	}
	if r, ok := s.spool.Open(e.Key); ok {
		return r, verify, nil
	}
	return nil, verify, fault.New(fault.Unavailable, "source_record", "the record could not be taken when it was read; it is read again at the next comparison")
}

// Sidecar is nil: records have none.
func (s *Source) Sidecar(context.Context, source.Entry) ([]byte, error) { return nil, nil }

// tooLarge stands for the fingerprint of a record that the collection does not take.
const tooLarge = "0:too_large"

// keyOf is a record's name: its key, escaped, and of several fields with commas between, which escaping leaves to no field.
func (s *Source) keyOf(raw json.RawMessage) (string, bool) {
	parts := make([]string, len(s.key))
	for i, p := range s.key {
		if parts[i] = url.PathEscape(p.scalar(raw)); parts[i] == "" {
			return "", false
		}
	}
	key := strings.Join(parts, ",") + ".json"
	return key, len(key) <= maxKey
}

// answer is one page.
type answer struct {
	raw     json.RawMessage
	records []json.RawMessage
	header  http.Header
	address *url.URL
}

// page asks for one. Redirects are followed on the same host.
func (s *Source) page(ctx context.Context, u *url.URL) (a answer, err error) {
	header := http.Header{"Accept": {"application/json"}}
	for hop := 0; ; hop++ {
		res, err := s.asker.Get(ctx, u, header)
		if err != nil {
			return a, err
		}
		if res.StatusCode >= 300 && res.StatusCode < 400 {
			to, err := res.Location()
			source.Leave(res)
			if err != nil || hop == 5 || !fetch.SameOrigin(to, s.start) {
				return a, fault.New(fault.Conflict, "source_moved", "%s leads elsewhere (status %d)", fetch.Shown(u), res.StatusCode).Hinted("make that the url of the source, if it is meant")
			}
			u = to
			continue
		}
		if res.StatusCode != http.StatusOK {
			source.Leave(res)
			return a, fault.New(fault.Unavailable, "source_status", "%s answers with status %d", fetch.Shown(u), res.StatusCode)
		}
		raw, err := io.ReadAll(io.LimitReader(res.Body, maxPageBytes+1))
		res.Body.Close()
		if err != nil {
			return a, err
		}
		if len(raw) > maxPageBytes {
			return a, fault.New(fault.TooLarge, "source_page", "a page of %s has more than %d bytes", fetch.Shown(u), maxPageBytes).Hinted("ask for fewer records a page: pages.limit")
		}
		return s.read(answer{raw: raw, header: res.Header, address: u})
	}
}

// read finds the records of a page.
func (s *Source) read(a answer) (answer, error) {
	if !json.Valid(a.raw) {
		return a, fault.New(fault.Upstream, "source_page", "%s does not answer with JSON", fetch.Shown(a.address))
	}
	list, ok := s.items.in(a.raw)
	if ok && string(bytes.TrimSpace(list)) == "null" {
		return a, nil
	}
	if !ok || json.Unmarshal(list, &a.records) != nil {
		return a, fault.New(fault.Upstream, "source_page", "%s answers with no list at %q", fetch.Shown(a.address), cmp.Or(s.config.Items, "/")).Hinted("items says where in an answer the list of records is")
	}
	return a, nil
}

func fingerprint(k source.Kept) string { return fmt.Sprintf("%d:%s", k.Size, k.SHA256[:32]) }
