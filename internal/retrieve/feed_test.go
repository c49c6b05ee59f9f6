package retrieve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/fault"
	"airfield/internal/index"
)

var background = context.Background()

func (b *bench) catchUp() {
	b.t.Helper()
	if err := b.Feed.CatchUp(background, "col_1"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) indexed() []string {
	b.t.Helper()
	ids := []string{}
	for id, err := range b.Index.Documents(background, "gen_col_1") {
		if err != nil {
			b.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (b *bench) position() int64 {
	b.t.Helper()
	n, err := b.Index.Sequence(background, "gen_col_1")
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestTheIndexFollowsTheChanges(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.catchUp()
		if b.idx.replace != 0 {
			t.Error("nothing to do, yet it wrote")
		}
		b.put("col_1", "doc_1", 1, caller.Internal, "one", "two", "three")
		b.put("col_1", "doc_2", 1, caller.Internal, "four")
		b.catchUp()
		b.put("col_1", "doc_1", 2, caller.Internal, "one again")
		if len(b.Feed.compactions) != 0 {
			t.Error("nothing was deleted yet")
		}
		b.remove("col_1", "doc_2", true)
		writes := b.idx.replace
		b.catchUp()
		if got := b.indexed(); !slices.Equal(got, []string{"doc_1"}) || b.position() != 4 || b.idx.replace != writes+1 {
			t.Error(got, b.position(), b.idx.replace-writes)
		}
		if asked := b.Feed.compactions["col_1"].asked; asked.IsZero() {
			t.Error("a deletion must take the words off the disk too")
		}
		for document, want := range map[string]int{"doc_1": 1, "doc_2": 0} {
			if n, err := b.Feed.Count(background, "col_1", document); err != nil || n != want {
				t.Error(document, n, err)
			}
		}
	})
}

func TestARebuildLeavesExactlyTheLiveDocuments(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for i := range 70 {
			b.put("col_1", fmt.Sprintf("doc_%02d", i), 1, caller.Internal, "text")
		}
		b.remove("col_1", "doc_69", true)
		orphan := index.Document{ID: "doc_orphan", Tier: caller.Public, Chunks: []index.Chunk{{ID: "chk_orphan", Text: "text"}}}
		if err := b.Index.Replace(background, "gen_col_1", []index.Document{orphan}, 0); err != nil {
			t.Fatal(err)
		}
		b.catchUp()
		if got := b.indexed(); len(got) != 69 || got[0] != "doc_00" || slices.Contains(got, "doc_orphan") || b.position() != 71 {
			t.Error(len(got), b.position())
		}
	})
}

func TestAnIndexThatDoesNotFitTheChangesIsBuiltAnew(t *testing.T) {
	for name, spoil := range map[string]func(b *bench){
		"the database went back to a backup": func(b *bench) {
			b.exec("DELETE FROM changes WHERE sequence > 1")
			b.exec("UPDATE collections SET sequence = 1")
			b.exec("UPDATE documents SET deleted_at = 1, live_version_id = NULL WHERE id = 'doc_2'")
		},
		"the changes in between are gone": func(b *bench) {
			b.remove("col_1", "doc_2", true)
			b.put("col_1", "doc_3", 1, caller.Internal, "text")
			b.exec("DELETE FROM changes WHERE sequence < 4")
			b.remove("col_1", "doc_3", true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				b.put("col_1", "doc_1", 1, caller.Internal, "text")
				b.put("col_1", "doc_2", 1, caller.Internal, "text")
				b.catchUp()
				spoil(b)
				b.catchUp()
				if got := b.indexed(); !slices.Equal(got, []string{"doc_1"}) {
					t.Error(got)
				}
				var want int64
				if err := b.DB.QueryRow(background, "SELECT sequence FROM collections").Scan(&want); err != nil || b.position() != want {
					t.Error(b.position(), want, err)
				}
			})
		})
	}
}

