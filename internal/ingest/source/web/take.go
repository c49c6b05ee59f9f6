package web

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"airfield/internal/fault"
	"airfield/internal/fetch"
	"airfield/internal/ingest/source"
)

// kinds are the media types that are taken.
var kinds = map[string]bool{
	"text/html": true, "application/xhtml+xml": true, "application/pdf": true, "text/markdown": true, "text/x-markdown": true, "text/plain": true,
	"text/csv": true, "text/tab-separated-values": true, "message/rfc822": true,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   true,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": true,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         true,
}

// endings stand for a type where a server tells none.
var endings = map[string]string{
	".html": "text/html", ".htm": "text/html", ".pdf": "application/pdf", ".md": "text/markdown", ".markdown": "text/markdown", ".txt": "text/plain",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

// kindOf is an answer's media type, "" where it is none of those that are taken.
func kindOf(u *url.URL, h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind == "application/octet-stream" || kind == "binary/octet-stream" {
		kind = endings[strings.ToLower(path.Ext(u.Path))]
	}
	if !kinds[kind] {
		return ""
	}
	return kind
}

// take reads a page that is new, or may be.
func (s *Source) take(ctx context.Context, w *walk, v visit, u *url.URL, res *http.Response, part map[string]source.Entry) error {
	kind := kindOf(u, res.Header)
	if kind == "" {
		w.left["of other types"]++
		return nil
	}
	kept := source.Kept{Over: res.ContentLength > s.maxBytes}
	if !kept.Over {
		var err error
		if kept, err = s.spool.Put(v.key, res.Body, s.maxBytes); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if fault.As(err).Code != "fetch_failed" {
				return err // our own disk
			}
			s.miss(w, v, u, fault.New(fault.Unavailable, "fetch_failed", "%s broke off", fetch.Shown(u)), part)
			return nil
		}
	}
	if kept.Over {
		res.Body.Close() // not to the end
		if s.wants(u) {
			e := source.Entry{Key: v.key, Fingerprint: tooLarge}
			w.entries[v.key], part[v.key] = e, e
		}
		return nil
	}
	validators := source.ValidatorsOf(res.Header)
	says := said(res.Header, s.config.UserAgent)
	var links []string
	var of *url.URL // the canonical page
	if kind == "text/html" || kind == "application/xhtml+xml" {
		r, _ := s.spool.Open(v.key)
		p := parsePage(r, u, s.config.UserAgent)
		says.noindex, says.nofollow = says.noindex || p.noindex, says.nofollow || p.nofollow
		if v.depth < s.config.Depth && !says.nofollow {
			for _, link := range p.links {
				to := s.scope.resolve(p.base, link)
				s.enqueue(w, to, v.depth+1)
				if to != nil {
					links = append(links, to.String())
				}
			}
		}
		// A page that is another's variant is left to that one.
		if to := s.scope.resolve(p.base, p.canonical); p.canonical != "" && to != nil && to.String() != v.key && alike(to, u) && !says.noindex {
			s.enqueue(w, to, v.depth)
			of = to
		}
	}
	switch {
	case says.noindex:
		w.left["that say noindex"]++
		fallthrough
	case !s.wants(u):
		s.spool.Drop(v.key)
		s.remember(v.key, validators, links)
		return nil
	}
	e := source.Entry{Key: v.key, Fingerprint: fingerprint(kept, v.depth, validators), Size: kept.Size, MediaType: kind}
	if _, known := s.known[v.key]; !known {
		e.From = v.from
	} else if s.known[v.key].Fingerprint == e.Fingerprint {
		s.spool.Drop(v.key)
	}
	if of != nil && w.seen[of.String()] {
		if len(w.variant) >= maxHubs {
			validators, links = source.Validators{}, nil
		}
		w.variant[v.key] = variant{e, of.String(), validators, links}
		return nil
	}
	w.entries[v.key], part[v.key] = e, e
	return nil
}

// remember keeps the links of a page that is no document, so that it need not be read again while it stays the same.
func (s *Source) remember(key string, v source.Validators, links []string) {
	delete(s.hubs, key)
	total := len(links)
	for _, h := range s.hubs {
		total += len(h.value.links)
	}
	if v == (source.Validators{}) || len(s.hubs) >= maxHubs || total > maxHubLinks {
		return
	}
	s.hubs[key] = remembered[hub]{v, hub{links}}
}
