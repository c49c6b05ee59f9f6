package cache

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"airfield/internal/redis/redistest"
)

func memory(t testing.TB, c Config) *Memory {
	t.Helper()
	m, err := NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// each runs a test on every cache.
func each(t *testing.T, test func(t *testing.T, c Cache)) {
	t.Run("memory", func(t *testing.T) { test(t, memory(t, Default())) })
	t.Run("shared", func(t *testing.T) { test(t, NewShared(redistest.Open(t, redistest.Config(t)), Default())) })
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestWhatIsSetComesBack(t *testing.T) {
	each(t, func(t *testing.T, c Cache) {
		ctx := t.Context()
		if _, found := c.Get(ctx, "none"); found {
			t.Fatal("found what is not there")
		}
		for name, value := range map[string][]byte{
			"nothing": {}, "a byte": {0}, "like a form": []byte("z123"), "text": []byte(strings.Repeat("a cached answer ", 40_000)),
			"noise": noise(100_000), "just below the bound of compression": bytes.Repeat([]byte{7}, worthIt-1), "the largest": noise(1 << 20),
		} {
			c.Set(ctx, name, []byte("old"), time.Minute)
			c.Set(ctx, name, value, time.Minute)
			if got, found := c.Get(ctx, name); !found || !bytes.Equal(got, value) {
				t.Errorf("%s: %d bytes, %v", name, len(got), found)
			}
		}
		c.Set(ctx, "too large", noise(1<<20+1), time.Minute)
		c.Set(ctx, "for no time", []byte("1"), 0)
		for _, name := range []string{"too large", "for no time"} {
			if _, found := c.Get(ctx, name); found {
				t.Error(name)
			}
		}
		if s := c.Stats(); s.Hits != 7 || s.Misses != 3 || s.Sets != 14 || s.Oversize != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestEachValueHasItsOwnTime(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := memory(t, Default())
			m.Set(t.Context(), "short", []byte("1"), time.Minute)
			m.Set(t.Context(), "long", []byte("1"), time.Hour)
			time.Sleep(59 * time.Second)
			if _, found := m.Get(t.Context(), "short"); !found {
				t.Fatal("gone before its time")
			}
			time.Sleep(2 * time.Second)
			if _, found := m.Get(t.Context(), "short"); found {
				t.Fatal("kept beyond its time, which a read does not prolong")
			}
			if _, found := m.Get(t.Context(), "long"); !found {
				t.Fatal("gone before its time")
			}
			m.Set(t.Context(), "long", []byte("2"), time.Second)
			time.Sleep(3 * time.Second)
			if _, found := m.Get(t.Context(), "long"); found {
				t.Fatal("a new value has a new time")
			}
			time.Sleep(5 * time.Minute)
			if s := m.Stats(); s.Entries != 0 || s.Bytes != 0 {
				t.Fatalf("what nobody asks for is removed too: %+v", s)
			}
		})
	})
	t.Run("shared", func(t *testing.T) {
		s := NewShared(redistest.Open(t, redistest.Config(t)), Default())
		s.Set(t.Context(), "short", []byte("1"), 50*time.Millisecond)
		s.Set(t.Context(), "long", []byte("1"), 1<<62)
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, found := s.Get(t.Context(), "short"); !found {
				break
			} else if time.Now().After(deadline) {
				t.Fatal("kept beyond its time")
			}
		}
		if _, found := s.Get(t.Context(), "long"); !found {
			t.Fatal("gone before its time")
		}
	})
}

func TestMemoryIsBoundedByBytes(t *testing.T) {
	m := memory(t, Config{MaxBytes: 4 << 20, MaxEntryBytes: 1 << 20})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				m.Set(t.Context(), fmt.Sprint(g, ".", i), noise(1+i*100), time.Hour)
			}
		})
	}
	all.Wait()
	m.kept.CleanUp()
	var bytes int64
	for key, e := range m.kept.All() {
		bytes += int64(len(key) + len(e.value))
	}
	if s := m.Stats(); bytes > 4<<20 || bytes < 1<<20 || s.Bytes > 4<<20 || s.Entries < 10 {
		t.Fatalf("%d bytes held: %+v", bytes, s)
	}
}

