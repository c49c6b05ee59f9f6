package jobs

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	Workers     int           `yaml:"workers" json:"workers" doc:"Jobs that one process runs at the same time."`
	Timeout     time.Duration `yaml:"timeout" json:"timeout" doc:"How long one try of a job may take before it is cancelled."`
	MaxAttempts int           `yaml:"max_attempts" json:"max_attempts" doc:"Tries of a job whose handler fails, before it is given up."`
	Drain       time.Duration `yaml:"drain" json:"drain" doc:"How long running jobs may go on when the process is asked to stop."`
	DeadAfter   time.Duration `yaml:"dead_after" json:"dead_after" doc:"After how long a silence another process's jobs are taken over (PostgreSQL)."`

	// Backoff says how long to wait after the given failed attempt, counted from 1.
	Backoff func(attempt int) time.Duration `yaml:"-" json:"-"`
}

// Default suits a small machine; jobs mostly wait for child processes and models.
func Default() Config {
	return Config{Workers: 4, Timeout: 30 * time.Minute, MaxAttempts: 25, Drain: 10 * time.Second, DeadAfter: 15 * time.Second, Backoff: backoff}
}

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.Workers < 1 || c.Workers > 1000:
		return nil, fmt.Errorf("workers: 1 to 1000, not %d", c.Workers)
	case c.Timeout < time.Second:
		return nil, fmt.Errorf("timeout: at least 1s, not %s", c.Timeout)
	case c.MaxAttempts < 1 || c.MaxAttempts > 1000:
		return nil, fmt.Errorf("max_attempts: 1 to 1000, not %d", c.MaxAttempts)
	case c.Drain < 0:
		return nil, fmt.Errorf("drain: not below 0: %s", c.Drain)
	case c.DeadAfter < time.Second:
		return nil, fmt.Errorf("dead_after: at least 1s, not %s", c.DeadAfter)
	}
	if c.Timeout > time.Hour {
		warnings = append(warnings, fmt.Sprintf("timeout: a job that hangs holds its place for %s", c.Timeout))
	}
	return warnings, nil
}

// backoff doubles from one second to five minutes, spread by a fifth so that what failed together does not come back
// together.
func backoff(attempt int) time.Duration {
	wait := min(time.Second<<min(max(attempt-1, 0), 16), 5*time.Minute)
	return wait + time.Duration((rand.Float64()-0.5)*0.4*float64(wait))
}
