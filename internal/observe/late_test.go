package observe

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/journal"
	"airfield/internal/llm"
)

// refusing is a journal with a disk that may be full.
type refusing struct {
	*journal.Journal
	full atomic.Bool
}

func (r *refusing) Append(record []byte) error {
	if r.full.Load() {
		return fault.New(fault.Unavailable, "disk_full", "the disk of the journal is full")
	}
	return r.Journal.Append(record)
}

func TestTheEndOfACallWaitsForAFullDiskAndIsTheRow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		j := &refusing{Journal: openJournal(t, t.TempDir())}
		r := NewRecorder(j, nil, quiet)
		c := Default()
		c.Linger = time.Millisecond
		drain := start(t, NewDrain(d, j.Journal, c, nil, quiet))
		calls := []llm.Call{sampleCall(), sampleCall(), sampleCall()}
		for i := range calls {
			a := admitted(calls[i])
			if err := r.Admit(&a); err != nil {
				t.Fatal(err)
			}
		}
		j.full.Store(true)
		for i := range calls {
			if err := r.Finish(&calls[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Admit(&calls[0]); fault.As(err).Code != "disk_full" {
			t.Error("a call is let in to a full disk:", err)
		}
		drain.flush(t)
		if n := count(t, d, "SELECT COUNT(*) FROM calls"); n != 0 {
			t.Error(n, "rows of calls whose end is not written")
		}
		j.full.Store(false)
		r.Retry()
		drain.flush(t)
		if n := count(t, d, "SELECT COUNT(*) FROM calls WHERE outcome = 'ok' AND nanos_usd = 36000"); n != 3 {
			t.Error(n, "of 3 calls are there as they ended")
		}

		// Nobody asks for it: it is tried again by itself.
		last := sampleCall()
		a := admitted(last)
		r.Admit(&a)
		j.full.Store(true)
		r.Finish(&last)
		j.full.Store(false)
		for end := time.Now().Add(10 * time.Second); count(t, d, "SELECT COUNT(*) FROM calls") != 4; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the end was not tried again")
			}
		}
		r.Close()
	})
}

func TestWhatWaitsForAFullDiskIsBoundedAndClosingTriesOnceMore(t *testing.T) {
	j := &refusing{Journal: openJournal(t, t.TempDir())}
	r := NewRecorder(j, nil, quiet)
	j.full.Store(true)
	refused := sampleCall()
	refused.Outcome, refused.Attempts, refused.Error = llm.Failed, nil, strings.Repeat("x", 100<<10)
	served := sampleCall()
	served.Error = refused.Error
	kept := 0
	for r.Finish(&refused) == nil {
		kept++
	}
	for r.Finish(&served) == nil {
		kept++
	}
	if r.late.bytes > maxLate || r.late.bytes < maxLate-200<<10 || len(r.late.ends) != kept {
		t.Errorf("%d bytes of %d calls wait", r.late.bytes, kept)
	}
	j.full.Store(false)
	before := j.Stats().Appended
	r.Close()
	if n := j.Stats().Appended - before; n != uint64(kept) {
		t.Errorf("%d of %d were brought in at the end", n, kept)
	}
	if err := r.Finish(&served); err != nil {
		t.Error(err) // the journal is still open
	}
	reader := j.Reader(journal.Position{})
	defer reader.Close()
	if _, _, err := reader.Next(context.Background()); err != nil {
		t.Error(err)
	}
}
