package batch

import (
	"fmt"
	"time"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	Parallel    int           `yaml:"parallel" json:"parallel" doc:"Lines of one batch that one worker has in flight at the same time. Two workers share a batch."`
	ServiceTier string        `yaml:"service_tier" json:"service_tier" doc:"The service tier that lines ask for where the deployment's prices have it: flex, which OpenAI charges like its own batches. What refuses it is asked at the usual one. none asks for nothing."`
	Attempts    int           `yaml:"attempts" json:"attempts" doc:"Tries of a line whose provider fails; a 429 is none, it means later."`
	MaxLines    int           `yaml:"max_lines" json:"max_lines" doc:"Lines of a batch."`
	MaxBytes    int64         `yaml:"max_bytes" json:"max_bytes" doc:"Size of a batch's input file. It is read into memory and kept in the database while the batch goes on."`
	LeaseFor    time.Duration `yaml:"lease_for" json:"lease_for" doc:"After how long a silence the lines of another worker are taken over."`
}

// Default leaves room for calls of people.
func Default() Config {
	return Config{Parallel: 8, ServiceTier: "flex", Attempts: 5, MaxLines: 50_000, MaxBytes: 100 << 20, LeaseFor: time.Minute}
}

// Check refuses what cannot work.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.Parallel < 1 || c.Parallel > 1000:
		return nil, fmt.Errorf("parallel: 1 to 1000, not %d", c.Parallel)
	case c.Attempts < 1 || c.Attempts > 100:
		return nil, fmt.Errorf("attempts: 1 to 100, not %d", c.Attempts)
	case c.MaxLines < 1 || c.MaxLines > 1_000_000:
		return nil, fmt.Errorf("max_lines: 1 to 1000000, not %d", c.MaxLines)
	case c.MaxBytes < 1 || c.MaxBytes > 1<<30:
		return nil, fmt.Errorf("max_bytes: 1 to %d, not %d", 1<<30, c.MaxBytes)
	case c.LeaseFor < time.Second:
		return nil, fmt.Errorf("lease_for: at least 1s, not %s", c.LeaseFor)
	case len(c.ServiceTier) > 32:
		return nil, fmt.Errorf("service_tier: a name such as flex, or none")
	}
	return nil, nil
}

// service is the tier that lines ask for; empty for none.
func (c Config) service() string {
	if c.ServiceTier == "none" {
		return ""
	}
	return c.ServiceTier
}
