package cache

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"
)

// Memory is the cache of one process, bounded by bytes. What is seldom asked for goes first.
type Memory struct {
	most   int64
	kept   *otter.Cache[string, entry]
	counts counts
}

// entry is a value with the time it is to be kept for, which the store asks for.
type entry struct {
	value []byte
	ttl   time.Duration
}

// overhead is about what the store needs for an entry besides its key and value.
const overhead = 160

// NewMemory returns an empty cache, which takes memory only as it fills. c has passed Check.
func NewMemory(c Config) (*Memory, error) {
	kept, err := otter.New(&otter.Options[string, entry]{
		MaximumWeight:    uint64(c.MaxBytes),
		Weigher:          func(key string, e entry) uint32 { return uint32(len(key) + len(e.value) + overhead) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, entry]) time.Duration { return e.Value.ttl }),
	})
	if err != nil {
		return nil, err
	}
	return &Memory{most: min(c.MaxEntryBytes, c.MaxBytes), kept: kept}, nil
}

// Close ends the goroutine that removes what is past its time.
func (m *Memory) Close() error {
	m.kept.StopAllGoroutines()
	return nil
}

// Get returns a value that is still fresh.
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool) {
	e, found := m.kept.GetIfPresent(key)
	m.counts.found(found)
	return e.value, found
}

// Set keeps a value.
func (m *Memory) Set(_ context.Context, key string, value []byte, ttl time.Duration) {
	if m.counts.keeps(value, m.most, ttl) {
		m.kept.Set(key, entry{value, ttl})
	}
}

// Stats counts what happened since the start.
func (m *Memory) Stats() Stats {
	s := m.counts.read()
	s.Entries, s.Bytes = int64(m.kept.EstimatedSize()), int64(m.kept.WeightedSize())
	return s
}
