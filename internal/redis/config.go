package redis

import (
	"fmt"
	"net/url"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"airfield/internal/secret"
)

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	URL      string        `yaml:"url" json:"url" doc:"redis://USER@HOST:PORT/DATABASE, rediss://… for TLS, or unix:///PATH; empty: every process counts and caches for itself."`
	Password secret.Value  `yaml:"password" json:"password" doc:"Redis's password, as env:NAME or file:PATH."`
	Timeout  time.Duration `yaml:"timeout" json:"timeout" doc:"The longest that anything waits for Redis; after it we go on without."`
	Prefix   string        `yaml:"prefix" json:"prefix" doc:"What our keys begin with; environments that share a Redis need one each."`
}

// Default has no Redis.
func Default() Config { return Config{Timeout: 250 * time.Millisecond, Prefix: "airfield:"} }

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	if c.URL == "" {
		return nil, nil
	}
	if _, err := c.options(); err != nil {
		return nil, err
	}
	if c.Timeout < 10*time.Millisecond {
		return nil, fmt.Errorf("timeout: at least 10ms, not %s", c.Timeout)
	}
	if secret.InURL(c.URL) {
		warnings = append(warnings, "url: holds a password: it belongs in password, as env:NAME or file:PATH, which never print")
	}
	if c.Timeout > 2*time.Second {
		warnings = append(warnings, fmt.Sprintf("timeout: calls wait up to %s when Redis hangs; 250ms is enough on a network of one's own", c.Timeout))
	}
	if c.Prefix == "" {
		warnings = append(warnings, "prefix: is empty, so that our keys may meet those of others")
	}
	return warnings, nil
}

// options turns the address into the driver's settings. An address that cannot be read may be one whose password has
// a special character, so that it is not repeated.
func (c Config) options() (*goredis.Options, error) {
	const form = "redis://USER@HOST:PORT/DATABASE, rediss://… for TLS, or unix:///PATH"
	if _, err := url.Parse(c.URL); err != nil {
		return nil, fmt.Errorf("url: cannot be read; it is written %s", form)
	}
	o, err := goredis.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %q: %w; it is written %s", secret.RedactURL(c.URL), err, form)
	}
	return o, nil
}
