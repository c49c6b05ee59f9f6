package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func parse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOneAddressHasOneForm(t *testing.T) {
	for from, want := range map[string]string{
		"HTTPS://Docs.Example.org:443/a/#part": "https://docs.example.org/a/",
		"http://example.org:80":                "http://example.org/",
		"http://example.org:8080/":             "http://example.org:8080/",
		"http://example.org/a?b=1&utm_id=2":    "http://example.org/a?b=1&utm_id=2",
		"http://example.org/a?":                "http://example.org/a",
		"http://example.org/%7Eme/%61":         "http://example.org/~me/a",
		"http://example.org/a%2Fb":             "http://example.org/a%2Fb",
		"http://bücher.example/":               "http://xn--bcher-kva.example/",
		"http://[2001:db8::1]:80/":             "http://[2001:db8::1]/",
		"http://example.org./":                 "http://example.org/",
	} {
		if got := canonical(parse(t, from)).String(); got != want {
			t.Errorf("%s: %s, not %s", from, got, want)
		}
	}
}

func TestWhatBelongsToASite(t *testing.T) {
	for _, c := range []struct{ start, link, want string }{
		{"https://e.org/", "/a/b", "https://e.org/a/b"},
		{"https://e.org/", "http://e.org/a", "https://e.org/a"},
		{"https://e.org/docs/", "../other", ""},
		{"https://e.org/docs/", "x/../y", "https://e.org/docs/y"},
		{"https://e.org/docs", "/docs", "https://e.org/docs"},
		{"https://e.org/docs", "/docs/a", "https://e.org/docs/a"},
		{"https://e.org/docs", "/docsother", ""},
		{"https://e.org/docs/index.html", "two.html", "https://e.org/docs/two.html"},
		{"https://e.org/", "//evil.example/", ""},
		{"https://e.org/", "https://e.org.evil.example/", ""},
		{"https://e.org/", "https://e.org:8443/", ""},
		{"https://e.org/", "https://me:pw@e.org/", ""},
		{"https://e.org/", "javascript:alert(1)", ""},
		{"https://e.org/", "mailto:a@e.org", ""},
		{"https://e.org/", "file:///etc/passwd", ""},
		{"https://e.org/", "%zz", ""},
		{"https://e.org/", "/" + strings.Repeat("a", maxKey), ""},
	} {
		start := canonical(parse(t, c.start))
		got := ""
		if u := newScope(start).resolve(start, c.link); u != nil {
			got = u.String()
		}
		if got != c.want {
			t.Errorf("%s of %s: %q, not %q", c.link, c.start, got, c.want)
		}
	}
}

