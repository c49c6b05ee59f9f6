package access

import (
	"context"
	"log/slog"
	"testing"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
)

func openKeys(t testing.TB, d *db.DB) *Keys {
	t.Helper()
	k := NewKeys(d, NewAudit(d), "dev", Default(), slog.New(slog.DiscardHandler))
	k.SetWorkflows(map[string]Workflow{"support": {BusinessUnit: "service", Clearance: caller.Internal, Collections: []string{"handbook"}}})
	return k
}

func openSQLite(t testing.TB) *db.DB { return dbtest.Open(t, dbtest.SQLite(t)) }

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
