package ingest

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestASourceOfRowsIsCheckedBeforeItIsRead(t *testing.T) {
	for text, says := range map[string]string{
		`{url: "env:X", table: t, key: [id]}`:                                           "",
		`{url: "env:X", query: SELECT 1, key: [id], cursor: at, overlap: 5m, poll: 2s}`: "",
		`{url: "env:X", query: SELECT 1, key: [id], cursor: n, overlap: "500"}`:         "",
		`{url: "env:X", table: t, key: [id], replication: {slot: s, publication: P}}`:   "",
		`{table: t, key: [id]}`:                                                                                     "url is missing",
		`{url: "env:X", key: [id]}`:                                                                                 "one of table and query",
		`{url: "env:X", table: t, query: SELECT 1, key: [id]}`:                                                      "one of table and query",
		`{url: "env:X", table: t}`:                                                                                  "key:",
		`{url: "env:X", table: t, key: [""]}`:                                                                       "without a name",
		`{url: "env:X", table: t, key: [id], poll: 5s}`:                                                             "belong to a cursor",
		`{url: "env:X", table: t, key: [id], cursor: at, overlap: often}`:                                           "overlap:",
		`{url: "env:X", table: t, key: [id], cursor: at, overlap: "-5"}`:                                            "overlap:",
		`{url: "env:X", table: t, key: [id], timeout: 1ms}`:                                                         "timeout:",
		`{url: "env:X", table: t, key: [id], metadata: {tier: ""}}`:                                                 "metadata:",
		`{url: "env:X", query: SELECT 1, key: [id], replication: {slot: s, publication: p}}`:                        "give table",
		`{url: "env:X", table: t, key: [id], cursor: at, replication: {slot: s, publication: p}}`:                   "leave cursor out",
		`{url: "env:X", table: t, key: [id], replication: {slot: "S;DROP", publication: p}}`:                        "slot:",
		`{url: "env:X", table: t, key: [id], replication: {slot: s}}`:                                               "publication is missing",
		`{url: "env:X", table: t, key: [id], replication: {slot: s, publication: ` + strings.Repeat("p", 64) + `}}`: "too long",
	} {
		c := DefaultCollection()
		s := SourceConfig{SQL: &SQLConfig{}}
		if err := yaml.Unmarshal([]byte(text), s.SQL); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		c.Sources = map[string]SourceConfig{"rows": s}
		_, err := c.Check()
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, not %q", text, err, says)
		}
		s.Folder = "x"
		if s.checkPlace() == nil {
			t.Errorf("%s: and a folder", text)
		}
	}
}
