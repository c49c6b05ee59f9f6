package db_test

import (
	"context"
	"testing"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

func TestATextThatNoRowCanHoldIsNotFoundAndNoError(t *testing.T) {
	ctx := context.Background()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if _, err := d.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?)", "a", "kept"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"\x00", "a\x00", "\xff\xfe", "a\xff"} {
			args := []any{name, "kept"}
			const query = "SELECT value FROM settings WHERE name = ? AND value = ?"
			var value string
			if err := d.QueryRow(ctx, query, args...).Scan(&value); !db.IsNone(err) {
				t.Errorf("%q: %q, %v", name, value, err)
			}
			if err := d.Tx(ctx, func(tx *db.Tx) error { return tx.QueryRow(ctx, query, args...).Scan(&value) }); !db.IsNone(err) {
				t.Errorf("%q in a transaction: %q, %v", name, value, err)
			}
			if args[0] != name {
				t.Errorf("the caller's arguments were changed")
			}
		}
	})
}

// One text of a caller must not keep a whole write, and the job that makes it, from ever succeeding.
func TestATextThatNoRowCanHoldIsWrittenAsItIsAskedFor(t *testing.T) {
	ctx := context.Background()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, name := range []string{"\x00", "b\x00", "c\xff\xfe"} {
			if n, err := d.Exec(ctx, "DELETE FROM settings WHERE name = ?", name); n != 0 || err != nil {
				t.Errorf("%q: %d are deleted, %v", name, n, err)
			}
			err := d.Tx(ctx, func(tx *db.Tx) error {
				return tx.Insert(ctx, "settings", []string{"name", "value"}, "", 1, func(_ int, args []any) []any { return append(args, name, "kept") })
			})
			var value string
			if err == nil {
				err = d.QueryRow(ctx, "SELECT value FROM settings WHERE name = ?", name).Scan(&value)
			}
			if value != "kept" || err != nil {
				t.Errorf("%q: %q, %v", name, value, err)
			}
		}
	})
}
