package observe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/cost"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/journal"
	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

var _ telemetry.Sink = (*Recorder)(nil)

func record(t testing.TB, r *Recorder, c llm.Call) {
	t.Helper()
	a := admitted(c)
	if err := errors.Join(r.Admit(&a), r.Finish(&c)); err != nil {
		t.Fatal(err)
	}
}

func newDrain(d *db.DB, j *journal.Journal) *Drain {
	c := Default()
	c.Linger = time.Millisecond
	return NewDrain(d, j, c, nil, quiet, cost.NewLedger(d))
}

// wantTotals checks that calls, ledger and roll-ups tell of the same n calls, each of them a sampleCall.
func wantTotals(t *testing.T, d *db.DB, n int64) {
	t.Helper()
	if got := count(t, d, "SELECT COUNT(*) FROM calls"); got != n {
		t.Errorf("%d calls, not %d", got, n)
	}
	if got := count(t, d, "SELECT COUNT(*) FROM ledger"); got != n {
		t.Errorf("%d ledger entries, not %d", got, n)
	}
	if got := count(t, d, "SELECT CAST(COALESCE(SUM(calls), 0) AS BIGINT) FROM usage_hourly"); got != n {
		t.Errorf("%d calls in the roll-ups, not %d", got, n)
	}
	inCalls, inHours := count(t, d, "SELECT CAST(COALESCE(SUM(nanos_usd), 0) AS BIGINT) FROM calls"), count(t, d, "SELECT CAST(COALESCE(SUM(nanos_usd), 0) AS BIGINT) FROM usage_hourly")
	if inLedger := count(t, d, "SELECT CAST(COALESCE(SUM(nanos_usd), 0) AS BIGINT) FROM ledger"); inCalls != inHours || inCalls != inLedger {
		t.Errorf("%d, %d and %d nano-dollars", inCalls, inHours, inLedger)
	}
}

func TestEachCallIsInTheDatabaseOnceAcrossRestarts(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, open func() *db.DB) {
		dir, d := t.TempDir(), open()
		want := sampleCall()
		want.Tags, want.Error = map[string]string{"team": "é\""}, "a \x00 b"
		for round := range 3 {
			j, err := journal.Open(dir, journal.Config{SegmentBytes: 16 << 10, MaxBytes: 64 << 20}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			drain := newDrain(d, j)
			r := NewRecorder(j, nil, quiet)
			record(t, r, sampleCall()) // before the drain runs
			running := start(t, drain)
			var done sync.WaitGroup
			for range 8 {
				done.Go(func() {
					for range 50 {
						record(t, r, sampleCall())
					}
				})
			}
			done.Wait()
			if round == 1 {
				record(t, r, want)
				running.flush(t)
				got, err := NewStore(d).Call(context.Background(), want.ID)
				want.Error = "a \ufffd b"
				if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%v\n%+v\n%+v", err, got, want)
				}
			}
			r.Span(&telemetry.Span{SpanContext: telemetry.SpanContext{TraceID: telemetry.NewTraceID(), SpanID: telemetry.NewSpanID()}, Name: "x", Start: time.Now(), End: time.Now()})
			running.stop() // brings in what is left
			if lag := drain.Lag(); lag.Records != 0 || lag.Age != 0 || lag.Failing != "" {
				t.Errorf("%+v", lag)
			}
			if s := j.Stats(); s.Segments > 2 {
				t.Errorf("%d segments were not given back", s.Segments)
			}
			j.Close()
		}
		wantTotals(t, d, 3*401+1)
		if n := count(t, d, "SELECT COUNT(*) FROM spans"); n != 3 {
			t.Errorf("%d spans", n)
		}
		if n := count(t, d, "SELECT COUNT(*) FROM calls_open"); n != 0 {
			t.Errorf("%d calls are open", n)
		}
	})
}

