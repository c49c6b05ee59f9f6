package crash

import (
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the rows are looked at beside the server

	"airfield/internal/access"
	"airfield/internal/api/admin"
	"airfield/internal/index/embedded"
	"airfield/internal/ingest"
)

// collection is the one that tests keep their documents in.
const collection = "papers"

func (s *installation) status() admin.CollectionStatus {
	s.T.Helper()
	var c admin.CollectionStatus
	s.Call(http.MethodGet, "/api/collections/"+collection, nil, &c)
	return c
}

func (s *installation) source() ingest.Source {
	s.T.Helper()
	sources := s.status().Status.Sources
	if len(sources) != 1 {
		var all []ingest.Source
		s.Call(http.MethodGet, "/api/sources", nil, &all)
		sources = all
	}
	return sources[0]
}

func (s *installation) documents() map[string]ingest.Document {
	s.T.Helper()
	byKey := map[string]ingest.Document{}
	for after := ""; ; {
		var list []ingest.Document
		s.Call(http.MethodGet, "/api/collections/"+collection+"/documents?limit=1000&after="+after, nil, &list)
		for _, d := range list {
			if _, twice := byKey[d.SourceKey]; twice {
				s.T.Errorf("%s is two documents", d.SourceKey)
			}
			byKey[d.SourceKey], after = d, d.ID
		}
		if len(list) < 1000 {
			return byKey
		}
	}
}

func (s *installation) deadLetters() []ingest.DeadLetter {
	s.T.Helper()
	var dead []ingest.DeadLetter
	s.Call(http.MethodGet, "/api/dead-letters?limit=1000", nil, &dead)
	return dead
}

// found are the names of the documents with a word, by a keyword search.
func (s *installation) found(query string) []string {
	s.T.Helper()
	var answer struct {
		Data []struct {
			Document string `json:"document_id"`
		} `json:"data"`
	}
	s.Call(http.MethodPost, "/v1/vector_stores/"+collection+"/search", map[string]any{"query": query, "mode": "keyword", "max_num_results": 10}, &answer)
	names := []string{}
	for _, hit := range answer.Data {
		var d ingest.Document
		s.Call(http.MethodGet, "/api/documents/"+hit.Document, nil, &d)
		if !slices.Contains(names, d.SourceKey) {
			names = append(names, d.SourceKey)
		}
	}
	return names
}

// holds asks the running server: exactly these pages are live, each found by its word, nothing is dead, the audit log
// is whole.
func (s *installation) holds(pages []page) {
	s.T.Helper()
	documents := s.documents()
	for _, p := range pages {
		d, ok := documents[p.name]
		if !ok || d.Newest.State != ingest.Live || d.LiveVersion != d.Newest.ID {
			s.T.Errorf("%s: known %t, its newest version is %s, live is %q", p.name, ok, d.Newest.State, d.LiveVersion)
		}
		if got := s.found(p.word); !slices.Equal(got, []string{p.name}) {
			s.T.Errorf("%q is found in %q, not in %s alone", p.word, got, p.name)
		}
		delete(documents, p.name)
	}
	for name := range documents {
		s.T.Errorf("%s is a document too", name)
	}
	for _, d := range s.deadLetters() {
		s.T.Errorf("%s is a dead letter: %s %s", d.SourceKey, d.Run.ErrorCode, d.Run.Error)
	}
	s.auditIsWhole()
}

func (s *installation) auditIsWhole() {
	s.T.Helper()
	var r access.Report
	s.Call(http.MethodGet, "/api/audit/verify", nil, &r)
	if !r.Whole {
		s.T.Errorf("the audit log is broken at %d: %s", r.BrokenAt, r.Reason)
	}
}

// open opens the stopped server's database; nothing may be left to be recovered in it.
func (s *installation) open() *sql.DB {
	s.T.Helper()
	if s.Running() {
		s.T.Fatal("the server still runs")
	}
	return s.database()
}

