package journal

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkAppend appends 400-byte records from 64 goroutines: alone, and with some 8 µs of other work in between,
// as a gateway has it. The CPU time of an append under load is the difference of append and none.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []struct {
		name   string
		work   int
		append bool
		sync   bool
	}{{"alone", 0, true, false}, {"work/none", 40, false, false}, {"work/append", 40, true, false}, {"sync", 0, true, true}} {
		b.Run(mode.name, func(b *testing.B) {
			c := Default()
			c.Sync = mode.sync
			j := open(b, b.TempDir(), c)
			b.ReportAllocs()
			b.SetParallelism(32)
			before := cpuTime()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				record, work := make([]byte, 400), make([]byte, 4096)
				for pb.Next() {
					for range mode.work {
						j.framing.checksum(work)
					}
					if !mode.append {
						continue
					}
					if err := j.Append(record); err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkRead reads batches as a drain does.
func BenchmarkRead(b *testing.B) {
	j := open(b, b.TempDir(), Default())
	for range 100_000 {
		if err := j.Append(make([]byte, 400)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	r := j.Reader(Position{})
	b.ResetTimer()
	for n := 0; n < b.N; {
		if r.Position() == j.Stats().Tail {
			r = j.Reader(Position{})
		}
		records, _, err := r.ReadBatch(b.Context(), 500)
		if err != nil {
			b.Fatal(err)
		}
		n += len(records)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
