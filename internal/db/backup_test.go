package db_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
)

var ctx = context.Background()

// transfer writes until stop is called: each transaction adds a key and counts it, so that a database that holds a part
// of one is found out.
func transfer(t *testing.T, d *db.DB) (stop func() (written int)) {
	t.Helper()
	exec(t, d, "INSERT INTO settings (name, value) VALUES ('count', '0')")
	quit, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-quit:
				done <- n
				return
			default:
			}
			err := d.Tx(ctx, func(tx *db.Tx) error {
				if _, err := tx.Exec(ctx, "UPDATE settings SET value = ? WHERE name = 'count'", fmt.Sprint(n+1)); err != nil {
					return err
				}
				return addKey(tx, n)
			})
			if err != nil {
				t.Error(err)
			}
			n++
		}
	}()
	return func() int { close(quit); return <-done }
}

func addKey(tx *db.Tx, n int) error {
	_, err := tx.Exec(ctx, "INSERT INTO keys (id, name, role, clearance, hash, hint, created_by, created_at) VALUES (?, ?, 'admin', 4, ?, '', '', ?)",
		fmt.Sprint("key_", n), strings.Repeat("name ", 200), fmt.Sprint(n), time.Now().UnixMicro())
	return err
}

func exec(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	if _, err := d.Exec(ctx, query, args...); err != nil {
		t.Fatal(err)
	}
}

func scan[T any](t *testing.T, d *db.DB, query string) (v T) {
	t.Helper()
	if err := d.QueryRow(ctx, query).Scan(&v); err != nil {
		t.Fatal(query, err)
	}
	return v
}

func restore(url, dir string) error {
	c := db.Default()
	c.URL = url
	return db.Restore(ctx, c, dir, slog.New(slog.DiscardHandler))
}

func TestABackupOfABusyDatabaseIsOneMoment(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		exec(t, d, "INSERT INTO vectors (generation_id, chunk_id, document_id, vector) VALUES ('g', 'c', 'd', ?)", []byte{0, 1, 255})
		err := d.Tx(ctx, func(tx *db.Tx) error {
			for n := range 2000 { // so that the backup takes a while
				if err := addKey(tx, n+1_000_000); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := transfer(t, d)
		for scan[int](t, d, "SELECT COUNT(*) FROM keys") < 2010 {
			time.Sleep(time.Millisecond)
		}
		dir := filepath.Join(t.TempDir(), "backup")
		if err := d.Backup(ctx, dir); err != nil {
			t.Fatal(err)
		}
		after := scan[string](t, d, "SELECT value FROM settings WHERE name = 'count'")
		written := stop()
		for name, url := range map[string]string{"sqlite": dbtest.SQLite(t), "postgres": dbtest.Postgres(t)} {
			if err := restore(url, dir); err != nil {
				t.Fatalf("into %s: %v", name, err)
			}
			r := dbtest.Open(t, url)
			count, keys := scan[string](t, r, "SELECT value FROM settings WHERE name = 'count'"), scan[int](t, r, "SELECT COUNT(*) FROM keys")-2000
			t.Logf("%d transactions, the backup has %s, %s were there when it ended", written, count, after)
			if fmt.Sprint(keys) != count || keys < 10 {
				t.Errorf("%s: %d keys, %s counted", name, keys, count)
			}
			if v := scan[[]byte](t, r, "SELECT vector FROM vectors"); string(v) != "\x00\x01\xff" {
				t.Errorf("%s: %v", name, v)
			}
			exec(t, r, "INSERT INTO settings (name, value) VALUES ('new', '')") // it is a database to work with
		}
	})
}

func TestWhatCannotBeRestored(t *testing.T) {
	source := dbtest.Open(t, dbtest.SQLite(t))
	exec(t, source, "INSERT INTO settings (name, value) VALUES ('a', 'b')")
	exec(t, source, "INSERT INTO settings (name, value) VALUES ('c', 'd')")
	edit := func(file string, change func([]byte) []byte) func(*testing.T, string, string) {
		return func(t *testing.T, dir, _ string) {
			path := filepath.Join(dir, file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	replace := func(a, b string) func([]byte) []byte {
		return func(text []byte) []byte { return []byte(strings.Replace(string(text), a, b, 1)) }
	}
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, dir, url string)
		code  string
	}{
		"a database with something in it": {func(t *testing.T, _, url string) {
			exec(t, dbtest.Open(t, url), "INSERT INTO settings (name, value) VALUES ('x', 'y')")
		}, "database_not_empty"},
		"a backup that was broken off": {func(t *testing.T, dir, _ string) { os.Remove(filepath.Join(dir, "manifest.json")) }, "backup_incomplete"},
		"a folder that is not there":   {func(t *testing.T, dir, _ string) { os.RemoveAll(dir) }, "backup_incomplete"},
		"a table's file is missing":    {func(t *testing.T, dir, _ string) { os.Remove(filepath.Join(dir, "settings.jsonl.zst")) }, "backup_damaged"},
		"a truncated file":             {edit("settings.jsonl.zst", func(b []byte) []byte { return b[:len(b)-3] }), "backup_damaged"},
		"a changed byte":               {edit("settings.jsonl.zst", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), "backup_damaged"},
		"bytes after the end":          {edit("settings.jsonl.zst", func(b []byte) []byte { return append(b, 'x') }), "backup_damaged"},
		"a manifest that is not JSON":  {edit("manifest.json", func(b []byte) []byte { return b[:20] }), "backup_damaged"},
		"a table with an evil name":    {edit("manifest.json", replace(`"settings"`, `"settings; DROP TABLE keys"`)), "backup_damaged"},
		"a newer schema":               {edit("manifest.json", replace(`"schema": `, `"schema": 9`)), "backup_too_new"},
		"a newer format":               {edit("manifest.json", replace(`"format": 1`, `"format": 2`)), "backup_too_new"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, url := filepath.Join(t.TempDir(), "backup"), dbtest.SQLite(t)
			if err := source.Backup(ctx, dir); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, dir, url)
			err := restore(url, dir)
			if f := fault.As(err); err == nil || f.Code != tc.code {
				t.Fatalf("%v, not %s", err, tc.code)
			}
			if n := scan[int](t, dbtest.Open(t, url), "SELECT COUNT(*) FROM settings WHERE name <> 'x'"); n != 0 {
				t.Errorf("%d rows were left behind", n)
			}
		})
	}
}

func TestABackupDoesNotOverwriteAnother(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	dir := t.TempDir()
	if err := d.Backup(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Backup(ctx, dir); !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
}
