package jobs

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
)

// BenchmarkJobs is what a job costs from its enqueue, a hundred in a transaction, to its end, with the default number
// of workers and a handler that does nothing; and how long a write of someone else waits meanwhile.
func BenchmarkJobs(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			q := newQueue(b, dbtest.Open(b, address(b)), nil)
			var done atomic.Int64
			all := make(chan struct{})
			q.Handle("work", func(context.Context, Job) error {
				if done.Add(1) == int64(b.N) {
					close(all)
				}
				return nil
			})
			stop := start(b, q)
			b.ResetTimer()
			for n := 0; n < b.N; {
				err := q.db.Tx(ctx, func(tx *db.Tx) error {
					for range min(100, b.N-n) {
						if err := q.Enqueue(ctx, tx, "work", n, Options{}); err != nil {
							return err
						}
						n++
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			enqueued := b.Elapsed()
			var longest time.Duration
			for writing := true; writing; {
				select {
				case <-all:
					writing = false
				case <-time.After(time.Millisecond):
					before := time.Now()
					if _, err := q.db.Exec(ctx, "INSERT INTO settings (name, value) VALUES ('a', 'b') ON CONFLICT (name) DO NOTHING"); err != nil {
						b.Fatal(err)
					}
					longest = max(longest, time.Since(before))
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/enqueued.Seconds(), "enqueued/s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest-write")
			if err := stop(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
