package db_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

var update = flag.Bool("update", false, "write schema.sql anew")

// What each engine's catalogue says, in the words of the migrations: a table's columns, its keys, its indexes.
var catalogue = map[db.Engine]struct{ tables, columns, keys, indexes string }{
	db.SQLite: {
		tables:  `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'goose_db_version' ORDER BY name`,
		columns: `SELECT name || ' ' || type || CASE WHEN "notnull" = 1 OR pk > 0 THEN ' NOT NULL' ELSE '' END || COALESCE(' DEFAULT ' || dflt_value, '') FROM pragma_table_info(?) ORDER BY cid`,
		keys: `SELECT CASE l.origin WHEN 'pk' THEN 'PRIMARY KEY (' ELSE 'UNIQUE (' END || (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno)) || ')'
			FROM pragma_index_list(?) l WHERE l.origin <> 'c'
			UNION ALL SELECT 'PRIMARY KEY (' || name || ')' FROM pragma_table_info(?) WHERE pk > 0 AND upper(type) = 'INTEGER' ORDER BY 1`,
		indexes: `SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ? ORDER BY name`,
	},
	db.Postgres: {
		tables: `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name <> 'goose_db_version' ORDER BY table_name COLLATE "C"`,
		columns: `SELECT column_name || ' ' || upper(data_type) || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END || COALESCE(' DEFAULT ' || column_default, '')
			FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position`,
		keys:    `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = CAST(? AS text)::regclass AND contype IN ('p', 'u') ORDER BY 1`,
		indexes: `SELECT indexdef FROM pg_indexes i WHERE tablename = ? AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname) ORDER BY indexname COLLATE "C"`,
	},
}

var (
	castRE      = regexp.MustCompile(`::[a-z]+`)
	predicateRE = regexp.MustCompile(`WHERE \((.*)\)$`)
	spacesRE    = regexp.MustCompile(`\s+`)
)

// plain takes away what is only an engine's way of saying it.
func plain(s string) string {
	s = strings.NewReplacer("public.", "", " USING btree", "").Replace(spacesRE.ReplaceAllString(s, " "))
	return predicateRE.ReplaceAllString(castRE.ReplaceAllString(s, ""), "WHERE $1")
}

func list(t *testing.T, d *db.DB, query string, table string) (lines []string) {
	t.Helper()
	args := make([]any, strings.Count(query, "?"))
	for i := range args {
		args[i] = table
	}
	rows, err := d.Query(ctx, query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, plain(line))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// describe renders a database's schema as SQL to read.
func describe(t *testing.T, d *db.DB) string {
	c := catalogue[d.Engine()]
	var b strings.Builder
	b.WriteString("-- The schema after all migrations, the same on SQLite and PostgreSQL. Written by: go test ./internal/db -run TestTheSchema -update\n")
	for _, table := range list(t, d, c.tables, "") {
		lines := append(list(t, d, c.columns, table), list(t, d, c.keys, table)...)
		fmt.Fprintf(&b, "\nCREATE TABLE %s (\n    %s\n);\n", table, strings.Join(lines, ",\n    "))
		for _, index := range list(t, d, c.indexes, table) {
			fmt.Fprintf(&b, "%s;\n", index)
		}
	}
	return b.String()
}

func TestTheSchemaIsTheCommittedOneOnBothEngines(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		got := describe(t, d)
		if *update && d.Engine() == db.SQLite {
			if err := os.WriteFile("schema.sql", []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile("schema.sql")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("schema.sql is not what the migrations make (-update writes it anew):\n%s", diff)
		}
	})
}
