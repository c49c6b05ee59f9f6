package db_test

import (
	"context"
	"fmt"
	"testing"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

func TestInsertWritesEveryRowOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, total := context.Background(), 0
		for _, n := range []int{0, 1, 63, 64, 65, 130} {
			for range 2 { // the second time every row is there already
				if err := d.Tx(ctx, func(tx *db.Tx) error {
					return tx.Insert(ctx, "settings", []string{"name", "value"}, "ON CONFLICT DO NOTHING", n, func(i int, args []any) []any {
						return append(args, fmt.Sprint(n, " ", i), fmt.Sprint(i))
					})
				}); err != nil {
					t.Fatal(n, err)
				}
			}
			total += n
		}
		var rows, sum int
		if err := d.QueryRow(ctx, "SELECT COUNT(*), SUM(CAST(value AS BIGINT)) FROM settings").Scan(&rows, &sum); err != nil || rows != total || sum != 63*62/2+64*63/2+65*64/2+130*129/2 {
			t.Fatal(rows, sum, err)
		}
		err := d.Tx(ctx, func(tx *db.Tx) error {
			return tx.Insert(ctx, "settings", []string{"name", "value"}, "", 70, func(i int, args []any) []any { return append(args, fmt.Sprint(max(i, 1)), "") })
		})
		if !db.IsUnique(err) {
			t.Fatal(err)
		}
		if err := d.QueryRow(ctx, "SELECT COUNT(*) FROM settings").Scan(&rows); err != nil || rows != total {
			t.Fatal("a failed insert left rows:", rows, err)
		}
	})
}
