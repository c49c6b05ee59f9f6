package web

import (
	"bufio"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/net/html/charset"
)

// Limits of sitemaps: sitemaps.org allows 50 MB and 50,000 addresses in each.
const (
	maxSitemapBytes = 50 << 20
	maxSitemapURLs  = 50_000
	maxSitemapDepth = 16  // of elements
	maxSitemaps     = 500 // that an index may lead to
	maxIndexDepth   = 3
)

// listed is an address that a sitemap names.
type listed struct {
	address  string
	modified time.Time
}

// sitemap is what one file says: pages, or other sitemaps.
type sitemap struct {
	pages []listed
	more  []string
}

var errNoSitemap = errors.New("it is no sitemap")

// parseSitemap reads a sitemap, an index of them, or a list with one address a line, packed or not.
func parseSitemap(r io.Reader) (s sitemap, err error) {
	plain := bufio.NewReader(r)
	if magic, _ := plain.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(plain)
		if err != nil {
			return s, err
		}
		plain = bufio.NewReader(z)
	}
	limited := &io.LimitedReader{R: plain, N: maxSitemapBytes}
	buffered := bufio.NewReader(limited)
	head, _ := buffered.Peek(512)
	begin := strings.TrimSpace(strings.TrimPrefix(string(head), "\uFEFF"))
	switch {
	case strings.HasPrefix(begin, "<"):
		s, err = parseXML(buffered)
	case strings.HasPrefix(begin, "http://"), strings.HasPrefix(begin, "https://"):
		s, err = parseLines(buffered)
	default:
		return s, errNoSitemap
	}
	if err != nil && limited.N <= 0 {
		err = fmt.Errorf("it has more than %d bytes", maxSitemapBytes)
	}
	return s, err
}

func parseLines(r io.Reader) (s sitemap, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() && len(s.pages) < maxSitemapURLs {
		if text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\uFEFF")); text != "" {
			s.pages = append(s.pages, listed{address: text})
		}
	}
	return s, lines.Err()
}

// parseXML reads element by element. Go's reader knows no entities of a document's own, so that none can grow.
func parseXML(r io.Reader) (s sitemap, err error) {
	d := xml.NewDecoder(r)
	d.CharsetReader = charset.NewReaderLabel
	var path []string
	var root string
	var one listed
	var text strings.Builder
	for {
		t, err := d.Token()
		switch {
		case err == io.EOF && root == "":
			return s, errNoSitemap
		case err == io.EOF:
			return s, nil
		case err != nil:
			return s, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			if root == "" {
				if root = t.Name.Local; root != "urlset" && root != "sitemapindex" {
					return s, errNoSitemap
				}
			}
			if len(path) > maxSitemapDepth {
				return s, fmt.Errorf("its elements are nested more than %d deep", maxSitemapDepth)
			}
			if len(path) == 2 {
				one = listed{}
			}
			text.Reset()
		case xml.CharData:
			if len(path) == 3 && text.Len()+len(t) <= 4096 {
				text.Write(t)
			}
		case xml.EndElement:
			if len(path) == 3 {
				switch t.Name.Local {
				case "loc":
					one.address = strings.TrimSpace(text.String())
				case "lastmod":
					one.modified = moment(strings.TrimSpace(text.String()))
				}
			}
			if len(path) == 2 && one.address != "" {
				switch {
				case root == "sitemapindex" && len(s.more) < maxSitemaps:
					s.more = append(s.more, one.address)
				case root == "urlset" && len(s.pages) < maxSitemapURLs:
					s.pages = append(s.pages, one)
				}
			}
			path = path[:len(path)-1]
		}
	}
}

// moment reads a time as sitemaps write it, or nothing.
func moment(text string) time.Time {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