// database reads the server's database, also while that runs.
func (s *installation) database() *sql.DB {
	s.T.Helper()
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: s.Path("data", "airfield.db")}).EscapedPath()+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { db.Close() })
	return db
}

// count is the number that a query answers with.
func (s *installation) count(db *sql.DB, query string, args ...any) (n int) {
	s.T.Helper()
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		s.T.Fatalf("%s: %v", query, err)
	}
	return n
}

// rules are counts that are zero in every database at rest, whatever was done to the server.
var rules = map[string]string{
	"documents with the same name in one source":          "SELECT COUNT(*) FROM (SELECT 1 FROM documents WHERE deleted_at IS NULL GROUP BY collection_id, source, source_key HAVING COUNT(*) > 1)",
	"documents with more or less than one live version":   "SELECT COUNT(*) FROM documents d WHERE deleted_at IS NULL AND (SELECT COUNT(*) FROM versions v WHERE v.document_id = d.id AND v.state = 'live') <> 1",
	"documents whose live version is another":             "SELECT COUNT(*) FROM documents d LEFT JOIN versions v ON v.id = d.live_version_id WHERE d.deleted_at IS NULL AND (v.state IS NULL OR v.state <> 'live' OR v.document_id <> d.id)",
	"versions in another state than live and superseded":  "SELECT COUNT(*) FROM versions v JOIN documents d ON d.id = v.document_id WHERE d.deleted_at IS NULL AND v.state NOT IN ('live', 'superseded')",
	"versions of deleted documents that are not deleted":  "SELECT COUNT(*) FROM versions v JOIN documents d ON d.id = v.document_id WHERE d.deleted_at IS NOT NULL AND v.state <> 'deleted'",
	"runs that have not ended well":                       "SELECT COUNT(*) FROM runs WHERE state NOT IN ('done', 'cancelled')",
	"live versions without chunks":                        "SELECT COUNT(*) FROM versions v WHERE state = 'live' AND NOT EXISTS (SELECT 1 FROM manifests c WHERE c.version_id = v.id)",
	"live versions whose ordinals have gaps":              "SELECT COUNT(*) FROM (SELECT version_id FROM manifests GROUP BY version_id, cut HAVING MIN(ordinal) + COUNT(*) - 1 <> MAX(ordinal))",
	"manifest rows of versions that are not live":         "SELECT COUNT(*) FROM manifests c LEFT JOIN versions v ON v.id = c.version_id WHERE v.state IS NULL OR v.state <> 'live'",
	"manifest rows without a chunk of the same document":  "SELECT COUNT(*) FROM manifests m JOIN versions v ON v.id = m.version_id LEFT JOIN chunks c ON c.id = m.chunk_id AND c.document_id = v.document_id WHERE c.id IS NULL",
	"chunks that no manifest names":                       "SELECT COUNT(*) FROM chunks WHERE id NOT IN (SELECT chunk_id FROM manifests)",
	"chunks without a vector":                             "SELECT COUNT(*) FROM chunks c JOIN collections l ON l.id = c.collection_id LEFT JOIN vectors v ON v.chunk_id = c.id AND v.generation_id = l.generation_id WHERE v.chunk_id IS NULL",
	"vectors without a chunk of the same document":        "SELECT COUNT(*) FROM vectors v LEFT JOIN chunks c ON c.id = v.chunk_id AND c.document_id = v.document_id WHERE c.id IS NULL",
	"items of sources whose document is deleted":          "SELECT COUNT(*) FROM source_items i LEFT JOIN documents d ON d.id = i.document_id AND d.deleted_at IS NULL WHERE d.id IS NULL",
	"documents of sources that no item leads to":          "SELECT COUNT(*) FROM documents d WHERE deleted_at IS NULL AND source NOT IN ('upload', 'files') AND (SELECT COUNT(*) FROM source_items i WHERE i.document_id = d.id AND i.key = d.source_key) <> 1",
	"ledger entries without a call, or calls without one": "SELECT (SELECT COUNT(*) FROM ledger WHERE id NOT IN (SELECT id FROM calls)) + (SELECT COUNT(*) FROM calls WHERE id NOT IN (SELECT id FROM ledger) AND nanos_usd > 0)",
	"pages of the database that are damaged":              "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
}

