package pgvector

import (
	"log/slog"
	"testing"

	"airfield/internal/db/dbtest"
	"airfield/internal/index"
	"airfield/internal/index/indextest"
)

func open(t testing.TB, url string) *Index {
	t.Helper()
	c := index.DefaultConfig()
	c.URL = url
	x, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func TestConformance(t *testing.T) {
	indextest.Run(t, func(t *testing.T) index.Index { return open(t, dbtest.Postgres(t)) })
}
