// Package dbtest runs a test on both engines, each time on a fresh database with the schema in place. Every store's
// tests use it. The PostgreSQL is the one scripts/postgres.sh installs, or the one AIRFIELD_TEST_POSTGRES points to.
package dbtest

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"airfield/internal/db"
)

// Each runs fn as the subtests "sqlite" and "postgres" with an open database.
func Each(t *testing.T, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	Run(t, func(t *testing.T, open func() *db.DB) { fn(t, open()) })
}

// Run is Each for tests that open their database more than once: every open is another handle on the same database,
// closed when the test ends.
func Run(t *testing.T, fn func(t *testing.T, open func() *db.DB)) {
	t.Helper()
	for _, engine := range []struct {
		name    string
		address func(testing.TB) string
	}{{"sqlite", SQLite}, {"postgres", Postgres}} {
		t.Run(engine.name, func(t *testing.T) {
			url := engine.address(t)
			fn(t, func() *db.DB { return Open(t, url) })
		})
	}
}

// Open opens the database at url and closes it when the test ends; closing it before does no harm.
func Open(t testing.TB, url string) *db.DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := db.Default()
	c.URL = url
	d, err := db.Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open the test's database: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// SQLite returns the address of a database file of the test's own.
func SQLite(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "airfield.db")
}
