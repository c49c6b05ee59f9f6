package web

import (
	"bufio"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of robots.txt: RFC 9309 asks for at least 500 KiB.
const (
	maxRobotsBytes = 512 << 10
	maxRules       = 10_000
	maxCrawlDelay  = 30 * time.Second
)

// robots is what a site's robots.txt says to one robot (RFC 9309).
type robots struct {
	rules    []rule
	delay    time.Duration
	sitemaps []string
}

type rule struct {
	pattern string
	allow   bool
}

// parseRobots reads the groups of an agent, or those of everybody where it has none of its own.
func parseRobots(r io.Reader, agent string) robots {
	agent = token(agent)
	var own, all robots
	var sitemaps []string
	mine, everybody, named, specific := false, false, false, false
	lines := bufio.NewScanner(io.LimitReader(r, maxRobotsBytes))
	lines.Buffer(make([]byte, 0, 4096), maxRobotsBytes+1)
	lines.Split(anyLine)
	for lines.Scan() {
		text, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\uFEFF"), "#")
		key, value, ok := strings.Cut(text, ":")
		if !ok {
			continue
		}
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		switch key {
		case "user-agent":
			if !named { // the first line of a group
				mine, everybody = false, false
			}
			named = true
			if value == "*" {
				everybody = true
			} else if agent != "" && token(value) == agent {
				mine, specific = true, true
			}
			continue
		case "sitemap":
			sitemaps = append(sitemaps, value)
			continue // belongs to no group
		case "allow", "disallow", "crawl-delay":
		default:
			continue
		}
		named = false
		if mine {
			own.add(key, value)
		}
		if everybody {
			all.add(key, value)
		}
	}
	said := all
	if specific {
		said = own
	}
	said.sitemaps = sitemaps
	return said
}

func (r *robots) add(key, value string) {
	switch {
	case key == "crawl-delay":
		if n, err := strconv.ParseFloat(value, 64); err == nil && n > 0 {
			r.delay = time.Duration(min(n, maxCrawlDelay.Seconds()) * float64(time.Second))
		}
	case value != "" && len(r.rules) < maxRules: // an empty one forbids nothing
		r.rules = append(r.rules, rule{decoded(value), key == "allow"})
	}
}

// token is the part of a user agent that robots.txt names: letters, dashes and underscores.
func token(agent string) string {
	end := strings.IndexFunc(agent, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_') })
	if end >= 0 {
		agent = agent[:end]
	}
	return strings.ToLower(agent)
}

// anyLine splits at CR, LF and both.
func anyLine(data []byte, atEOF bool) (int, []byte, error) {
	for i, b := range data {
		if b == '\n' || b == '\r' {
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// allows finds the longest rule that matches; of two as long the one that allows.
func (r robots) allows(u *url.URL) bool {
	target := decoded(u.EscapedPath())
	if u.RawQuery != "" {
		target += "?" + decoded(u.RawQuery)
	}
	if target == "/robots.txt" {
		return true
	}
	allowed, longest := true, -1
	for _, rule := range r.rules {
		n := len(rule.pattern)
		if n < longest || n == longest && !rule.allow || !matches(rule.pattern, target) {
			continue
		}
		allowed, longest = rule.allow, n
	}
	return allowed
}

// decoded makes escaped and plain text comparable; a path's escaped slash stays.
func decoded(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "%2f", "%252F"), "%2F", "%252F")
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// matches compares from the beginning: * is any text, $ at the end is the end. It takes the product of both lengths at
// most, whatever a site writes.
func matches(pattern, target string) bool {
	ends := strings.HasSuffix(pattern, "$")
	parts := strings.Split(strings.TrimSuffix(pattern, "$"), "*")
	if !strings.HasPrefix(target, parts[0]) {
		return false
	}
	rest := target[len(parts[0]):]
	for i, part := range parts[1:] {
		if ends && i == len(parts)-2 {
			return strings.HasSuffix(rest, part)
		}
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return !ends || rest == "" || len(parts) > 1 && parts[len(parts)-1] == ""
}