func TestACallInFlightOutlivesItsSegmentAndIsCutOnlyByDeath(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		dir := t.TempDir()
		open := func() *journal.Journal {
			j, err := journal.Open(dir, journal.Config{SegmentBytes: 8 << 10, MaxBytes: 64 << 20}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { j.Close() })
			return j
		}
		j := open()
		r, running := NewRecorder(j, nil, quiet), start(t, newDrain(d, j))
		long, cut, recent := sampleCall(), sampleCall(), sampleCall()
		for _, c := range []llm.Call{long, cut} {
			a := admitted(c)
			if err := r.Admit(&a); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 { // the segment of the two is given back meanwhile
			for range 50 {
				record(t, r, sampleCall())
			}
			running.flush(t)
		}
		if j.Stats().Oldest.Segment < 2 {
			t.Fatal("nothing was trimmed")
		}
		if n := count(t, d, "SELECT COUNT(*) FROM calls_open"); n != 2 {
			t.Fatal(n, "are open")
		}
		wantTotals(t, d, 200)
		if err := r.Finish(&long); err != nil {
			t.Fatal(err)
		}
		a := admitted(recent)
		a.Usage.Output, a.Cost, a.Priced = 64, 999, true // the gateway's own estimate
		if err := r.Admit(&a); err != nil {
			t.Fatal(err)
		}
		running.flush(t)
		wantTotals(t, d, 201)
		running.stop()
		j.Close() // what follows is another process

		j = open()
		r, running = NewRecorder(j, nil, quiet), start(t, newDrain(d, j))
		live := sampleCall()
		a = admitted(live)
		if err := r.Admit(&a); err != nil {
			t.Fatal(err)
		}
		running.flush(t)
		if n := count(t, d, "SELECT COUNT(*) FROM calls WHERE id = ?", live.ID); n != 0 {
			t.Error("a call in flight is in the log")
		}
		for callID, want := range map[string]llm.Usage{cut.ID: {Input: 125, Source: llm.Estimated}, recent.ID: {Output: 64, Source: llm.Estimated}} {
			got, err := NewStore(d).Call(context.Background(), callID)
			if err != nil || got.Outcome != llm.Cut || got.Usage != want || got.Workflow != "support" || got.Error == "" {
				t.Errorf("%+v %v", got, err)
			}
		}
		if n := count(t, d, "SELECT COUNT(*) FROM ledger WHERE usage_source = 'estimated'"); n != 2 {
			t.Errorf("%d estimates in the ledger", n)
		}
		if err := r.Finish(&live); err != nil {
			t.Fatal(err)
		}
		running.flush(t)
		if n := count(t, d, "SELECT COUNT(*) FROM calls WHERE outcome = 'ok'"); n != 202 {
			t.Error(n)
		}
		if n := count(t, d, "SELECT COUNT(*) FROM calls_open"); n != 0 {
			t.Errorf("%d calls are open", n)
		}
	})
}

// failing is a sink that fails for as long as it is told to.
type failing struct{ times atomic.Int64 }

func (f *failing) Post(context.Context, *db.Tx, []llm.Call) error {
	if f.times.Add(-1) >= 0 {
		return fault.New(fault.Unavailable, "database_away", "the database is away")
	}
	return nil
}

func TestNothingIsLostOrTwiceWhileTheDatabaseIsAway(t *testing.T) {
	d, j, sink := dbtest.Open(t, dbtest.SQLite(t)), openJournal(t, t.TempDir()), &failing{}
	sink.times.Store(1 << 30)
	drain := NewDrain(d, j, Config{BatchCalls: 10}, nil, quiet, cost.NewLedger(d), sink)
	r, running := NewRecorder(j, nil, quiet), start(t, drain)
	for range 35 {
		record(t, r, sampleCall())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := drain.Flush(ctx); fault.As(err).Code != "log_behind" {
		t.Error(err)
	}
	if lag := drain.Lag(); lag.Records != 70 || lag.Age <= 0 || !strings.Contains(lag.Failing, "away") || lag.Bytes == 0 || lag.Limit == 0 {
		t.Errorf("%+v", lag)
	}
	wantTotals(t, d, 0)
	sink.times.Store(2)
	running.flush(t)
	wantTotals(t, d, 35)
	if lag := drain.Lag(); lag.Records != 0 || lag.Age != 0 || lag.Failing != "" {
		t.Errorf("%+v", lag)
	}
}

func TestACallThatIsRecordedTwiceHoldsUpNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		j := openJournal(t, t.TempDir())
		r, running := NewRecorder(j, nil, quiet), start(t, newDrain(d, j))
		c := sampleCall()
		record(t, r, c)
		running.flush(t)
		again := sampleCall()
		for _, c := range []llm.Call{c, again, again, sampleCall()} {
			record(t, r, c)
		}
		if err := j.Append([]byte("what is this?")); err != nil {
			t.Fatal(err)
		}
		record(t, r, sampleCall())
		running.flush(t)
		wantTotals(t, d, 4)
	})
}

