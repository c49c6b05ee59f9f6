package web

import (
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/idna"

	"airfield/internal/fetch"
)

// maxKey is how long an address may be: it is the key of a document.
const maxKey = 1024

// canonical brings an address into the one form in which two of the same are equal: scheme and host in lower case, no
// default port, no fragment, a path, and escapes only where they are needed. Queries are left as they are.
func canonical(u *url.URL) *url.URL {
	c := *u
	c.Scheme = strings.ToLower(c.Scheme)
	host := strings.TrimSuffix(strings.ToLower(c.Hostname()), ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := c.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[c.Scheme] {
		host += ":" + port
	}
	c.Host, c.Fragment, c.RawFragment, c.ForceQuery = host, "", "", false
	if c.Path == "" {
		c.Path = "/"
	}
	if !strings.Contains(strings.ToLower(c.RawPath), "%2f") {
		c.RawPath = "" // escapes that change nothing
	}
	return &c
}

// scope is the part of a site that a source reads.
type scope struct {
	start *url.URL
	below string // a path that ends with a slash
	alone string // the path itself without it, where there is one
}

// newScope takes what is below the path of an address: below its folder, where it names a file.
func newScope(start *url.URL) scope {
	s := scope{start: start, below: start.Path}
	switch last := path.Base(start.Path); {
	case strings.HasSuffix(start.Path, "/"):
	case strings.Contains(last, "."):
		s.below = strings.TrimSuffix(start.Path, last)
	default:
		s.below, s.alone = start.Path+"/", start.Path
	}
	return s
}

// resolve reads a link of a page. It is nil for what is no page of this part of the site.
func (s scope) resolve(base *url.URL, link string) *url.URL {
	ref, err := url.Parse(strings.TrimSpace(link))
	if err != nil {
		return nil
	}
	return s.within(base.ResolveReference(ref))
}

// within is an address in its canonical form, or nil where it is outside. Sites that moved to https link to themselves with
// http all the same.
func (s scope) within(u *url.URL) *url.URL {
	if u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Hostname() == "" {
		return nil
	}
	c := canonical(u)
	if s.start.Scheme == "https" && c.Scheme == "http" && c.Port() == "" && s.start.Port() == "" {
		c.Scheme = "https"
	}
	if !fetch.SameOrigin(c, s.start) || !strings.HasPrefix(c.Path, s.below) && (s.alone == "" || c.Path != s.alone) || len(c.String()) > maxKey {
		return nil
	}
	return c
}

// alike reports whether two addresses differ in nothing but the query, a slash at the end, or the name of an index page.
func alike(a, b *url.URL) bool {
	plain := func(p string) string {
		for _, index := range []string{"/index.html", "/index.htm", "/index.php"} {
			p = strings.TrimSuffix(p, index)
		}
		return strings.TrimRight(p, "/")
	}
	return fetch.SameOrigin(a, b) && plain(a.Path) == plain(b.Path)
}

// assets are endings of what is never a document.
var assets = map[string]bool{
	".css": true, ".js": true, ".mjs": true, ".map": true, ".wasm": true, ".png": true, ".jpg": true, ".jpeg": true, ".gif": true, ".svg": true, ".webp": true,
	".avif": true, ".ico": true, ".bmp": true, ".tif": true, ".tiff": true, ".woff": true, ".woff2": true, ".ttf": true, ".otf": true, ".eot": true, ".mp3": true, ".mp4": true,
	".m4a": true, ".m4v": true, ".webm": true, ".ogg": true, ".ogv": true, ".wav": true, ".avi": true, ".mov": true, ".zip": true, ".gz": true, ".tgz": true, ".bz2": true,
	".xz": true, ".7z": true, ".rar": true, ".tar": true, ".dmg": true, ".exe": true, ".msi": true, ".deb": true, ".rpm": true, ".iso": true, ".jar": true, ".apk": true,
}

func asset(u *url.URL) bool { return assets[strings.ToLower(path.Ext(u.Path))] }
