package retrieve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airfield/internal/caller"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/index"
)

func TestAPassageSaysWhereItIsFrom(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("col_1", "doc_1", 1, caller.Internal, "Cranes lift containers.", "Ferries carry passengers.")
		out, err := b.Search(who(caller.Internal, "papers"), Request{Collections: []string{"col_1", "papers"}, Query: "who carries passengers"})
		if err != nil || len(out.Passages) == 0 {
			t.Fatal(out, err)
		}
		got := out.Passages[0]
		if got.Score <= 0 || got.Score > 1 {
			t.Error("score", got.Score)
		}
		got.Score = 0
		want := Passage{
			ChunkID: "chk_doc_1_1_1", DocumentID: "doc_1", VersionID: "ver_doc_1_1", Version: 1, CollectionID: "col_1", Collection: "papers", Generation: "gen_col_1", Title: "Title of doc_1",
			Name: "doc_1.md", Source: "upload", SourceKey: "doc_1.md", Heading: []string{"Title of doc_1", "Part 2"}, PageFrom: 2, PageTo: 2, Text: "Ferries carry passengers.",
			Kind: "text", Tokens: 6, Tier: caller.Internal,
			Attributes: map[string]any{"title": "Title of doc_1", "source": "upload", "type": "policy", "tier": "internal", "date": float64(1767312000), "tags": []string{"a", "b"}, "region": "north", "floor": 3.0},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		var names []string
		for _, s := range b.spans.list {
			if s.TraceID == out.TraceID {
				names = append(names, s.Name)
			}
		}
		if !slices.Equal(names, []string{"retrieve.embed", "index.search", "retrieve.check", "retrieve.search"}) {
			t.Error(names)
		}
	})
}

func TestClearanceFailsClosed(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for tier := caller.Public; tier <= caller.Restricted; tier++ {
			b.put("col_1", fmt.Sprintf("doc_%d", tier), 1, tier, "The harbour is deep.")
		}
		for clearance, want := range map[caller.Tier]int{caller.None: 0, caller.Public: 1, caller.Internal: 2, caller.Confidential: 3, caller.Restricted: 4, 5: 0, -1: 0} {
			for _, mode := range []Mode{Hybrid, Keyword, Vector} {
				if got := b.search(who(clearance, "papers"), Request{Query: "deep harbour", Mode: mode}); len(got) != want {
					t.Errorf("clearance %s, %s: %v", clearance, mode, got)
				}
			}
		}
		for name, ctx := range map[string]context.Context{
			"nobody": context.Background(), "a workflow that reads other things": who(caller.Restricted, "others"), "a workflow that reads nothing": who(caller.Restricted),
		} {
			if _, err := b.Search(ctx, Request{Collections: []string{"papers"}, Query: "x"}); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		maker := caller.With(context.Background(), &caller.Caller{Role: caller.Workflow, Workflow: "maker", Clearance: caller.Public})
		if got := b.search(maker, Request{Query: "harbour"}); len(got) != 1 {
			t.Error("who made the collection reads it", got)
		}
	})
}

// The index is behind in every way it can be; nothing that must not be seen may leave.
func TestHitsThatTheDatabaseDoesNotConfirmAreDropped(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := who(caller.Internal, "papers")
		for _, d := range []string{"doc_1", "doc_2", "doc_3", "doc_4", "doc_5"} {
			b.put("col_1", d, 1, caller.Internal, "Tugs pull ships, says "+d)
		}
		if got := b.search(ctx, Request{Query: "tugs"}); len(got) != 5 {
			t.Fatal(got)
		}
		b.remove("col_1", "doc_1", false)
		b.exec("UPDATE documents SET tier = 4 WHERE id = 'doc_2'")
		b.exec("UPDATE documents SET live_version_id = 'ver_none' WHERE id = 'doc_3'")
		b.exec("UPDATE documents SET tier = 0 WHERE id = 'doc_4'")
		out, err := b.Search(ctx, Request{Collections: []string{"papers"}, Query: "tugs"})
		if err != nil || len(out.Passages) != 1 || out.Passages[0].DocumentID != "doc_5" || out.Dropped != 4 {
			t.Fatal(out, err)
		}
		north := index.Filter{Type: index.Eq, Key: "region", Value: "north"}
		if got := b.search(ctx, Request{Query: "tugs", Filter: north}); len(got) != 1 {
			t.Error(got)
		}
		b.exec(`UPDATE documents SET metadata = '{"region":"south"}' WHERE id = 'doc_5'`)
		if got := b.search(ctx, Request{Query: "tugs", Filter: north}); len(got) != 0 {
			t.Error("a filter holds for what the document says now", got)
		}
		b.exec("UPDATE collections SET deleted_at = 9")
		if _, err := b.Search(ctx, Request{Collections: []string{"papers"}, Query: "tugs"}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestWhatIsWrittenIsFoundAndWhatIsDeletedIsNotByTheNextQuery(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := who(caller.Internal, "papers")
		for i := 1; i <= 8; i++ {
			doc := fmt.Sprintf("doc_%d", i)
			b.put("col_1", doc, 1, caller.Internal, "first edition "+doc)
			b.put("col_1", doc, 2, caller.Internal, "second edition "+doc)
			if got := b.search(ctx, Request{Query: "edition", Limit: 50}); len(got) != 1 || got[0] != "chk_"+doc+"_2_0" {
				t.Fatal(got)
			}
			b.remove("col_1", doc, true)
			if got := b.search(ctx, Request{Query: "edition"}); len(got) != 0 {
				t.Fatal(got)
			}
		}
	})
}

