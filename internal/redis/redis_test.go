package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airfield/internal/redis"
	"airfield/internal/redis/redistest"
	"airfield/internal/secret"
)

// story is a log and the changes that were told, safe to read while they are written.
type story struct {
	mu   sync.Mutex
	text strings.Builder
	told []bool
}

func (s *story) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *story) change(away bool, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, away)
}

func (s *story) read() (log string, told []bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String(), append([]bool(nil), s.told...)
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func away(c *redis.Client) bool {
	_, _, is := c.Away()
	return is
}

func TestValuesAndScripts(t *testing.T) {
	ctx, config := t.Context(), redistest.Config(t)
	c, other := redistest.Open(t, config), redistest.Open(t, redistest.Config(t))
	if _, found, err := c.Get(ctx, "a"); found || err != nil {
		t.Fatal(found, err)
	}
	if err := c.Set(ctx, "a", []byte("1\x00\xff"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if v, found, err := c.Get(ctx, "a"); string(v) != "1\x00\xff" || !found || err != nil {
		t.Fatal(v, found, err)
	}
	if _, found, _ := other.Get(ctx, "a"); found {
		t.Fatal("prefixes do not keep keys apart")
	}
	script := redis.NewScript(`return {KEYS[1], redis.call('GET', KEYS[1]), ARGV[1]}`)
	keys := []string{"a"}
	for range 2 { // the second time by its hash
		got, err := c.Run(ctx, script, keys, 5)
		list, _ := got.([]any)
		if err != nil || len(list) != 3 || list[0] != config.Prefix+"a" || list[1] != "1\x00\xff" || list[2] != "5" || keys[0] != "a" {
			t.Fatal(got, err, keys)
		}
	}
	if err := c.Set(ctx, "short", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	await(t, "a value is gone after its time", func() bool { _, found, _ := c.Get(ctx, "short"); return !found })
}

func TestARefusedCommandIsNoOutage(t *testing.T) {
	var s story
	c := redistest.OpenLogged(t, redistest.Config(t), slog.New(slog.NewTextHandler(&s, nil)))
	broken := redis.NewScript(`return redis.call('NOSUCH')`)
	for range 3 {
		if _, err := c.Run(t.Context(), broken, nil); err == nil || errors.Is(err, redis.ErrAway) {
			t.Fatal(err)
		}
	}
	if log, _ := s.read(); away(c) || strings.Count(log, "refused a command") != 1 {
		t.Fatal(log)
	}
}

func TestAKilledRedisIsSaidOnceAndCostsNothingUntilItIsBack(t *testing.T) {
	server, ctx := redistest.Start(t), t.Context()
	var s story
	c := redistest.OpenLogged(t, server.Config(), slog.New(slog.NewTextHandler(&s, nil)))
	c.OnChange(s.change)
	if err := c.Set(ctx, "a", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, _, err := c.Get(ctx, "a"); err == nil {
				t.Error("a dead Redis answered")
			}
		})
	}
	all.Wait()
	since, reason, is := c.Away()
	if !is || time.Since(since) > 10*time.Second || reason == "" {
		t.Fatal(since, reason, is)
	}
	start := time.Now()
	for range 10_000 {
		if _, _, err := c.Get(ctx, "a"); !errors.Is(err, redis.ErrAway) {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("10,000 calls to a dead Redis took %s", took)
	}
	server.Restart()
	await(t, "it is back", func() bool { return !away(c) })
	if err := c.Set(ctx, "a", []byte("2"), time.Hour); err != nil {
		t.Fatal(err)
	}
	log, told := s.read()
	if strings.Count(log, "Redis is away") != 1 || strings.Count(log, "Redis is back") != 1 || len(told) != 2 || !told[0] || told[1] {
		t.Fatal(told, log)
	}
}

func TestAFrozenRedisCostsOneTimeout(t *testing.T) {
	server := redistest.Start(t)
	config := server.Config()
	config.Timeout = 100 * time.Millisecond
	c := redistest.Open(t, config)
	server.Freeze()
	start := time.Now()
	if err := c.Set(t.Context(), "a", []byte("1"), time.Hour); err == nil {
		t.Fatal("a frozen Redis answered")
	}
	if took := time.Since(start); took > time.Second {
		t.Error("waited", took)
	}
	if _, reason, is := c.Away(); !is || reason != "no answer within 100ms" {
		t.Fatal(reason, is)
	}
	server.Thaw()
	await(t, "it is back", func() bool { return !away(c) })
}

func TestARedisThatIsNotThereAtTheStartIsLookedFor(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	c := redistest.Open(t, server.Config())
	var last atomic.Int32
	c.OnChange(func(away bool, reason string) {
		if last.Store(2); away && reason != "" {
			last.Store(1)
		}
	})
	if !away(c) || last.Load() != 1 {
		t.Fatal("it is away, and who asks later is told so")
	}
	server.Restart()
	await(t, "it is found", func() bool { return last.Load() == 2 && !away(c) })
}

func TestARedisThatCannotBeWrittenToIsAwayThoughItAnswersAPing(t *testing.T) {
	for reason, args := range map[string][]string{
		"OOM":      {"--maxmemory", "1", "--maxmemory-policy", "noeviction"},
		"READONLY": {"--replicaof", "127.0.0.1 1"},
		"NOPERM":   {"--user", "default", "on", "nopass", "~*", "+@all", "-eval", "-evalsha"},
	} {
		t.Run(reason, func(t *testing.T) {
			c := redistest.Open(t, redistest.Start(t, args...).Config())
			if _, said, is := c.Away(); !is || !strings.Contains(said, reason) {
				t.Fatal(said, is)
			}
		})
	}
}

func TestAClosedClientAndAClientThatLeft(t *testing.T) {
	c := redistest.Open(t, redistest.Config(t))
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := c.Set(ctx, "a", nil, time.Minute); !errors.Is(err, context.Canceled) || away(c) {
		t.Fatal("who left says nothing about Redis", err)
	}
	if _, err := redis.Open(ctx, redistest.Config(t), slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c.Close()
	if err := c.Set(t.Context(), "a", nil, time.Minute); !errors.Is(err, redis.ErrAway) {
		t.Fatal(err)
	}
}

func TestPasswords(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "hunter2")
	config := server.Config()
	wrong := redistest.Open(t, config)
	if _, reason, is := wrong.Away(); !is || !strings.Contains(reason, "NOAUTH") {
		t.Fatal(reason)
	}
	config.Password = secret.New("hunter2")
	if c := redistest.Open(t, config); away(c) {
		t.Fatal(c.Away())
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change        func(*redis.Config)
		warning, errs string
	}{
		"none is fine":                 {func(c *redis.Config) { c.URL, c.Timeout = "", 0 }, "", ""},
		"an address is fine":           {func(c *redis.Config) {}, "", ""},
		"with TLS too":                 {func(c *redis.Config) { c.URL = "rediss://app@redis:6380/2" }, "", ""},
		"a password in it is unwise":   {func(c *redis.Config) { c.URL = "redis://app:hunter2@redis" }, "holds a password", ""},
		"a long wait is unwise":        {func(c *redis.Config) { c.Timeout = time.Minute }, "wait up to 1m0s", ""},
		"no prefix is unwise":          {func(c *redis.Config) { c.Prefix = "" }, "prefix", ""},
		"another scheme is refused":    {func(c *redis.Config) { c.URL = "http://app:hunter2@redis" }, "", "redis://USER"},
		"a bad database is refused":    {func(c *redis.Config) { c.URL = "redis://redis/x" }, "", "database number"},
		"what is no address":           {func(c *redis.Config) { c.URL = "redis://app:hun%ter2@redis" }, "", "cannot be read"},
		"no time at all is refused":    {func(c *redis.Config) { c.Timeout = 0 }, "", "at least 10ms"},
		"an unknown setting in it too": {func(c *redis.Config) { c.URL = "redis://redis?nosuch=1" }, "", "nosuch"},
	} {
		t.Run(name, func(t *testing.T) {
			config := redis.Default()
			config.URL = "redis://redis:6379"
			c.change(&config)
			warnings, err := config.Check()
			said := strings.Join(warnings, "; ")
			if (err == nil) != (c.errs == "") || err != nil && !strings.Contains(err.Error(), c.errs) || !strings.Contains(said, c.warning) || (c.warning == "") != (said == "") {
				t.Fatal(said, err)
			}
			if err != nil && strings.Contains(err.Error(), "ter2") || strings.Contains(said, "hunter2") {
				t.Fatal("shows the password", err, said)
			}
		})
	}
}
