package ingest

import (
	"fmt"
	"strings"
	"time"

	"airfield/internal/secret"
)

// APIConfig is a JSON API whose records are read. Places in an answer are JSON pointers (/data/items); a name alone is one at
// the top.
type APIConfig struct {
	URL      string                  `yaml:"url" json:"url" doc:"The address of the first page of records."`
	Headers  map[string]secret.Value `yaml:"headers" json:"headers,omitempty" doc:"Headers of its requests, each env:NAME or file:PATH; no other host gets them."`
	Items    string                  `yaml:"items" json:"items,omitempty" doc:"Where in an answer the list of records is; the answer itself where empty."`
	Key      []string                `yaml:"key" json:"key" doc:"The fields of a record that tell it from all others; id where empty."`
	Deleted  string                  `yaml:"deleted" json:"deleted,omitempty" doc:"A field of records that are gone, though they are listed: one that is there, and not false, null, 0 or empty."`
	Pages    APIPages                `yaml:"pages" json:"pages" doc:"How one page leads to the next; where empty there is one page."`
	Since    APISince                `yaml:"since" json:"since" doc:"How to ask for what changed; where empty all is read each time."`
	MaxPages int                     `yaml:"max_pages" json:"max_pages,omitempty" doc:"Pages that are read at most; 10000 where 0."`
	Rate     float64                 `yaml:"rate" json:"rate,omitempty" doc:"Requests a second at most, one at a time; 2 where 0."`
	Allow    []string                `yaml:"allow" json:"allow,omitempty" doc:"Networks, addresses and hosts that may be reached though they are not on the internet."`
	Timeout  time.Duration           `yaml:"timeout" json:"timeout,omitempty" doc:"How long one page may take; 5m where 0."`
}

// APIPages is one of four ways from page to page.
type APIPages struct {
	Next        string `yaml:"next" json:"next,omitempty" doc:"Where in an answer the next page's address is; link for the header Link with rel=next."`
	Cursor      string `yaml:"cursor" json:"cursor,omitempty" doc:"Where in an answer the cursor of the next page is, sent as cursor_param."`
	CursorParam string `yaml:"cursor_param" json:"cursor_param,omitempty" doc:"The parameter that takes the cursor."`
	PageParam   string `yaml:"page_param" json:"page_param,omitempty" doc:"The parameter that takes a page's number."`
	First       int    `yaml:"first" json:"first,omitempty" doc:"The number of the first page; 1 where 0, and -1 for 0."`
	OffsetParam string `yaml:"offset_param" json:"offset_param,omitempty" doc:"The parameter that takes how many records to leave out."`
	LimitParam  string `yaml:"limit_param" json:"limit_param,omitempty" doc:"The parameter that takes how many records a page has."`
	Limit       int    `yaml:"limit" json:"limit,omitempty" doc:"How many records a page is to have."`
}

// APISince asks for what changed.
type APISince struct {
	Param string        `yaml:"param" json:"param,omitempty" doc:"The parameter that takes a time, or a number, from which on changes are listed."`
	Field string        `yaml:"field" json:"field,omitempty" doc:"The field of a record that tells when it was changed: what was seen last is what param takes."`
	Full  time.Duration `yaml:"full" json:"full,omitempty" doc:"How often all is read all the same, to find what is gone; 24h where 0. It is also read when a process begins."`
}

func (c APIConfig) check() error {
	if err := checkAddress(c.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	for _, p := range append([]string{c.Items, c.Deleted, c.Since.Field, c.Pages.Cursor}, c.Key...) {
		if len(p) > 256 || strings.ContainsAny(p, "\x00\n") {
			return fmt.Errorf("%.40q is no place in an answer, such as /data/items", p)
		}
	}
	for _, k := range c.Key {
		if strings.Trim(k, "/") == "" {
			return fmt.Errorf("key: it names no field")
		}
	}
	if len(c.Key) > 8 {
		return fmt.Errorf("key: at most 8 fields")
	}
	ways := 0
	for _, named := range []bool{c.Pages.Next != "", c.Pages.Cursor != "" || c.Pages.CursorParam != "", c.Pages.PageParam != "", c.Pages.OffsetParam != ""} {
		if named {
			ways++
		}
	}
	switch {
	case ways > 1:
		return fmt.Errorf("pages: one of next, cursor, page_param and offset_param")
	case (c.Pages.Cursor == "") != (c.Pages.CursorParam == ""):
		return fmt.Errorf("pages: cursor and cursor_param belong together")
	case (c.Pages.LimitParam != "") && c.Pages.Limit < 1, c.Pages.Limit < 0:
		return fmt.Errorf("pages: limit: at least 1, with limit_param")
	case c.Pages.First < -1:
		return fmt.Errorf("pages: first: -1 or more, not %d", c.Pages.First)
	case (c.Since.Param == "") != (c.Since.Field == ""):
		return fmt.Errorf("since: param and field belong together")
	case c.Since.Full < 0:
		return fmt.Errorf("since: full: not below zero")
	case c.MaxPages < 0 || c.MaxPages > 1_000_000:
		return fmt.Errorf("max_pages: 1 to 1000000, not %d", c.MaxPages)
	}
	return checkAsking(c.Rate, "", c.Headers, c.Allow, c.Timeout)
}