// Half a hundred deleted documents rank first in an index that nobody told; the search asks for more until it is full.
func TestASearchIsFilledUpWhenManyHitsAreDropped(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := who(caller.Internal, "papers")
		for i := range 60 {
			b.put("col_1", fmt.Sprintf("doc_gone%d", i), 1, caller.Internal, "quay quay quay")
		}
		b.put("col_1", "doc_here", 1, caller.Internal, "There is a quay, and around it much else that makes this a long passage about nothing at all.")
		if got := b.search(ctx, Request{Query: "quay", Limit: 1}); len(got) != 1 {
			t.Fatal(got)
		}
		for i := range 60 {
			b.remove("col_1", fmt.Sprintf("doc_gone%d", i), false)
		}
		if got := b.search(ctx, Request{Query: "quay", Limit: 2}); !slices.Equal(got, []string{"chk_doc_here_1_0"}) {
			t.Error(got)
		}
	})
}

func TestSearchGoesOnWithoutWhatItCanSpare(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := who(caller.Internal, "papers")
		b.put("col_1", "doc_1", 1, caller.Internal, "Pilots guide ships.")
		b.search(ctx, Request{Query: "pilots"})
		b.model.fail = errors.New("away")
		out, err := b.Search(ctx, Request{Collections: []string{"papers"}, Query: "pilots"})
		if err != nil || len(out.Passages) != 1 || out.Degraded != "keyword" {
			t.Error("without the embedder", out, err)
		}
		if _, err := b.Search(ctx, Request{Collections: []string{"papers"}, Query: "pilots", Mode: Vector}); err == nil {
			t.Error("a search by vectors needs the embedder")
		}
		b.model.fail = fault.New(fault.Limited, "budget", "used up")
		if _, err := b.Search(ctx, Request{Collections: []string{"papers"}, Query: "pilots"}); !fault.Is(err, fault.Limited) {
			t.Error("a limit is no reason to search otherwise", err)
		}
		b.model.fail = nil
		b.idx.fail = errors.New("disk full")
		b.put("col_1", "doc_2", 1, caller.Internal, "More pilots.")
		out, err = b.Search(ctx, Request{Collections: []string{"papers"}, Query: "pilots"})
		if err != nil || len(out.Passages) != 1 || !out.Behind {
			t.Error("without the newest", out, err)
		}
		b.idx.fail = nil
		if got := b.search(ctx, Request{Query: "pilots"}); len(got) != 2 {
			t.Error(got)
		}
	})
}

func TestSeveralCollectionsAreSearchedAsOne(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.collection("col_2", "letters")
		b.put("col_1", "doc_1", 1, caller.Internal, "Anchors hold ships in place.")
		b.put("col_2", "doc_2", 1, caller.Internal, "Anchors are made of steel.")
		both := []string{"papers", "letters"}
		if got := b.search(who(caller.Internal, both...), Request{Collections: both, Query: "steel anchors"}); !slices.Equal(got, []string{"chk_doc_2_1_0", "chk_doc_1_1_0"}) {
			t.Error(got)
		}
		if _, err := b.Search(who(caller.Internal, "papers"), Request{Collections: both, Query: "anchors"}); !fault.Is(err, fault.NotFound) {
			t.Error("one of them may not be read", err)
		}
	})
}