// A row that the database refuses would hold up every call after it, for ever.
func TestNothingThatACallerOrAProviderSendsHoldsUpTheLog(t *testing.T) {
	long := make([]byte, 24<<10) // random, so that no database makes it short
	for i := range long {
		long[i] = 'a' + byte(rand.N(26))
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var calls []llm.Call
		for _, deployment := range []string{"", "openai/gpt-4o-mini"} {
			for range 3 {
				c := sampleCall()
				c.Model, c.Deployment, c.Finish, c.Error, c.User = string(long), deployment, string(long), string(long), string(long)
				c.Cost, c.Usage = math.MaxInt64, llm.Usage{Input: math.MaxInt64, Output: math.MaxInt64, Source: llm.Reported}
				calls = append(calls, c)
			}
		}
		for i := range 20 {
			c := sampleCall()
			c.Model, c.Deployment, c.Outcome, c.Cost, c.Usage = fmt.Sprint("made up ", i), "", llm.Failed, 0, llm.Usage{}
			calls = append(calls, c)
		}
		filled(t, d, calls)
		s := filled(t, d, []llm.Call{sampleCall()})
		list, err := s.Usage(context.Background(), UsageFilter{By: []string{"model"}, Latency: true})
		if err != nil || len(list) != 3 || list[0].Group["model"] != "" || list[0].Calls != 23 || list[0].Usage.Input != math.MaxInt64 || list[0].Cost != math.MaxInt64 {
			t.Errorf("%d series, the first %+v: %v", len(list), list[0], err)
		}
		kept, err := s.Calls(context.Background(), Filter{Limit: 100})
		if err != nil || len(kept) != len(calls)+1 {
			t.Fatal(len(kept), err)
		}
		for _, c := range kept {
			if len(c.Model) > maxModel || len(c.Finish) > maxText || len(c.User) > maxText {
				t.Fatalf("a row with texts of %d, %d and %d bytes", len(c.Model), len(c.Finish), len(c.User))
			}
		}
	})
}

func TestAFullJournalRefusesTheCall(t *testing.T) {
	j, err := journal.Open(t.TempDir(), journal.Config{SegmentBytes: 4 << 10, MaxBytes: 8 << 10}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	r, c := NewRecorder(j, nil, quiet), sampleCall()
	for err == nil {
		err = r.Admit(&c)
	}
	if f := fault.As(err); f.Kind != fault.Unavailable || f.Code != "journal_full" || f.Hint == "" {
		t.Fatal(err)
	}
	r.Span(&telemetry.Span{Error: strings.Repeat("x", 4<<10)}) // lost, and says so in the log only
	if r.lost.Load() != 1 {
		t.Error("not counted")
	}
}

func TestTheJournalOfADeadReplicaIsDrainedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, dir, ledger := context.Background(), t.TempDir(), cost.NewLedger(d)
		j := openJournal(t, dir)
		r := NewRecorder(j, nil, quiet)
		running := start(t, newDrain(d, j))
		for range 20 {
			record(t, r, sampleCall())
		}
		running.flush(t)
		running.stop()
		for range 30 {
			record(t, r, sampleCall())
		}
		cut := sampleCall()
		a := admitted(cut)
		if err := r.Admit(&a); err != nil {
			t.Fatal(err)
		}
		if _, err := DrainDir(ctx, d, dir, Default(), nil, quiet, ledger); !fault.Is(err, fault.Conflict) {
			t.Fatal("while the replica lives:", err)
		}
		j.Close()
		small := Config{BatchCalls: 7}
		sum, err := DrainDir(ctx, d, dir, small, nil, quiet, ledger)
		if err != nil || sum != (Drained{Journal: j.ID(), Records: 61, Calls: 31, Cut: 1}) {
			t.Fatalf("%+v %v", sum, err)
		}
		sum, err = DrainDir(ctx, d, dir, small, nil, quiet, ledger)
		if err != nil || sum != (Drained{Journal: j.ID()}) {
			t.Fatalf("again: %+v %v", sum, err)
		}
		// The replica comes back after all, and the call that was cut, too late.
		j = openJournal(t, dir)
		r, running = NewRecorder(j, nil, quiet), start(t, newDrain(d, j))
		record(t, r, sampleCall())
		running.flush(t)
		wantTotals(t, d, 52)
		if _, err := DrainDir(ctx, d, filepath.Join(dir, "none"), small, nil, quiet); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	})
}