func TestAnEmptyCacheTakesNoMemory(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 { // what pools hold goes with the second
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	m := memory(t, Config{MaxBytes: 4 << 30, MaxEntryBytes: 1 << 20})
	after := heap()
	if after > before+128<<10 {
		t.Errorf("an empty cache takes %d bytes", after-before)
	}
	t.Logf("%d bytes", int64(after)-int64(before))
	runtime.KeepAlive(m)
}

func TestProcessesShareWhatIsKept(t *testing.T) {
	config := redistest.Config(t)
	a, b := NewShared(redistest.Open(t, config), Default()), NewShared(redistest.Open(t, config), Default())
	small := NewShared(redistest.Open(t, config), Config{MaxBytes: 1 << 20, MaxEntryBytes: 1 << 10})
	text := []byte(strings.Repeat("a cached answer ", 4000))
	a.Set(t.Context(), "a", text, time.Minute)
	if got, found := b.Get(t.Context(), "a"); !found || !bytes.Equal(got, text) {
		t.Fatal("not shared")
	}
	if _, found := small.Get(t.Context(), "a"); found {
		t.Fatal("a value expands beyond what is allowed")
	}
	stored, _, _ := a.redis.Get(t.Context(), keys+"a")
	if len(stored) > len(text)/10 {
		t.Fatal("not compressed", len(stored))
	}
	for _, damaged := range [][]byte{nil, []byte("x"), stored[:len(stored)/2], []byte("z")} {
		a.redis.Set(t.Context(), keys+"a", damaged, time.Minute)
		if _, found := a.Get(t.Context(), "a"); found {
			t.Errorf("%q is no value of ours", damaged)
		}
	}
}

func TestARedisThatIsAwayIsAMiss(t *testing.T) {
	server := redistest.Start(t)
	config := server.Config()
	config.Timeout = 100 * time.Millisecond
	client := redistest.Open(t, config)
	s, ctx := NewShared(client, Default()), t.Context()
	s.Set(ctx, "a", []byte("1"), time.Hour)
	for what, fail := range map[string]func(){"hangs": server.Freeze, "is dead": server.Kill} {
		if _, found := s.Get(ctx, "a"); !found {
			t.Fatal("it is there")
		}
		fail()
		start := time.Now()
		for range 1000 {
			if _, found := s.Get(ctx, "a"); found {
				t.Fatal("found though Redis", what)
			}
			s.Set(ctx, "a", []byte("1"), time.Hour)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("2,000 calls took %s while Redis %s", took, what)
		}
		server.Kill()
		server.Restart()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if s.Set(ctx, "a", []byte("1"), time.Hour); time.Now().After(deadline) {
				t.Fatal("it is back")
			}
			if _, found := s.Get(ctx, "a"); found {
				break
			}
		}
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config       Config
		warning, err string
	}{
		"the default is fine":     {Default(), "", ""},
		"too little":              {Config{MaxBytes: 5, MaxEntryBytes: 1}, "", "max_bytes"},
		"no entry":                {Config{MaxBytes: 1 << 20}, "", "max_entry_bytes"},
		"a huge entry":            {Config{MaxBytes: 1 << 40, MaxEntryBytes: 1 << 31}, "", "max_entry_bytes"},
		"entries that fill it up": {Config{MaxBytes: 1 << 20, MaxEntryBytes: 1 << 20}, "displace", ""},
	} {
		warnings, err := c.config.Check()
		said := strings.Join(warnings, "; ")
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || !strings.Contains(said, c.warning) || (said == "") != (c.warning == "") {
			t.Errorf("%s: %v %v", name, warnings, err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	value := []byte(strings.Repeat("a cached answer ", 1000))
	for name, c := range map[string]Cache{"memory": memory(b, Default()), "shared": NewShared(redistest.Open(b, redistest.Config(b)), Default())} {
		b.Run(name, func(b *testing.B) {
			c.Set(context.Background(), "a", value, time.Hour)
			b.ReportAllocs()
			for b.Loop() {
				if _, found := c.Get(context.Background(), "a"); !found {
					b.Fatal("missed")
				}
			}
		})
	}
}