func TestRobots(t *testing.T) {
	const text = "\uFEFF# comment\r\nUser-agent: other\nUser-agent: Airfield/2.0\nDisallow: /private # no\nAllow: /private/open\nCrawl-delay: 900\nDisallow: /*.cgi$\nDisallow: /a%2Fb\nDisallow: /ü\n\n" +
		"User-agent: *\nDisallow: /\n\nSitemap: https://e.org/map.xml\nnonsense\nUser-agent: airfield\nDisallow: /again\n"
	r := parseRobots(strings.NewReader(text), "airfield")
	for path, want := range map[string]bool{
		"/": true, "/private": false, "/private/x": false, "/private/open/x": true, "/x.cgi": false, "/x.cgi?a": true, "/again/x": false,
		"/a/b": true, "/a%2fb": false, "/%C3%BC": false, "/robots.txt": true,
	} {
		if got := r.allows(parse(t, "https://e.org"+path)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if r.delay != maxCrawlDelay || len(r.sitemaps) != 1 || r.sitemaps[0] != "https://e.org/map.xml" {
		t.Errorf("%s %q", r.delay, r.sitemaps)
	}
	if all := parseRobots(strings.NewReader(text), "somebody"); all.allows(parse(t, "https://e.org/x")) {
		t.Error("the rules for everybody do not count")
	}
	if none := parseRobots(strings.NewReader("User-agent: *\nDisallow:\n"), "airfield"); !none.allows(parse(t, "https://e.org/x")) {
		t.Error("an empty rule forbids")
	}
	if tie := parseRobots(strings.NewReader("User-agent: *\nDisallow: /p\nAllow: /p\n"), "airfield"); !tie.allows(parse(t, "https://e.org/p")) {
		t.Error("of two equal rules the one that forbids won")
	}
}

func FuzzRobots(f *testing.F) {
	f.Add("User-agent: *\nDisallow: /a*b$\n", "/axb")
	f.Add("User-agent: airfield\rAllow: *\rCrawl-delay: NaN", "/?")
	f.Fuzz(func(t *testing.T, text, path string) {
		r := parseRobots(strings.NewReader(text), "airfield")
		r.allows(&url.URL{Scheme: "https", Host: "e.org", Path: "/" + path})
		if r.delay < 0 || r.delay > maxCrawlDelay || len(r.rules) > maxRules {
			t.Error(r.delay, len(r.rules))
		}
	})
}

func TestSitemaps(t *testing.T) {
	const pages = `<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:i="x"><url><loc> https://e.org/a?x=1&amp;y=2 </loc>
		<lastmod>2026-03-01</lastmod><i:image><i:loc>https://e.org/a.png</i:loc></i:image></url><url><loc><![CDATA[https://e.org/b]]></loc></url></urlset>`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(pages))
	z.Close()
	for name, text := range map[string]string{"plain": pages, "packed": packed.String()} {
		s, err := parseSitemap(strings.NewReader(text))
		if err != nil || len(s.pages) != 2 || s.pages[0].address != "https://e.org/a?x=1&y=2" || s.pages[1].address != "https://e.org/b" ||
			!s.pages[0].modified.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: %+v %v", name, s, err)
		}
	}
	s, err := parseSitemap(strings.NewReader(`<sitemapindex><sitemap><loc>/one.xml</loc></sitemap></sitemapindex>`))
	if err != nil || len(s.more) != 1 || len(s.pages) != 0 {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := parseSitemap(strings.NewReader("https://e.org/a\n\nhttps://e.org/b\n")); err != nil || len(s.pages) != 2 {
		t.Errorf("%+v %v", s, err)
	}
	for name, text := range map[string]string{
		"a page":         "<!doctype html><html><body>not found</body></html>",
		"nothing":        "",
		"an entity bomb": `<!DOCTYPE u [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>`,
		"a file":         `<!DOCTYPE u [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>&f;</loc></url></urlset>`,
		"nested deep":    "<urlset>" + strings.Repeat("<a>", 100000),
		"cut":            `<urlset><url><loc>https://e.org/`,
	} {
		if s, err := parseSitemap(strings.NewReader(text)); err == nil || len(s.pages) != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func FuzzSitemap(f *testing.F) {
	f.Add([]byte(`<urlset><url><loc>https://e.org/</loc><lastmod>x</lastmod></url></urlset>`))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, _ := parseSitemap(bytes.NewReader(raw)); len(s.pages) > maxSitemapURLs || len(s.more) > maxSitemaps {
			t.Error(len(s.pages), len(s.more))
		}
	})
}

func TestWhatAPageSaysBesidesItsText(t *testing.T) {
	p := parsePage(strings.NewReader(`<html><head><base href="/sub/"><link rel="canonical" href="/c"><meta name="ROBOTS" content="noindex, follow">
		<link rel="stylesheet" href="x.css"></head><body><a href="one">1</a><a rel="ugc nofollow" href="no">2</a><A HREF='two?a=1&amp;b=2'>3</A>
		<area href="three"><iframe src="four"></iframe><!-- <a href="comment">x</a> --><script>"<a href='script'>"</script><a>none</a></body>`), parse(t, "https://e.org/x/"), "airfield")
	if got := strings.Join(p.links, " "); got != "one two?a=1&b=2 three four" {
		t.Errorf("links: %s", got)
	}
	if !p.noindex || p.nofollow || p.canonical != "/c" || p.base.String() != "https://e.org/sub/" {
		t.Errorf("%+v", p)
	}
	for value, want := range map[string]directives{
		"noindex": {noindex: true}, "none": {true, true}, "otherbot: noindex": {}, "airfield: noindex, nofollow": {true, true}, "unavailable_after: 25 Jun 2010": {}, "max-snippet:5, noindex": {noindex: true},
	} {
		if got := said(http.Header{"X-Robots-Tag": {value}}, "airfield/1"); got != want {
			t.Errorf("%s: %+v", value, got)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add("<a href=x><base href='%zz'><meta name=robots content=none>")
	f.Fuzz(func(t *testing.T, text string) {
		start := parse(t, "https://e.org/docs/")
		p := parsePage(strings.NewReader(text), start, "airfield")
		for _, link := range p.links {
			if u := newScope(start).resolve(p.base, link); u != nil && (u.Host != "e.org" || !strings.HasPrefix(u.Path, "/docs/")) {
				t.Errorf("%q leads to %s", link, u)
			}
		}
	})
}
