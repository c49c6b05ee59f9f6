package retrieve

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"airfield/internal/db/dbtest"
	"airfield/internal/index"
)

// rewritten counts compactions; everything else of it is not used.
type rewritten struct {
	index.Index
	spaces []string
}

func (r *rewritten) Compact(_ context.Context, space string) error {
	r.spaces = append(r.spaces, space)
	return nil
}

func TestACompactionServesAllThatAskedBeforeItBegan(t *testing.T) {
	database := dbtest.Open(t, dbtest.SQLite(t))
	ctx := context.Background()
	if _, err := database.Exec(ctx, "INSERT INTO generations (id, collection_id, model, dimensions, state, created_at) VALUES ('gen_1', 'col_1', 'm', 1, 'live', 0)"); err != nil {
		t.Fatal(err)
	}
	idx := &rewritten{}
	f := NewFeed(Default(), database, idx, slog.New(slog.DiscardHandler))
	defer f.Close()
	deleted := time.Now()
	for range 2 {
		if f.Compacted("col_1", deleted) {
			t.Fatal("nothing was compacted yet")
		}
	}
	if len(f.due()) != 0 {
		t.Fatal("deletions are gathered for a while")
	}
	f.compactions["col_1"] = compaction{asked: time.Now().Add(-compactAfter)}
	if ids := f.due(); len(ids) != 1 || f.compact(ctx, ids[0]) != nil {
		t.Fatalf("due %v", ids)
	}
	if !f.Compacted("col_1", deleted) || len(f.due()) != 0 || len(idx.spaces) != 1 || idx.spaces[0] != "gen_1" {
		t.Fatalf("compacted %v, still due %v", idx.spaces, f.due())
	}
	if f.Compacted("col_1", time.Now()) {
		t.Fatal("a later deletion needs a later compaction")
	}
	f.compactions["col_1"] = compaction{asked: time.Now().Add(-compactAfter), began: time.Now().Add(-time.Minute), took: time.Minute}
	if len(f.due()) != 0 {
		t.Fatal("what takes long is not done all the time")
	}
}
