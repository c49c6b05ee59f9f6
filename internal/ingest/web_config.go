package ingest

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"airfield/internal/fetch"
	"airfield/internal/secret"
)

// WebConfig is a web site that is read.
type WebConfig struct {
	URL       string                  `yaml:"url" json:"url" doc:"Where it begins: what is on this host and below this path is read."`
	Sitemap   string                  `yaml:"sitemap" json:"sitemap,omitempty" doc:"The address of its sitemap, or none. Where empty, what robots.txt names, else /sitemap.xml where there is one."`
	Depth     int                     `yaml:"depth" json:"depth,omitempty" doc:"How many links away from url and from the sitemap's pages it is read; 16 where 0, and -1 follows no link."`
	MaxPages  int                     `yaml:"max_pages" json:"max_pages,omitempty" doc:"How many pages are asked for in one comparison; 10000 where 0."`
	Rate      float64                 `yaml:"rate" json:"rate,omitempty" doc:"Requests a second at most, one at a time; 2 where 0."`
	UserAgent string                  `yaml:"user_agent" json:"user_agent,omitempty" doc:"Whom the site sees, and whose rules in robots.txt count; airfield where empty."`
	Headers   map[string]secret.Value `yaml:"headers" json:"headers,omitempty" doc:"Headers of its requests, each env:NAME or file:PATH; no other host gets them."`
	Allow     []string                `yaml:"allow" json:"allow,omitempty" doc:"Networks, addresses and hosts that may be reached though they are not on the internet."`
	Timeout   time.Duration           `yaml:"timeout" json:"timeout,omitempty" doc:"How long one page may take; 5m where 0."`
}

func (c WebConfig) check() error {
	if err := checkAddress(c.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if c.Sitemap != "" && c.Sitemap != "none" {
		if err := checkAddress(c.Sitemap); err != nil {
			return fmt.Errorf("sitemap: %w; or write none", err)
		}
	}
	switch {
	case c.Depth < -1 || c.Depth > 1000:
		return fmt.Errorf("depth: -1 to 1000, not %d", c.Depth)
	case c.MaxPages < 0 || c.MaxPages > 1_000_000:
		return fmt.Errorf("max_pages: 1 to 1000000, not %d", c.MaxPages)
	}
	return checkAsking(c.Rate, c.UserAgent, c.Headers, c.Allow, c.Timeout)
}

// checkAddress refuses what is no address of the web, and what holds a password.
func checkAddress(text string) error {
	if text == "" {
		return fmt.Errorf("an address is missing, such as https://docs.example.org/")
	}
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("it is no address such as https://docs.example.org/")
	}
	return fetch.Plain(u)
}

// checkAsking is of what all sources have that ask over HTTP.
func checkAsking(rate float64, agent string, headers map[string]secret.Value, allow []string, timeout time.Duration) error {
	switch {
	case !(rate >= 0 && rate <= 1000):
		return fmt.Errorf("rate: above 0 and at most 1000 requests a second, not %v", rate)
	case timeout < 0 || timeout > time.Hour:
		return fmt.Errorf("timeout: at most 1h, not %s", timeout)
	case strings.ContainsFunc(agent, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Errorf("user_agent: printable ASCII only")
	}
	for name := range headers {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r) }) {
			return fmt.Errorf("headers: %q is no name of a header", name)
		}
		switch strings.ToLower(name) {
		case "host", "user-agent", "content-length", "transfer-encoding", "connection", "accept-encoding", "range", "if-none-match", "if-modified-since":
			return fmt.Errorf("headers: %s is set by Airfield itself", name)
		}
	}
	if _, err := fetch.ParseAllow(allow); err != nil {
		return fmt.Errorf("allow: %w", err)
	}
	return nil
}

// Reveal reads headers whose values are secrets, for who sends them. What is kept of a configuration are references.
func Reveal(headers map[string]secret.Value) (map[string]string, error) {
	plain := map[string]string{}
	for name, value := range headers {
		if value.Empty() {
			if err := value.Resolve(""); err != nil {
				return nil, fmt.Errorf("headers.%s: %w", name, err)
			}
		}
		if value.Empty() {
			return nil, fmt.Errorf("headers.%s: %s is not set or empty", name, value.Ref())
		}
		if strings.ContainsAny(value.Reveal(), "\r\n\x00") {
			return nil, fmt.Errorf("headers.%s: %s holds more than one line", name, value.Ref())
		}
		plain[name] = value.Reveal()
	}
	return plain, nil
}
