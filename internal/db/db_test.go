package db

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"airfield/internal/fault"
)

func TestPlaceholders(t *testing.T) {
	const q = "SELECT '?' FROM t WHERE a = ? AND b IN (?,?)"
	if got := Postgres.bind(q); got != "SELECT '?' FROM t WHERE a = $1 AND b IN ($2,$3)" {
		t.Error(got)
	}
	if SQLite.bind(q) != q || Marks(3) != "?,?,?" || Marks(0) != "NULL" {
		t.Error("changed")
	}
}

func TestAPasswordIsNotPrinted(t *testing.T) {
	for _, address := range []string{"postgres://u:hunter2@127.0.0.1:1/d", "postgres://u@127.0.0.1:1/d?password=hunter2"} {
		c := Default()
		c.URL = address
		if warnings, err := c.Check(); err != nil || len(warnings) != 1 || strings.Contains(warnings[0], "hunter2") {
			t.Errorf("%s: warnings %v, error %v", address, warnings, err)
		}
		for _, address := range []string{address, address + " %zz"} {
			c.URL = address
			if _, err := Open(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
}

func TestAReaderIsToldThatTheDatabaseIsAway(t *testing.T) {
	c := Default()
	c.URL = "postgres://u@127.0.0.1:1/d"
	d, err := openPostgres(c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var n int
	err = d.QueryRow(t.Context(), "SELECT 1").Scan(&n)
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("a row: %v", err)
	}
	if _, err = d.Query(t.Context(), "SELECT 1"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("rows: %v", err)
	}
}

func TestAPasswordOfItsOwnIsUsed(t *testing.T) {
	t.Setenv("TEST_PASSWORD", "hunter2")
	c := Default()
	c.URL = "postgres://u@127.0.0.1:1/d"
	for ref, want := range map[string]string{"env:TEST_PASSWORD": "hunter2", "env:TEST_NO_PASSWORD": ""} {
		if err := errors.Join(c.Password.UnmarshalText([]byte(ref)), c.Password.Resolve("")); err != nil {
			t.Fatal(err)
		}
		d, err := openPostgres(c)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), ref) {
				t.Errorf("%s: %v", ref, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := d.pool.Config().ConnConfig.Password; got != want {
			t.Errorf("%s: %q", ref, got)
		}
		d.Close()
	}
}

func TestSQLiteReadersCannotWriteAndAFailedTxLeavesNothing(t *testing.T) {
	ctx := context.Background()
	c := Default()
	c.URL = "sqlite:" + filepath.Join(t.TempDir(), "a folder with ?", "x.db")
	d, err := Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.read.Exec("INSERT INTO settings VALUES ('a', 'b')"); err == nil {
		t.Error("a reader wrote")
	}
	boom := errors.New("boom")
	err = d.Tx(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO settings VALUES (?, ?)", "a", "b"); err != nil {
			t.Error(err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	var n int
	if err := d.QueryRow(ctx, "SELECT COUNT(*) FROM settings").Scan(&n); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	for range 2 {
		_, err = d.Exec(ctx, "INSERT INTO settings VALUES (?, ?)", "a", "b")
	}
	if !IsUnique(err) {
		t.Fatal(err)
	}
}

func TestOnCommitIsCalledAfterACommitOnlyAndMayUseTheDatabase(t *testing.T) {
	ctx := context.Background()
	c := Default()
	c.URL = "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	d, err := Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	boom, called := errors.New("boom"), 0
	for _, want := range []error{boom, nil} {
		err := d.Tx(ctx, func(tx *Tx) error {
			tx.OnCommit(func() {
				called++
				if _, err := d.Exec(ctx, "INSERT INTO settings VALUES ('a', 'b')"); err != nil {
					t.Error(err)
				}
			})
			return want
		})
		if !errors.Is(err, want) {
			t.Fatal(err)
		}
	}
	if called != 1 {
		t.Fatalf("called %d times", called)
	}
}
