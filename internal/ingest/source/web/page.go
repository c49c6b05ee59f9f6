package web

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Limits of what is looked at in one page for its links.
const (
	maxLinkBytes = 10 << 20
	maxLinks     = 10_000
)

// directives are what a page says to robots.
type directives struct{ noindex, nofollow bool }

func (d *directives) read(text string) {
	for word := range strings.SplitSeq(strings.ToLower(text), ",") {
		switch strings.TrimSpace(word) {
		case "noindex":
			d.noindex = true
		case "nofollow":
			d.nofollow = true
		case "none":
			d.noindex, d.nofollow = true, true
		}
	}
}

// said reads X-Robots-Tag, whose values may name whom they are for: "otherbot: noindex".
func said(h http.Header, agent string) (d directives) {
	for _, value := range h.Values("X-Robots-Tag") {
		if name, rest, ok := strings.Cut(value, ":"); ok && !strings.Contains(name, ",") {
			switch name = strings.ToLower(strings.TrimSpace(name)); {
			case name == "unavailable_after" || strings.HasPrefix(name, "max-"):
			case name != token(agent):
				continue
			default:
				value = rest
			}
		}
		d.read(value)
	}
	return d
}

// page is what is read in an HTML page besides its text.
type page struct {
	directives
	base      *url.URL
	links     []string
	canonical string
}

// parsePage looks for links, for what a page says to robots, and for its canonical address.
func parsePage(r io.Reader, address *url.URL, agent string) page {
	p := page{base: address}
	z := html.NewTokenizer(io.LimitReader(r, maxLinkBytes))
	z.SetMaxBuf(1 << 20)
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return p
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		name, more := z.TagName()
		tag := atom.Lookup(name)
		switch tag {
		case atom.A, atom.Area, atom.Link, atom.Meta, atom.Base, atom.Iframe:
		default:
			continue
		}
		attrs := map[string]string{}
		for more {
			var key, value []byte
			key, value, more = z.TagAttr()
			switch k := string(key); k {
			case "href", "src", "rel", "name", "content":
				if _, twice := attrs[k]; !twice {
					attrs[k] = string(value)
				}
			}
		}
		p.tag(tag, attrs, address, agent)
	}
}

func (p *page) tag(tag atom.Atom, attrs map[string]string, address *url.URL, agent string) {
	rel := strings.Fields(strings.ToLower(attrs["rel"]))
	is := func(word string) bool {
		for _, r := range rel {
			if r == word {
				return true
			}
		}
		return false
	}
	link := attrs["href"]
	switch tag {
	case atom.Meta:
		if name := strings.ToLower(attrs["name"]); name == "robots" || name == token(agent) {
			p.read(attrs["content"])
		}
		return
	case atom.Base:
		if ref, err := url.Parse(strings.TrimSpace(link)); err == nil && link != "" {
			p.base = address.ResolveReference(ref)
		}
		return
	case atom.Link:
		if is("canonical") && p.canonical == "" {
			p.canonical = link
		}
		if !is("next") && !is("prev") {
			return
		}
	case atom.Iframe:
		link = attrs["src"]
	}
	if link != "" && !is("nofollow") && len(p.links) < maxLinks && len(link) <= maxKey*2 {
		p.links = append(p.links, link)
	}
}
