package ingest

import (
	"encoding/json"
	"strings"
	"testing"

	"airfield/internal/secret"
)

func TestWebSourcesAreChecked(t *testing.T) {
	good := func() WebConfig { return WebConfig{URL: "https://docs.example.org/"} }
	if err := (SourceConfig{Web: new(good())}).checkPlace(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(c *WebConfig){
		"url":                               func(c *WebConfig) { c.URL = "" },
		"only http and https":               func(c *WebConfig) { c.URL = "ftp://docs.example.org/" },
		"names no host":                     func(c *WebConfig) { c.URL = "https:///x" },
		"use headers":                       func(c *WebConfig) { c.URL = "https://me:hush@docs.example.org/" },
		"sitemap":                           func(c *WebConfig) { c.Sitemap = "map.xml" },
		"depth":                             func(c *WebConfig) { c.Depth = -2 },
		"max_pages":                         func(c *WebConfig) { c.MaxPages = -1 },
		"rate":                              func(c *WebConfig) { c.Rate = -1 },
		"timeout":                           func(c *WebConfig) { c.Timeout = -1 },
		"user_agent":                        func(c *WebConfig) { c.UserAgent = "a\nb" },
		"set by Airfield":                   func(c *WebConfig) { c.Headers = map[string]secret.Value{"Host": secret.New("x")} },
		"no name of a header":               func(c *WebConfig) { c.Headers = map[string]secret.Value{"A b": secret.New("x")} },
		"neither a network":                 func(c *WebConfig) { c.Allow = []string{"http://x"} },
		"folder, s3, gcs, sql, web and api": func(c *WebConfig) {},
	} {
		c := good()
		change(&c)
		s := SourceConfig{Web: &c}
		if strings.HasPrefix(want, "folder") {
			s.Folder = "x"
		}
		if err := s.checkPlace(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestHeadersAreKeptAsReferences(t *testing.T) {
	t.Setenv("TEST_HEADER", "Bearer very-secret")
	var v secret.Value
	if v.UnmarshalText([]byte("env:TEST_HEADER")) != nil || v.Resolve("") != nil {
		t.Fatal("the reference cannot be read")
	}
	raw, err := json.Marshal(SourceConfig{Web: &WebConfig{URL: "https://docs.example.org/", Headers: map[string]secret.Value{"Authorization": v}}})
	if err != nil || strings.Contains(string(raw), "very-secret") {
		t.Fatal(string(raw), err)
	}
	var kept SourceConfig
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	if plain, err := Reveal(kept.Web.Headers); err != nil || plain["Authorization"] != "Bearer very-secret" {
		t.Error(plain, err)
	}
	for name, text := range map[string]string{"not set": "", "more than one line": "a\r\nX-Other: b"} {
		t.Setenv("TEST_HEADER", text)
		if _, err := Reveal(kept.Web.Headers); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "X-Other") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPISourcesAreChecked(t *testing.T) {
	good := func() APIConfig {
		return APIConfig{URL: "https://desk.example.org/tickets?a=b", Pages: APIPages{Next: "link"}, Since: APISince{Param: "since", Field: "/at"}}
	}
	if err := (SourceConfig{API: new(good())}).checkPlace(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(c *APIConfig){
		"url":                              func(c *APIConfig) { c.URL = "/tickets" },
		"one of next":                      func(c *APIConfig) { c.Pages.PageParam = "page" },
		"belong together":                  func(c *APIConfig) { c.Pages = APIPages{Cursor: "/x"} },
		"param and field belong":           func(c *APIConfig) { c.Since.Field = "" },
		"limit: at least 1":                func(c *APIConfig) { c.Pages.LimitParam = "n" },
		"first":                            func(c *APIConfig) { c.Pages.First = -2 },
		"full":                             func(c *APIConfig) { c.Since.Full = -1 },
		"key: it names":                    func(c *APIConfig) { c.Key = []string{"/"} },
		"max_pages":                        func(c *APIConfig) { c.MaxPages = -1 },
		"no place in an answer":            func(c *APIConfig) { c.Items = "/a\n" },
		"rate":                             func(c *APIConfig) { c.Rate = 1e9 },
		"neither a network":                func(c *APIConfig) { c.Allow = []string{"*"} },
		"headers: Host is set by Airfield": func(c *APIConfig) { c.Headers = map[string]secret.Value{"Host": secret.New("x")} },
	} {
		c := good()
		change(&c)
		if err := (SourceConfig{API: &c}).checkPlace(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
