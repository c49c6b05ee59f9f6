// Package cache keeps answers for a while: in memory for one process, or in a Redis for all that share it. It may forget
// at any moment, and a store that fails is a miss: nobody who asks it ever gets an error or waits beyond the timeout.
package cache

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Cache keeps values by key. Keys are the caller's whole responsibility: who may see a value must be part of its key.
type Cache interface {
	// Get returns a value that is still fresh. It is shared with others and must not be changed.
	Get(ctx context.Context, key string) (value []byte, found bool)
	// Set keeps a value, which must not be changed afterwards, for ttl at the most; without a ttl, or where it is larger
	// than the configuration allows, it is not kept.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration)
	// Stats counts what happened since the start.
	Stats() Stats
}

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	MaxBytes      int64 `yaml:"max_bytes" json:"max_bytes" doc:"How much the cache in memory holds; Redis has its own maxmemory."`
	MaxEntryBytes int64 `yaml:"max_entry_bytes" json:"max_entry_bytes" doc:"The largest value that is kept."`
}

// Default is 64 MiB for values of up to 1 MiB. It is a bound: what is not used is not taken.
func Default() Config { return Config{MaxBytes: 64 << 20, MaxEntryBytes: 1 << 20} }

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	const largest = 1 << 30
	switch {
	case c.MaxBytes < 1<<20:
		return nil, fmt.Errorf("max_bytes: at least %d, not %d", 1<<20, c.MaxBytes)
	case c.MaxEntryBytes < 1 || c.MaxEntryBytes > largest:
		return nil, fmt.Errorf("max_entry_bytes: from 1 to %d, not %d", largest, c.MaxEntryBytes)
	case c.MaxEntryBytes > c.MaxBytes/4:
		warnings = append(warnings, fmt.Sprintf("max_entry_bytes: a value of %d takes more than a quarter of the %d of max_bytes: a few of them displace everything else", c.MaxEntryBytes, c.MaxBytes))
	}
	return warnings, nil
}

// Stats counts what a cache did.
type Stats struct {
	Hits, Misses   int64
	Sets, Oversize int64 // values kept; values too large to keep
	Entries, Bytes int64 // held now, in memory; 0 for what Redis holds
}

// counts are Stats while they grow.
type counts struct{ hits, misses, sets, oversize atomic.Int64 }

func (c *counts) read() Stats {
	return Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Sets: c.sets.Load(), Oversize: c.oversize.Load()}
}

// found counts a Get.
func (c *counts) found(yes bool) {
	if yes {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
}

// keeps reports whether a value is one to keep, and counts it.
func (c *counts) keeps(value []byte, most int64, ttl time.Duration) bool {
	if int64(len(value)) > most {
		c.oversize.Add(1)
		return false
	}
	if ttl <= 0 {
		return false
	}
	c.sets.Add(1)
	return true
}
