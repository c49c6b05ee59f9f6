// Package access says who may come in and keeps the record of what they did: API keys with roles and clearance,
// and an append-only, hash-chained audit log. The doors call Authenticate for every request; every feature that
// changes something, or shows what was asked or answered, calls Audit.Record in the transaction of the change.
package access

import (
	"fmt"
	"time"

	"airfield/internal/caller"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	KeyCache time.Duration `yaml:"key_cache" json:"key_cache" doc:"How long a key that was valid stays valid while the database cannot be asked."`
	KeyPoll  time.Duration `yaml:"key_poll" json:"key_poll" doc:"How often a process looks for keys that another process created or revoked."`
}

// Default keeps known keys for a minute and notices changes of other processes within two seconds.
func Default() Config { return Config{KeyCache: time.Minute, KeyPoll: 2 * time.Second} }

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.KeyCache < time.Second:
		return nil, fmt.Errorf("key_cache: at least 1s, not %s", c.KeyCache)
	case c.KeyPoll < 100*time.Millisecond || c.KeyPoll > c.KeyCache:
		return nil, fmt.Errorf("key_poll: between 100ms and key_cache (%s), not %s", c.KeyCache, c.KeyPoll)
	}
	if c.KeyCache > 10*time.Minute {
		warnings = append(warnings, fmt.Sprintf("key_cache: a key revoked while the database is away goes on working for %s", c.KeyCache))
	}
	if c.KeyPoll > 10*time.Second {
		warnings = append(warnings, fmt.Sprintf("key_poll: a key revoked in another process goes on working for %s", c.KeyPoll))
	}
	return warnings, nil
}

// Workflow is what the configuration says of one workflow; its keys inherit it.
type Workflow struct {
	BusinessUnit string
	Clearance    caller.Tier
	Collections  []string // names, "*" for all
}
