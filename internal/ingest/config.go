package ingest

import (
	"errors"
	"fmt"
	"time"
)

// Config says how documents are worked on. It is the part of airfield.yaml that this package owns, beside the
// collections.
type Config struct {
	LeaseFor       time.Duration `yaml:"lease_for" json:"lease_for" doc:"How long a run stays with a worker that gives no sign of life."`
	MaxAttempts    int           `yaml:"max_attempts" json:"max_attempts" doc:"Tries of one step after which a run becomes a dead letter."`
	MaxCrashes     int           `yaml:"max_crashes" json:"max_crashes" doc:"Workers that may die during one step before its run becomes a dead letter."`
	Backoff        time.Duration `yaml:"backoff" json:"backoff" doc:"The wait before the second try of a step; it doubles with every further one."`
	MaxBackoff     time.Duration `yaml:"max_backoff" json:"max_backoff" doc:"The longest wait before another try."`
	EmbedBatch     int           `yaml:"embed_batch" json:"embed_batch" doc:"Chunks that are embedded with one call and kept with one commit."`
	SweepEvery     time.Duration `yaml:"sweep_every" json:"sweep_every" doc:"How often forgotten runs and left-over bytes are looked for."`
	MaxUploadBytes int64         `yaml:"max_upload_bytes" json:"max_upload_bytes" doc:"The largest file that may be uploaded without naming a collection."`
}

// Default fits two cores.
func Default() Config {
	return Config{
		LeaseFor: time.Minute, MaxAttempts: 5, MaxCrashes: 10,
		Backoff: 2 * time.Second, MaxBackoff: 5 * time.Minute,
		EmbedBatch: 64, SweepEvery: 30 * time.Second, MaxUploadBytes: 200 << 20,
	}
}

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.LeaseFor < time.Second:
		return nil, fmt.Errorf("lease_for: at least 1s, not %s", c.LeaseFor)
	case c.MaxAttempts < 1:
		return nil, fmt.Errorf("max_attempts: at least 1, not %d", c.MaxAttempts)
	case c.MaxCrashes < 1:
		return nil, fmt.Errorf("max_crashes: at least 1, not %d", c.MaxCrashes)
	case c.Backoff <= 0 || c.MaxBackoff < c.Backoff:
		return nil, errors.New("backoff must be above zero and not above max_backoff")
	case c.EmbedBatch < 1 || c.EmbedBatch > 2048:
		return nil, fmt.Errorf("embed_batch: between 1 and 2048, not %d", c.EmbedBatch)
	case c.SweepEvery < time.Second:
		return nil, fmt.Errorf("sweep_every: at least 1s, not %s", c.SweepEvery)
	case c.MaxUploadBytes < 1:
		return nil, fmt.Errorf("max_upload_bytes must be above zero")
	}
	if c.LeaseFor < 10*time.Second {
		warnings = append(warnings, "lease_for under 10s: a busy machine may lose its leases and do work twice")
	}
	return warnings, nil
}

// backoff is the wait before the next try of a step that has failed this many times.
func (c Config) backoff(attempts int) time.Duration {
	wait := c.Backoff
	for ; attempts > 1 && wait < c.MaxBackoff; attempts-- {
		wait *= 2
	}
	return min(wait, c.MaxBackoff)
}
