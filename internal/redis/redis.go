// Package redis is the Redis or Valkey that several processes share their limits and their cache in. It is never needed:
// the client knows when it is away, and then answers ErrAway at once, so that a dead Redis costs a request nothing. It
// works with one Redis (or what looks like one, a primary behind an address), not with the slots of a Redis Cluster.
package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"airfield/internal/fault"
	"airfield/internal/secret"
)

// ErrAway says that Redis is known to be away, and that nothing was sent to it.
var ErrAway = errors.New("redis is away")

// Client speaks to one Redis.
type Client struct {
	driver  *goredis.Client
	url     string // without its password
	prefix  string
	timeout time.Duration
	log     *slog.Logger

	out     atomic.Pointer[outage] // nil while Redis answers
	changes atomic.Int64           // how often it went and came
	mu      sync.Mutex             // held while a change is told, so that changes are told in order
	told    []func(away bool, reason string)
	refused time.Time // when a refusal was last logged

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	search sync.WaitGroup
}

// Open returns a client of the Redis at c.URL, which must not be empty. A Redis that does not answer is away, which is
// no error: it is looked for until it is there.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Client, error) {
	if _, err := c.Check(); err != nil {
		return nil, err
	}
	if c.URL == "" {
		return nil, fault.New(fault.Invalid, "redis_url", "no Redis is configured")
	}
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	switch {
	case !c.Password.Empty():
		o.Password = c.Password.Reveal()
	case c.Password.Ref() != "":
		return nil, fault.New(fault.Invalid, "redis_password", "redis.password: %s is not set or empty", c.Password.Ref())
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled = true
	o.MaxRetries, o.DialerRetries = -1, 1 // a script that was sent may have run
	o.MinIdleConns, o.ConnMaxIdleTime = 0, 5*time.Minute
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	goredis.SetLogger(silent{})
	client := &Client{driver: goredis.NewClient(o), url: secret.RedactURL(c.URL), prefix: c.Prefix, timeout: c.Timeout, log: log}
	client.ctx, client.cancel = context.WithCancel(context.WithoutCancel(ctx))
	client.call(ctx, client.probe) // its failure is told
	if err := ctx.Err(); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// silent is the driver's logger: what went wrong is in the errors it returns, and is said once.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Close ends all connections. Calls after it find Redis away.
func (c *Client) Close() error {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.search.Wait()
	return c.driver.Close()
}

// Get reads a value.
func (c *Client) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	err = c.call(ctx, func(ctx context.Context) error {
		value, err = c.driver.Get(ctx, c.prefix+key).Bytes()
		return err
	})
	if errors.Is(err, goredis.Nil) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// Set writes a value that is gone after ttl, which is at least a millisecond.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.call(ctx, func(ctx context.Context) error {
		return c.driver.Set(ctx, c.prefix+key, value, max(ttl, time.Millisecond)).Err()
	})
}

// Script is a piece of Lua that Redis runs as one step.
type Script struct{ script *goredis.Script }

// NewScript makes a script, for a package's variable.
func NewScript(lua string) *Script { return &Script{goredis.NewScript(lua)} }

// Run runs a script on keys. It is sent once: after an error other than ErrAway it may have run.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) (result any, err error) {
	ours := make([]string, len(keys))
	for i, key := range keys {
		ours[i] = c.prefix + key
	}
	err = c.call(ctx, func(ctx context.Context) error {
		result, err = s.script.Run(ctx, c.driver, ours, args...).Result()
		return err
	})
	return result, err
}

// call does what was asked within the timeout. It goes on when the one who asked leaves: what was sent has happened, and
// the caller must know.
func (c *Client) call(ctx context.Context, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.out.Load() != nil || c.ctx.Err() != nil {
		return ErrAway
	}
	changes := c.changes.Load()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	err := do(ctx)
	if err == nil || errors.Is(err, goredis.Nil) {
		return err
	}
	return c.failed(changes, err)
}
