package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"
)

// connections opens an empty database with at most n connections that keep their statements.
func connections(t testing.TB, n int) *sql.DB {
	t.Helper()
	d, err := openCached(sqliteDSN(filepath.Join(t.TempDir(), "test.db"), "immediate", []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	d.SetMaxOpenConns(n)
	run(t, d, "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
	return d
}

func run(t testing.TB, d *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := d.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// kept lists the texts of the statements that the only connection keeps, latest first.
func kept(t testing.TB, d *sql.DB) (queries []string) {
	t.Helper()
	c, err := d.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Raw(func(raw any) error {
		c := raw.(*conn)
		for e := c.recent.Front(); e != nil; e = e.Next() {
			queries = append(queries, e.Value.(*statement).query)
		}
		if len(queries) != len(c.kept) {
			t.Errorf("%d statements in order, %d by their text", len(queries), len(c.kept))
		}
		return nil
	})
	return queries
}

const (
	insertWord = "INSERT INTO words (id, word) VALUES (?, ?)"
	selectWord = "SELECT word FROM words WHERE id = ?"
)

func wordAt(t testing.TB, d *sql.DB, id int) string {
	t.Helper()
	var word string
	if err := d.QueryRow(selectWord, id).Scan(&word); err != nil {
		t.Fatal(err)
	}
	return word
}

func TestAStatementIsPlannedOnceAndKeepsNoArguments(t *testing.T) {
	d := connections(t, 1)
	for i := range 3 {
		run(t, d, insertWord, i, fmt.Sprint("word ", i))
	}
	for i := range 3 {
		if got := wordAt(t, d, i); got != fmt.Sprint("word ", i) {
			t.Errorf("%d: %q", i, got)
		}
	}
	if got := kept(t, d); len(got) != 2 || got[0] != selectWord || got[1] != insertWord {
		t.Errorf("kept %q", got)
	}
	if _, err := d.Exec(insertWord, 7); err == nil { // the second argument of the last use is not taken for it
		t.Error("an argument is missing, and nobody said so")
	}
}

func TestAStatementWithOpenRowsIsNotShared(t *testing.T) {
	d := connections(t, 1)
	for i := range 4 {
		run(t, d, insertWord, i, fmt.Sprint(i))
	}
	tx, err := d.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const query = "SELECT id FROM words ORDER BY id"
	outer, err := tx.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	var pairs []string
	for outer.Next() {
		inner, err := tx.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		var a, b int
		if err := outer.Scan(&a); err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			if err := inner.Scan(&b); err != nil {
				t.Fatal(err)
			}
			pairs = append(pairs, fmt.Sprint(a, b))
		}
		inner.Close()
	}
	if want := "0 0,0 1,0 2,0 3,1 0"; len(pairs) != 16 || !strings.HasPrefix(strings.Join(pairs, ","), want) {
		t.Errorf("%q", pairs)
	}
}

func TestTheLeastRecentlyUsedStatementGoes(t *testing.T) {
	d := connections(t, 1)
	run(t, d, insertWord, 1, "one")
	open, err := d.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := open.QueryContext(t.Context(), "SELECT id FROM words UNION ALL SELECT 2")
	if err != nil {
		t.Fatal(err)
	}
	for i := range keptStatements + 10 {
		if _, err := open.ExecContext(t.Context(), fmt.Sprintf("UPDATE words SET word = 'w%d' WHERE id = 1", i)); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for rows.Next() { // its statement was not in the cache, so it did not go
		n++
	}
	if err := errors.Join(rows.Err(), rows.Close(), open.Close()); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
	got := kept(t, d)
	if len(got) != keptStatements || !strings.HasPrefix(got[0], "SELECT id") || !strings.Contains(got[len(got)-1], fmt.Sprintf("'w%d'", 11)) {
		t.Errorf("kept %d, first %q, last %q", len(got), got[0], got[len(got)-1])
	}
}

func TestAChangeOfTheSchemaReachesKeptStatements(t *testing.T) {
	d := connections(t, 2)
	run(t, d, insertWord, 1, "one")
	const all = "SELECT * FROM words"
	columns := func(q interface {
		QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	}) (names []string) {
		rows, err := q.QueryContext(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			if names, err = rows.Columns(); err != nil {
				t.Fatal(err)
			}
		}
		return names
	}
	one, err := d.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	columns(one)
	run(t, d, "ALTER TABLE words ADD COLUMN language TEXT") // by the other connection
	if got := columns(one); len(got) != 3 || got[2] != "language" {
		t.Errorf("%q", got)
	}
	run(t, d, "DROP TABLE words")
	if _, err := one.QueryContext(t.Context(), all); err == nil || !strings.Contains(err.Error(), "no such table") {
		t.Error(err)
	}
}

func TestWhatFailedIsPlannedAgain(t *testing.T) {
	d := connections(t, 1)
	run(t, d, insertWord, 1, "one")
	if _, err := d.Exec(insertWord, 1, "again"); !IsUnique(err) {
		t.Fatal(err)
	}
	if got := kept(t, d); len(got) != 0 {
		t.Errorf("kept %q", got)
	}
	run(t, d, insertWord, 2, "two")
	const returning = "INSERT INTO words (id, word) SELECT 9, 'two' UNION ALL SELECT 10, 'ten' RETURNING id"
	if _, err := d.Query(returning); !IsUnique(err) {
		t.Fatal(err)
	}
	if got := kept(t, d); len(got) != 1 || got[0] != insertWord {
		t.Errorf("kept %q", got)
	}
}

func TestACancelledQueryLeavesAUsableDatabase(t *testing.T) {
	d := connections(t, 1)
	run(t, d, insertWord, 1, "one")
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		var n int
		err := d.QueryRowContext(ctx, endless).Scan(&n)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if got := wordAt(t, d, 1); got != "one" {
			t.Error(got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(insertWord, 2, "two"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := tx.Commit(); !errors.Is(err, context.Canceled) && !errors.Is(err, sql.ErrTxDone) {
		t.Error(err)
	}
	var n int
	if err := d.QueryRow("SELECT COUNT(*) FROM words").Scan(&n); err != nil || n != 1 {
		t.Error(n, err)
	}
}

func TestAPreparedStatementGoesBackToTheCache(t *testing.T) {
	d := connections(t, 1)
	for round := range 2 {
		tx, err := d.Begin()
		if err != nil {
			t.Fatal(err)
		}
		one, err := tx.Prepare(insertWord)
		if err != nil {
			t.Fatal(err)
		}
		two, err := tx.Prepare(insertWord) // while the first is out
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range []*sql.Stmt{one, two, one} {
			if _, err := s.Exec(10*round+i, fmt.Sprint(round, i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(one.Close(), two.Close(), tx.Commit()); err != nil {
			t.Fatal(err)
		}
	}
	if got := kept(t, d); len(got) != 1 {
		t.Errorf("kept %q", got)
	}
	if got := wordAt(t, d, 12); got != "1 2" {
		t.Error(got)
	}
}

func TestScriptsRunWhole(t *testing.T) {
	d := connections(t, 1)
	for range 2 {
		run(t, d, "DELETE FROM words; INSERT INTO words VALUES (1, 'one'); INSERT INTO words VALUES (2, 'two')")
	}
	if got := wordAt(t, d, 2); got != "two" {
		t.Error(got)
	}
}

func TestOnlyWhatReadsAndWritesRowsIsKept(t *testing.T) {
	for query, want := range map[string]bool{
		"SELECT 1":                       true,
		"select 1":                       true,
		"-- name: JobGet :one\nSELECT 1": true,
		"\n\t/* why */ INSERT INTO words VALUES (1)": true,
		"WITH a AS (SELECT 1) SELECT * FROM a":       true,
		"UPDATE\nwords SET id = 1":                   true,
		"DELETE FROM words":                          true,
		"PRAGMA foreign_keys(ON)":                    false,
		"CREATE TABLE t (i)":                         false,
		"BEGIN":                                      false,
		"VACUUM":                                     false,
		"EXPLAIN SELECT 1":                           false,
		"-- SELECT":                                  false,
		"/* SELECT":                                  false,
		"":                                           false,
		"SELECT " + strings.Repeat("1,", 5000) + " 1": false,
	} {
		if got := mayKeep(query); got != want {
			t.Errorf("%.40q: %t", query, got)
		}
	}
}

func TestColumnTypesAreThoseOfTheDriver(t *testing.T) {
	d := connections(t, 1)
	run(t, d, insertWord, 1, "one")
	for range 2 {
		rows, err := d.Query("SELECT id, word FROM words")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			types, err := rows.ColumnTypes()
			if err != nil || types[0].DatabaseTypeName() != "INTEGER" || types[1].DatabaseTypeName() != "TEXT" || types[0].ScanType().Kind().String() != "int64" {
				t.Error(types[0], types[1], err)
			}
			if _, ok := types[1].Nullable(); !ok {
				t.Error("nothing is known of NULL")
			}
		}
		rows.Close()
	}
}

func TestManyAtOnce(t *testing.T) {
	d := connections(t, 4)
	var all sync.WaitGroup
	const each = 40
	for w := range 6 {
		all.Go(func() {
			for i := range each {
				id := w*each + i
				if _, err := d.Exec(insertWord, id, fmt.Sprint("word ", id)); err != nil {
					t.Error(err)
					return
				}
				var word string
				if err := d.QueryRow(selectWord, id).Scan(&word); err != nil || word != fmt.Sprint("word ", id) {
					t.Error(id, word, err)
				}
				if i%8 == 0 { // rows that are left in the middle, and a context that ends
					ctx, cancel := context.WithCancel(t.Context())
					if rows, err := d.QueryContext(ctx, "SELECT word FROM words ORDER BY id"); err == nil {
						rows.Next()
						cancel()
						rows.Close()
					}
					cancel()
				}
			}
		})
	}
	all.Wait()
	var n int
	if err := d.QueryRow("SELECT COUNT(*) FROM words").Scan(&n); err != nil || n != 6*each {
		t.Error(n, err)
	}
}

// The ratio that the cache is for: the same work through the bare driver.
func BenchmarkStatement(b *testing.B) {
	open := map[string]func(string) (*sql.DB, error){
		"kept": openCached,
		"bare": func(dsn string) (*sql.DB, error) {
			c, err := sqlite.NewConnector(dsn)
			if err != nil {
				return nil, err
			}
			return sql.OpenDB(c), nil
		},
	}
	for _, how := range []string{"bare", "kept"} {
		d, err := open[how](sqliteDSN(filepath.Join(b.TempDir(), "bench.db"), "immediate", []string{"journal_mode(WAL)", "synchronous(NORMAL)"}))
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		d.SetMaxOpenConns(1)
		run(b, d, "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
		run(b, d, insertWord, 1, "one")
		b.Run("read/"+how, func(b *testing.B) {
			for b.Loop() {
				wordAt(b, d, 1)
			}
		})
		b.Run("transaction/"+how, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				tx, err := d.Begin()
				if err != nil {
					b.Fatal(err)
				}
				for _, query := range []string{"UPDATE words SET word = ? WHERE id = 1", "UPDATE words SET word = ? || word WHERE id = 1"} {
					if _, err := tx.Exec(query, fmt.Sprint(i)); err != nil {
						b.Fatal(err)
					}
				}
				if err := tx.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
