package access

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/fault"
)

func openKeys(t testing.TB, d *db.DB) *Keys {
	t.Helper()
	k := NewKeys(d, NewAudit(d), "dev", Default(), slog.New(slog.DiscardHandler))
	k.SetWorkflows(map[string]Workflow{"support": {BusinessUnit: "service", Clearance: caller.Internal, Collections: []string{"handbook"}}})
	return k
}

func openSQLite(t testing.TB) *db.DB {
	t.Helper()
	c := db.Default()
	c.URL = "sqlite:" + filepath.Join(t.TempDir(), "airfield.db")
	d, err := db.Open(context.Background(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func wantFault(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.As(err); err == nil || f.Kind != kind || f.Code != code {
		t.Errorf("want %s %s, got %v", kind, code, err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	k := openKeys(b, openSQLite(b))
	_, plaintext, err := k.Create(context.Background(), New{Name: "bench", Role: caller.Workflow, Workflow: "support"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Authenticate(context.Background(), plaintext); err != nil {
			b.Fatal(err)
		}
	}
}
