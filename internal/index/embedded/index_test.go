package embedded

import (
	"log/slog"
	"testing"

	"airfield/internal/index"
	"airfield/internal/index/indextest"
)

func open(t testing.TB, dir string) *Index {
	t.Helper()
	x, err := Open(dir, Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func TestConformance(t *testing.T) {
	indextest.Run(t, func(t *testing.T) index.Index { return open(t, t.TempDir()) })
}