func TestPassagesBelowTheLeastScoreAreLeftOut(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("col_1", "doc_1", 1, caller.Internal, "Buoys mark the channel.", "The channel is dredged each spring, before the first large ships of the season arrive.")
		for least, want := range map[float64]int{0: 2, 0.9: 1, 1: 1} {
			if got := b.search(who(caller.Internal, "papers"), Request{Query: "buoys mark the channel", MinScore: least}); len(got) != want {
				t.Errorf("%g: %v", least, got)
			}
		}
	})
}

func TestBadRequestsAreRefused(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for name, q := range map[string]Request{
			"no query":           {Query: " \n"},
			"not UTF-8":          {Query: "a\xff"},
			"unknown mode":       {Query: "a", Mode: "magic"},
			"too many passages":  {Query: "a", Limit: 1000},
			"negative limit":     {Query: "a", Limit: -1},
			"score out of range": {Query: "a", MinScore: 2},
			"bad filter":         {Query: "a", Filter: index.Filter{Type: "like", Key: "a"}},
			"no collection":      {Query: "a", Collections: []string{}},
			"many collections":   {Query: "a", Collections: make([]string, 40)},
		} {
			if q.Collections == nil {
				q.Collections = []string{"papers"}
			}
			if _, err := b.Search(who(caller.Internal, "papers"), q); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := b.Search(who(caller.Internal, "papers"), Request{Collections: []string{"papers"}, Query: strings.Repeat("a", 1<<20)}); !fault.Is(err, fault.TooLarge) {
			t.Error(err)
		}
	})
}

func TestALeavingCallerEndsTheSearch(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.put("col_1", "doc_1", 1, caller.Internal, "text")
		ctx, cancel := context.WithCancel(who(caller.Internal, "papers"))
		cancel()
		start := time.Now()
		if _, err := b.Search(ctx, Request{Collections: []string{"papers"}, Query: "text"}); !fault.Is(err, fault.Cancelled) {
			t.Error(err)
		}
		if time.Since(start) > 5*time.Second {
			t.Error("it went on")
		}
	})
}

func TestScoresKeepHowFarApartHitsAre(t *testing.T) {
	got := fuse([]list{
		{model: "m", weight: 0.25, hits: index.Hits{Keyword: []index.Hit{{ChunkID: "a", Score: 8}, {ChunkID: "b", Score: 4}}, Vector: []index.Hit{{ChunkID: "b", Score: 0.5}, {ChunkID: "c", Score: 0.25}, {ChunkID: "d", Score: -0.1}}}},
		{model: "n", weight: 1, hits: index.Hits{Vector: []index.Hit{{ChunkID: "e", Score: 0.9}}}},
	})
	want := []hit{{"e", 1}, {"a", 0.75}, {"b", 0.625}, {"c", 0.125}}
	if !slices.Equal(got, want) {
		t.Error(got)
	}
	if fuse(nil) == nil || len(fuse([]list{{}})) != 0 {
		t.Error("nothing found is an empty list")
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	if warnings, err := Default().Check(); err != nil || len(warnings) > 0 {
		t.Error(warnings, err)
	}
	for name, spoil := range map[string]func(*Config){
		"limit above the most": func(c *Config) { c.Limit = 51 }, "no passages": func(c *Config) { c.Passages = 0 }, "no model": func(c *Config) { c.AnswerModel = "" },
		"weight above one": func(c *Config) { c.VectorWeight = 1.1 }, "a model's weight below zero": func(c *Config) { c.VectorWeights = map[string]float64{"m": -1} },
		"no wait": func(c *Config) { c.CatchUp = 0 }, "busy loop": func(c *Config) { c.Interval = time.Millisecond },
	} {
		c := Default()
		spoil(&c)
		if _, err := c.Check(); err == nil {
			t.Error(name)
		}
	}
	c := Default()
	c.CatchUp = 30 * time.Second
	if warnings, err := c.Check(); err != nil || len(warnings) != 1 {
		t.Error(warnings, err)
	}
	if c.weight("builtin-embed") != 0.2 || c.weight("other") != 0.5 {
		t.Error("weights")
	}
}

func TestHitsAreCheckedByTheirKeysAlone(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	rows, err := d.Query(t.Context(), "EXPLAIN QUERY PLAN "+confirmQuery(35), make([]any, 35)...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	steps := 0
	for ; rows.Next(); steps++ {
		var a, b, c int
		var step string
		if err := rows.Scan(&a, &b, &c, &step); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(step, "SCAN") || strings.Contains(step, "(collection_id=") {
			t.Errorf("%s: the time grows with the collection", step)
		}
	}
	if err := rows.Err(); err != nil || steps < 5 {
		t.Errorf("%d steps, %v", steps, err)
	}
}
