package dbtest

import (
	"context"
	"testing"

	"airfield/internal/db"
)

func TestEachTestHasADatabaseOfItsOwnWithTheSchema(t *testing.T) {
	ctx := context.Background()
	for range 2 {
		Run(t, func(t *testing.T, open func() *db.DB) {
			a := open()
			if _, err := a.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?)", "a", "b"); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := open().QueryRow(ctx, "SELECT COUNT(*) FROM settings").Scan(&n); err != nil || n != 1 {
				t.Fatal(n, err)
			}
		})
	}
}

func TestTheTestServerHasVectors(t *testing.T) {
	d := Open(t, Postgres(t))
	if _, err := d.Exec(context.Background(), "CREATE EXTENSION vector"); err != nil {
		t.Fatal(err)
	}
	var distance float64
	if err := d.QueryRow(context.Background(), "SELECT '[1,2]'::vector <-> '[1,4]'::vector").Scan(&distance); err != nil || distance != 2 {
		t.Fatal(distance, err)
	}
}