// isWhole holds the stopped server's stores against each other: database, bucket and index.
func (s *installation) isWhole() {
	s.T.Helper()
	db := s.open()
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		if n := s.count(db, rules[rule]); n != 0 {
			s.T.Errorf("%d %s", n, rule)
		}
	}
	s.bucketIsWhole(db)
	s.indexIsWhole(db)
}

// bucketIsWhole: every version and every block of bodies that has bytes has them, and nothing else is there.
func (s *installation) bucketIsWhole(db *sql.DB) {
	s.T.Helper()
	known := s.texts(db, "SELECT id FROM versions WHERE bucket_key <> '' UNION ALL SELECT id FROM body_blocks ORDER BY 1")
	var kept []string
	err := filepath.WalkDir(s.Path("data", "bucket", "objects"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			parts := strings.Split(filepath.ToSlash(path), "/")
			if slices.Contains(parts, "bodies+") {
				kept = append(kept, parts[len(parts)-2])
				return nil
			}
			kept = append(kept, strings.TrimSuffix(parts[len(parts)-3], "+"))
			if parts[len(parts)-2] != "original" {
				s.T.Errorf("%s is left of the work", path)
			}
		}
		return err
	})
	if err != nil {
		s.T.Error(err)
	}
	slices.Sort(kept)
	if !slices.Equal(kept, known) {
		for _, name := range kept {
			if !slices.Contains(known, name) {
				s.T.Errorf("the bucket holds bytes of %s, which no row names", name)
			}
		}
		s.T.Errorf("the bucket holds %d objects for %d versions and blocks", len(kept), len(known))
	}
}

func (s *installation) texts(db *sql.DB, query string, args ...any) (list []string) {
	s.T.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		s.T.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			s.T.Fatal(err)
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

// indexIsWhole: the index holds the manifests' chunks, document by document, and has followed every change.
func (s *installation) indexIsWhole(db *sql.DB) {
	s.T.Helper()
	x, err := embedded.Open(s.Path("data", "index"), embedded.Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		s.T.Fatal(err)
	}
	defer x.Close()
	ctx := context.Background()
	for _, space := range s.texts(db, "SELECT generation_id FROM collections WHERE deleted_at IS NULL") {
		stats, err := x.Stats(ctx, space)
		if err != nil {
			s.T.Fatal(err)
		}
		live := s.texts(db, "SELECT id FROM documents WHERE deleted_at IS NULL AND collection_id = (SELECT id FROM collections WHERE generation_id = ?)", space)
		chunks := 0
		for _, d := range live {
			want := s.count(db, "SELECT COUNT(DISTINCT chunk_id) FROM manifests WHERE version_id = (SELECT live_version_id FROM documents WHERE id = ?)", d)
			got, err := x.Count(ctx, space, d)
			if err != nil || got != want {
				s.T.Errorf("the index has %d of the %d chunks of %s (%v)", got, want, d, err)
			}
			chunks += want
		}
		if stats.Documents != len(live) || stats.Chunks != chunks || stats.Vectors != chunks {
			s.T.Errorf("the index has %d documents, %d chunks, %d vectors; the database has %d, %d", stats.Documents, stats.Chunks, stats.Vectors, len(live), chunks)
		}
		sequence, _ := x.Sequence(ctx, space)
		if want := s.count(db, "SELECT sequence FROM collections WHERE generation_id = ?", space); sequence != int64(want) {
			s.T.Errorf("the index is at the change %d of %d", sequence, want)
		}
	}
}

// atRest reports whether the collection has just these documents live and nothing on its way.
func (s *installation) atRest(documents int) bool {
	c := s.status()
	return c.Status.Documents == documents && c.Status.Live == documents && c.Status.Versions[ingest.Live] == documents && c.Status.Purging == 0
}
