package observe

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"airfield/internal/cost"
	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/llm"
	"airfield/internal/money"
)

type nowhere struct{}

func (nowhere) Append([]byte) error { return nil }

// BenchmarkRecord is the encoding alone: what the Recorder adds to the journal's append.
func BenchmarkRecord(b *testing.B) {
	r, c := NewRecorder(nowhere{}, nil, quiet), sampleCall()
	a := admitted(c)
	b.ReportAllocs()
	for b.Loop() {
		if r.Admit(&a) != nil || r.Finish(&c) != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkRecordParallel is two appends a call to a real journal, from many goroutines.
func BenchmarkRecordParallel(b *testing.B) {
	r := NewRecorder(openJournal(b, b.TempDir()), nil, quiet)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		c := sampleCall()
		a := admitted(c)
		for p.Next() {
			if r.Admit(&a) != nil || r.Finish(&c) != nil {
				b.Error("refused")
			}
		}
	})
}

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkDrain reports the processor time a call takes from the journal to all of its rows.
func BenchmarkDrain(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			const calls = 50_000
			d, j := dbtest.Open(b, address(b)), openJournal(b, b.TempDir())
			r, drain := NewRecorder(j, nil, quiet), NewDrain(d, j, Default(), nil, quiet, cost.NewLedger(d))
			list := make([]llm.Call, 0, 64) // as many are in flight
			for i := range calls {
				c := sampleCall()
				a := admitted(c)
				r.Admit(&a)
				if list = append(list, c); len(list) == cap(list) || i == calls-1 {
					for i := range list {
						r.Finish(&list[i])
					}
					list = list[:0]
				}
			}
			before, began := cpu(), time.Now()
			start(b, drain).flush(b)
			b.ReportMetric(float64((cpu()-before).Microseconds())/calls, "cpu-µs/call")
			b.ReportMetric(calls/time.Since(began).Seconds(), "calls/s")
			if n := count(b, d, "SELECT COUNT(*) FROM calls"); n != calls {
				b.Fatal(n)
			}
		})
	}
}

// BenchmarkReprice is a call that is charged anew, with its ledger entry and its hour, in batches.
func BenchmarkReprice(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			const calls = 10_000
			ctx, d := context.Background(), dbtest.Open(b, address(b))
			ledger, noon := cost.NewLedger(d), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			list := make([]llm.Call, calls)
			for i := range list {
				list[i] = at(noon.Add(time.Duration(i)*time.Second), func(c *llm.Call) { c.Upstream = "small" })
			}
			err := d.Tx(ctx, func(tx *db.Tx) error {
				scratch := []byte{}
				if err := tx.Insert(ctx, "calls", callColumns, "", calls, func(i int, args []any) []any { return callArgs(&list[i], 1, &scratch, args) }); err != nil {
					return err
				}
				return errors.Join(ledger.Post(ctx, tx, list), postUsage(ctx, tx, list))
			})
			if err != nil {
				b.Fatal(err)
			}
			s, rate := NewStore(d), money.PerMillion(0)
			for b.Loop() {
				rate += 1_000_000
				sum, err := s.Reprice(ctx, Repricing{Since: noon}, func(*llm.Call) (llm.Price, bool) { return llm.Price{ID: "p", Rates: llm.Rates{Input: rate}}, true }, goOn, ledger)
				if err != nil || sum.Changed != calls {
					b.Fatal(sum, err)
				}
			}
			b.ReportMetric(float64(b.N*calls)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
