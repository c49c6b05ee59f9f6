package limit

import (
	"context"
	"testing"
	"time"

	"airfield/internal/redis/redistest"
)

var benched = []Ask{{"key:a", Rate{1 << 38, 1 << 38, 1000}}, {"workflow:a", Rate{1 << 38, 1 << 38, 1000}}, {"model:a", Rate{1 << 38, 1 << 38, 1000}}}

func bench(b *testing.B, l Limiter) {
	b.ReportAllocs()
	for b.Loop() {
		taken, full, err := l.Take(context.Background(), benched, 1000, time.Minute)
		if taken == nil {
			b.Fatal(full, err)
		}
		taken.Correct(300)
		taken.Release()
	}
}

func BenchmarkTakeCorrectReleaseInMemory(b *testing.B) { bench(b, NewMemory()) }

func BenchmarkTakeReleaseInMemory(b *testing.B) {
	m := NewMemory()
	b.ReportAllocs()
	for b.Loop() {
		taken, _, _ := m.Take(context.Background(), benched, 1000, time.Minute)
		taken.Release()
	}
}

func BenchmarkTakeCorrectReleaseInMemoryFromEveryCore(b *testing.B) {
	m := NewMemory()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			taken, _, _ := m.Take(context.Background(), benched, 1000, time.Minute)
			taken.Correct(300)
			taken.Release()
		}
	})
}

func BenchmarkTakeCorrectReleaseInRedis(b *testing.B) {
	bench(b, NewShared(redistest.Open(b, redistest.Config(b))))
}
