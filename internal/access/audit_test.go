package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/caller"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

func fill(t *testing.T, a *Audit, n int) {
	t.Helper()
	for i := range n {
		ctx := caller.With(context.Background(), &caller.Caller{KeyID: fmt.Sprintf("key_%d", i%3)})
		if err := a.Note(ctx, Entry{Action: "call.read", Target: fmt.Sprintf("call_%d", i), Detail: map[string]int{"n": i}}); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t *testing.T, a *Audit, noted Head) Report {
	t.Helper()
	r, err := a.Verify(context.Background(), noted)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnUntouchedLogIsWhole(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := NewAudit(d)
		if r := verify(t, a, Head{}); !r.Whole || r.Entries != 0 {
			t.Fatalf("empty: %+v", r)
		}
		fill(t, a, 5)
		noted, err := a.Head(context.Background())
		if err != nil || noted.Sequence != 5 {
			t.Fatal(noted, err)
		}
		hostile := "a\x00b\xffc'\"\\ü\n"
		if err := a.Note(context.Background(), Entry{Action: hostile, Target: hostile, Detail: map[string]string{hostile: hostile}}); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, a, noted); !r.Whole || r.Entries != 6 || r.Head.Sequence != 6 {
			t.Fatalf("%+v", r)
		}
	})
}

func TestTamperingIsFound(t *testing.T) {
	const set = "UPDATE settings SET value = ? WHERE name = '" + headSetting + "'"
	for name, c := range map[string]struct {
		at     int64
		reason string
		do     []string
	}{
		"an edited target":            {3, "was changed", []string{"UPDATE audit SET target = 'x' WHERE sequence = 3"}},
		"an edited actor":             {1, "was changed", []string{"UPDATE audit SET actor = 'x' WHERE sequence = 1"}},
		"an edited time":              {5, "was changed", []string{"UPDATE audit SET at = at + 1 WHERE sequence = 5"}},
		"text moved to its neighbour": {2, "was changed", []string{"UPDATE audit SET action = action || SUBSTR(target, 1, 1), target = SUBSTR(target, 2) WHERE sequence = 2"}},
		"a deletion in the middle":    {3, "is gone", []string{"DELETE FROM audit WHERE sequence = 3"}},
		"a deletion, closed up":       {3, "does not follow", []string{"DELETE FROM audit WHERE sequence = 3", "UPDATE audit SET sequence = 3 WHERE sequence = 4", "UPDATE audit SET sequence = 4 WHERE sequence = 5"}},
		"two exchanged":               {2, "does not follow", []string{"UPDATE audit SET sequence = 99 WHERE sequence = 2", "UPDATE audit SET sequence = 2 WHERE sequence = 3", "UPDATE audit SET sequence = 3 WHERE sequence = 99"}},
		"the first gone":              {1, "is gone", []string{"DELETE FROM audit WHERE sequence = 1"}},
		"the end cut off":             {5, "cut off", []string{"DELETE FROM audit WHERE sequence = 5"}},
		"all gone":                    {1, "cut off", []string{"DELETE FROM audit"}},
		"the witness gone":            {5, "witness", []string{"DELETE FROM settings WHERE name = '" + headSetting + "'"}},
		"one appended by hand":        {6, "was changed", []string{"INSERT INTO audit SELECT 6, at, actor, action, target, detail, hash, previous FROM audit WHERE sequence = 5"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := openSQLite(t)
			a := NewAudit(d)
			fill(t, a, 5)
			for _, statement := range c.do {
				if _, err := d.Exec(context.Background(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if r := verify(t, a, Head{}); r.Whole || r.BrokenAt != c.at || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("a chain written anew is found by a head noted outside", func(t *testing.T) {
		d := openSQLite(t)
		a := NewAudit(d)
		fill(t, a, 5)
		noted, err := a.Head(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Exec(context.Background(), "DELETE FROM audit"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Exec(context.Background(), set, `{"sequence":0,"hash":"`+genesis+`"}`); err != nil {
			t.Fatal(err)
		}
		fill(t, a, 4)
		if r := verify(t, a, Head{}); !r.Whole {
			t.Fatalf("without it nothing shows: %+v", r)
		}
		if r := verify(t, a, noted); r.Whole || r.BrokenAt != 5 {
			t.Errorf("shorter: %+v", r)
		}
		fill(t, a, 2)
		if r := verify(t, a, noted); r.Whole || r.BrokenAt != 5 || !strings.Contains(r.Reason, "anew") {
			t.Errorf("longer: %+v", r)
		}
	})
}

func TestParallelWritersMakeOneChainWithoutGaps(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		const writers, each = 6, 25
		refused := errors.New("the change failed")
		first := open()
		var done sync.WaitGroup
		for w := range writers {
			d := first
			if first.Engine() == db.Postgres && w%2 == 1 {
				d = open()
			}
			done.Go(func() {
				a := NewAudit(d)
				for i := range each {
					err := d.Tx(context.Background(), func(tx *db.Tx) error {
						if err := a.Record(context.Background(), tx, Entry{Action: "test.write", Target: fmt.Sprint(w, i)}); err != nil {
							return err
						}
						if i%5 == 4 {
							return refused // its entry must leave no gap
						}
						return nil
					})
					if err != nil && !errors.Is(err, refused) {
						t.Error(err)
					}
				}
			})
		}
		watched := make(chan struct{})
		go func() { // it must also be whole while it grows
			defer close(watched)
			for range 10 {
				if r, err := NewAudit(first).Verify(context.Background(), Head{}); err != nil || !r.Whole {
					t.Errorf("%+v %v", r, err)
				}
			}
		}()
		done.Wait()
		<-watched
		if r := verify(t, NewAudit(first), Head{}); !r.Whole || r.Entries != writers*each*4/5 {
			t.Errorf("%+v", r)
		}
	})
}

func TestTheAuditLogIsListed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, a := context.Background(), NewAudit(d)
		fill(t, a, 7)
		if err := a.Note(ctx, Entry{Action: "key.create", Target: "key_x"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name   string
			filter Filter
			want   []int64
		}{
			{"all, the newest first", Filter{Limit: 3}, []int64{8, 7, 6}},
			{"the next page", Filter{Limit: 3, Before: 6}, []int64{5, 4, 3}},
			{"what came after", Filter{After: 6}, []int64{8, 7}},
			{"by actor", Filter{Actor: "key:key_0"}, []int64{7, 4, 1}},
			{"by target", Filter{Target: "call_2"}, []int64{3}},
			{"by action", Filter{Action: "key.create"}, []int64{8}},
			{"by the noun of the action", Filter{Action: "key."}, []int64{8}},
			{"not by a part of the noun", Filter{Action: "ke."}, nil},
			{"by time", Filter{From: time.Now().Add(time.Hour)}, nil},
			{"until now", Filter{To: time.Now().Add(time.Hour), Limit: 1}, []int64{8}},
		} {
			list, err := a.List(ctx, c.filter)
			if err != nil || len(list) != len(c.want) {
				t.Fatalf("%s: %v %v", c.name, list, err)
			}
			for i, r := range list {
				if r.Sequence != c.want[i] {
					t.Errorf("%s: %d is %d", c.name, i, r.Sequence)
				}
			}
		}
	})
}

func BenchmarkAuditRecord(b *testing.B) {
	d := openSQLite(b)
	a := NewAudit(d)
	for b.Loop() {
		if err := a.Note(context.Background(), Entry{Action: "call.read", Target: "call_1"}); err != nil {
			b.Fatal(err)
		}
	}
}
