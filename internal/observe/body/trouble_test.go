package body

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/llm"
)

// away is a bucket that is not there for a while.
type away struct {
	bucket.Bucket
	is atomic.Bool
}

func (a *away) Put(ctx context.Context, key string, r io.Reader, o bucket.PutOptions) (bucket.Object, error) {
	if a.is.Load() {
		return bucket.Object{}, errors.New("the bucket is away")
	}
	return a.Bucket.Put(ctx, key, r, o)
}

func TestWhileTheBucketIsAwayBodiesWaitAndAreShownHere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		gone := &away{}
		w := newWorld(t, d, func(w *world) {
			gone.Bucket, w.bucket = w.bucket, gone
			w.config.SealAfter = 100 * time.Millisecond
		})
		gone.is.Store(true)
		var calls []*llm.Exchange
		for i := range 100 {
			calls = append(calls, w.call("w", fmt.Sprint("question ", i), fmt.Sprint("answer ", i)))
		}
		eventually(t, "a block is sealed", func() bool { return w.spool.oldest() != nil })
		for i, e := range calls {
			w.shows(e, fmt.Sprint("question ", i), fmt.Sprint("answer ", i))
		}
		if n := w.count("SELECT count(*) FROM bodies"); n != 0 {
			t.Errorf("%d rows name what is not in the bucket", n)
		}
		gone.is.Store(false)
		eventually(t, "the rows are there", func() bool { return w.count("SELECT count(*) FROM bodies") == 100 })
		for i, e := range calls {
			w.shows(e, fmt.Sprint("question ", i), fmt.Sprint("answer ", i))
		}
	})
}

func TestWhatIsWaitingIsBounded(t *testing.T) {
	gone := &away{}
	dropped := 0
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)), func(w *world) {
		gone.Bucket, w.bucket = w.bucket, gone
		gone.is.Store(true)
	})
	w.Dropped = func(string) { dropped++ }
	w.spool.total.Add(w.config.SpoolBytes) // as if so much were waiting
	if got := w.Begin(&llm.Exchange{CallID: "call_1", Request: []byte("x")}); got != llm.BodiesDropped || dropped != 1 {
		t.Errorf("%s, %d dropped", got, dropped)
	}
	w.spool.total.Add(-w.config.SpoolBytes)
	if got := w.Begin(&llm.Exchange{CallID: "call_1", Request: []byte("x")}); got != llm.BodiesKept {
		t.Error(got)
	}
	gone.is.Store(false)
}

func TestADiskThatTakesNothingLosesNothingThatFoundRoom(t *testing.T) {
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)), func(w *world) {
		w.config.MaxBytes, w.config.QueueBytes = 1<<10, 64<<10
	})
	dir := filepath.Join(w.dir, "bodies")
	if err := os.RemoveAll(dir); err != nil { // no block can be made in it
		t.Fatal(err)
	}
	var kept []*llm.Exchange
	dropped := false
	for i := 0; !dropped && i < 10_000; i++ {
		e := &llm.Exchange{CallID: fmt.Sprint("call_", i), Workflow: "w", Request: []byte(strings.Repeat("q", 500)), RequestSize: 500}
		if w.Begin(e) == llm.BodiesDropped || !w.Room(100) {
			dropped = true
			break
		}
		e.Answer, e.AnswerSize = []byte("a"), 1
		w.End(e, 100)
		kept = append(kept, e)
	}
	if !dropped || len(kept) == 0 {
		t.Fatal("the queue has no end")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what waited is on the disk", func() bool { return len(w.spool.find(kept[len(kept)-1].CallID)) == 1 })
	for _, e := range kept {
		w.shows(e, strings.Repeat("q", 500), "a")
	}
	if got := w.Begin(&llm.Exchange{CallID: "call_x"}); got != llm.BodiesKept {
		t.Error("there is room again, and it is ", got)
	}
}

func TestABlockThatIsHalfWrittenIsReadUpToThere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		first := w.call("w", "first", "one")
		w.sync(context.Background(), false)
		second := w.call("w", "second", "two")
		w.sync(context.Background(), false)
		b := w.spool.calls[first.CallID][0]
		torn, err := os.ReadFile(b.path)
		if err != nil {
			t.Fatal(err)
		}
		w.stop() // which brings everything to the bucket
		if err := d.Tx(context.Background(), func(tx *db.Tx) error {
			if _, err := tx.Exec(context.Background(), "DELETE FROM bodies"); err != nil {
				return err
			}
			_, err := tx.Exec(context.Background(), "DELETE FROM body_blocks")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.bucket.Purge(context.Background(), object(b.until, b.id), ""); err != nil {
			t.Fatal(err)
		}
		// As a process leaves it that is killed in the middle of a frame.
		if err := os.WriteFile(b.path, torn[:len(torn)-3], 0o600); err != nil {
			t.Fatal(err)
		}
		w.open()
		w.shows(first, "first", "one")
		w.flush()
		w.shows(first, "first", "one")
		if _, err := w.Read(context.Background(), second.CallID); err == nil {
			t.Error("the half frame was read")
		}
	})
}

func TestWhatAStreamSaysInPiecesIsRedactedInTheWhole(t *testing.T) {
	r := mask{"top secret", "1"}
	chunk := func(index int, text string) string {
		return fmt.Sprintf("data: {\"id\":\"x\",\"choices\":[{\"index\":%d,\"delta\":{\"content\":%q}}]}\n\n", index, text)
	}
	for _, c := range []struct{ name, in, want string }{
		{"nothing to take out", chunk(0, "a") + chunk(0, "b") + "data: [DONE]\n\n", chunk(0, "a") + chunk(0, "b") + "data: [DONE]\n\n"},
		{"in one piece", chunk(0, "it is top secret") + chunk(0, "b"), chunk(0, "it is [gone]") + chunk(0, "b")},
		{"cut in two", chunk(0, "it is top") + ": ping\n\n" + chunk(0, " secret."), chunk(0, "it is [gone].") + ": ping\n\n" + chunk(0, "")},
		{"two choices that take turns", chunk(0, "top") + chunk(1, "left") + chunk(0, " secret") + chunk(1, " alone"), chunk(0, "[gone]") + chunk(1, "left") + chunk(0, "") + chunk(1, " alone")},
		{"an event of a response", "event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"top se\"}\n\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"cret\"}\n", "event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"[gone]\"}\n\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\"}\n"},
		{"torn", chunk(0, "top") + "data: {\"choices\":[{\"delta\":{\"content\":\" sec", chunk(0, "top") + "data: {\"choices\":[{\"delta\":{\"content\":\" sec"},
	} {
		if got := string(redactStream(r, []byte(c.in))); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func FuzzPieces(f *testing.F) {
	for _, s := range odd {
		f.Add([]byte(s))
		f.Add([]byte("data: " + s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok := split(b); ok {
			whole := append([]byte(nil), l.before...)
			for i, item := range l.items {
				whole = append(whole, item...)
				if i < len(l.gaps) {
					whole = append(whole, l.gaps[i]...)
				}
			}
			if whole = append(whole, l.after...); string(whole) != string(b) {
				t.Fatalf("%q became %q", b, whole)
			}
		}
		if got := redactStream(mask{"\x00never\x00", ""}, b); string(got) != string(b) {
			t.Fatalf("%q became %q", b, got)
		}
		decode(b)
		rowsOf(b, 0)
	})
}