func TestTwoWhoDrainOneJournalBringEachCallOnce(t *testing.T) {
	d, dir := dbtest.Open(t, dbtest.SQLite(t)), t.TempDir()
	j := openJournal(t, dir)
	r := NewRecorder(j, nil, quiet)
	drain := newDrain(d, j)
	for range 500 {
		record(t, r, sampleCall())
	}
	copied := t.TempDir() // without its lock, as a backup has it
	segments, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	for _, s := range segments {
		b, err := os.ReadFile(s)
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, filepath.Base(s)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	running := start(t, drain)
	if _, err := DrainDir(context.Background(), d, copied, Config{BatchCalls: 3}, nil, quiet, cost.NewLedger(d)); err != nil && !fault.Is(err, fault.Conflict) {
		t.Error(err)
	}
	running.flush(t)
	record(t, r, sampleCall())
	running.flush(t)
	wantTotals(t, d, 501)
}

func TestFlushOfNothingReturnsAtOnce(t *testing.T) {
	d, j := dbtest.Open(t, dbtest.SQLite(t)), openJournal(t, t.TempDir())
	drain := NewDrain(d, j, Config{BatchCalls: 10, Linger: 10 * time.Second}, nil, quiet)
	running := start(t, drain)
	began := time.Now()
	for range 3 {
		running.flush(t)
	}
	record(t, NewRecorder(j, nil, quiet), sampleCall())
	running.flush(t) // ends the lingering
	if took := time.Since(began); took > 5*time.Second {
		t.Error("took", took)
	}
	if n := count(t, d, "SELECT COUNT(*) FROM calls"); n != 1 {
		t.Error(n)
	}
}

// TestMain lets the test binary be a gateway that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("OBSERVE_TEST_VICTIM"); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

// victim records calls, and says which, until it is killed. Every call whose line is out must be in the log.
func victim(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	c := db.Default()
	c.URL = "sqlite:" + filepath.Join(dir, "airfield.db")
	d, err := db.Open(context.Background(), c, quiet)
	fail(err)
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Config{SegmentBytes: 32 << 10, MaxBytes: 64 << 20}, quiet)
	fail(err)
	go newDrain(d, j).Run(context.Background())
	r := NewRecorder(j, nil, quiet)
	var out sync.Mutex
	for range 8 {
		go func() {
			for {
				call := sampleCall()
				a := admitted(call)
				fail(r.Admit(&a))
				out.Lock()
				fmt.Println("A", call.ID)
				out.Unlock()
				time.Sleep(200 * time.Microsecond)
				fail(r.Finish(&call))
				out.Lock()
				fmt.Println("F", call.ID)
				out.Unlock()
			}
		}()
	}
	select {}
}

func TestEveryAnsweredCallIsInTheLogAfterKill9(t *testing.T) {
	dir := t.TempDir()
	admittedCalls, ended := map[string]bool{}, map[string]bool{}
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "OBSERVE_TEST_VICTIM="+dir)
		cmd.Stderr = os.Stderr
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(pipe)
		for n := 0; ; n++ {
			if n == 300+170*round {
				cmd.Process.Kill()
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				if err != io.EOF {
					t.Log(err)
				}
				break
			}
			if what, callID, _ := strings.Cut(strings.TrimSpace(line), " "); what == "F" {
				ended[callID] = true
			} else {
				admittedCalls[callID] = true
			}
		}
		cmd.Wait()
	}
	c := db.Default()
	c.URL = "sqlite:" + filepath.Join(dir, "airfield.db")
	d := dbtest.Open(t, c.URL)
	j := openJournal(t, filepath.Join(dir, "journal"))
	start(t, newDrain(d, j)).flush(t)
	outcomes := map[string]llm.Outcome{}
	rows, err := d.Query(context.Background(), "SELECT id, outcome FROM calls")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	cut := 0
	for rows.Next() {
		var callID string
		var o llm.Outcome
		if err := rows.Scan(&callID, &o); err != nil {
			t.Fatal(err)
		}
		if outcomes[callID] = o; o == llm.Cut {
			cut++
		}
	}
	for callID := range ended {
		if outcomes[callID] != llm.OK {
			t.Errorf("%s was answered and is %q in the log", callID, outcomes[callID])
		}
	}
	for callID := range admittedCalls {
		if outcomes[callID] == "" {
			t.Errorf("%s was admitted and is not in the log", callID)
		}
	}
	if len(ended) < 300 || cut == 0 || cut > 4*8 {
		t.Errorf("%d ended, %d were cut", len(ended), cut)
	}
	wantTotals(t, d, int64(len(outcomes)))
	if n := count(t, d, "SELECT COUNT(*) FROM calls_open"); n != 0 {
		t.Errorf("%d calls are open", n)
	}
}