func TestOneRefusedDocumentDoesNotHoldUpTheOthers(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.idx.refuse = "doc_2"
		for i := 1; i <= 3; i++ {
			b.put("col_1", fmt.Sprintf("doc_%d", i), 1, caller.Internal, "text")
		}
		b.catchUp()
		if got := b.indexed(); !slices.Equal(got, []string{"doc_1", "doc_3"}) || b.position() != 3 {
			t.Error(got, b.position())
		}
	})
}

// Many write and many wait: after each CatchUp what its caller wrote before is found.
func TestEveryWaiterSeesWhatItWrote(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 8 {
					document := fmt.Sprintf("doc_%d_%d", w, i)
					b.put("col_1", document, 1, caller.Internal, "text")
					if err := b.Feed.CatchUp(background, "col_1"); err != nil {
						t.Error(err)
					}
					if n, err := b.Index.Count(background, "gen_col_1", document); n != 1 || err != nil {
						t.Error(document, n, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestADeletedCollectionLeavesTheIndex(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("col_1", "doc_1", 1, caller.Internal, "text")
		b.catchUp()
		b.exec("UPDATE collections SET deleted_at = 1")
		b.catchUp()
		if spaces, err := b.Index.Spaces(background); err != nil || len(spaces) != 0 {
			t.Error(spaces, err)
		}
		if err := b.Feed.CatchUp(background, "col_none"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestAWaiterLeavesAndTheCatchUpGoesOn(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("col_1", "doc_1", 1, caller.Internal, "text")
		ctx, cancel := context.WithCancel(background)
		cancel()
		if err := b.Feed.join(ctx, "col_1", "gen_col_1"); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		b.Feed.running.Wait()
		if b.position() != 1 {
			t.Error(b.position())
		}
		b.Feed.Close()
		b.put("col_1", "doc_2", 1, caller.Internal, "text")
		if err := b.Feed.CatchUp(background, "col_1"); !fault.Is(err, fault.Unavailable) {
			t.Error("a closed feed starts nothing", err)
		}
	})
}

func TestRunKeepsUpWithoutBeingAsked(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if err := b.Index.Replace(background, "gen_gone", []index.Document{{ID: "x", Tier: caller.Public, Chunks: []index.Chunk{{ID: "y", Text: "z"}}}}, 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(background)
		done := make(chan error, 1)
		go func() { done <- b.Feed.Run(ctx) }()
		b.put("col_1", "doc_1", 1, caller.Internal, "text")
		b.Feed.Notify()
		deadline := time.Now().Add(10 * time.Second)
		for b.position() != 1 {
			if time.Now().After(deadline) {
				t.Fatal("it does not keep up")
			}
			time.Sleep(5 * time.Millisecond)
		}
		for {
			spaces, err := b.Index.Spaces(background)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Equal(spaces, []string{"gen_col_1"}) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("a space that nobody has stays", spaces)
			}
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTheSizeOfAnIndexIsToldByCollection(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collection("col_2", "empty")
		b.put("col_1", "doc_1", 1, caller.Internal, "one", "two", "three")
		b.catchUp()
		one, err := b.Feed.Size(background, "col_1")
		if err != nil || one.Documents != 1 || one.Chunks != 3 || one.Bytes == 0 {
			t.Error(one, err)
		}
		all, err := b.Feed.Sizes(background)
		if err != nil || len(all) != 2 || all["papers"].Chunks != 3 || all["empty"].Chunks != 0 {
			t.Error(all, err)
		}
		if _, err := b.Feed.Size(background, "col_none"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		counted := map[string]int{}
		b.Searched = func(collection string) { counted[collection]++ }
		if _, err := b.Search(who(caller.Restricted, "papers"), Request{Collections: []string{"papers"}, Query: "two"}); err != nil || counted["papers"] != 1 || len(counted) != 1 {
			t.Error(counted, err)
		}
	})
}
