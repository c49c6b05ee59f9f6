package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// again is how long a Redis that failed is left alone.
const again = time.Second

// outage is a time without Redis.
type outage struct {
	since  time.Time
	reason string
}

// Away reports since when Redis is away, and why.
func (c *Client) Away() (since time.Time, reason string, away bool) {
	if out := c.out.Load(); out != nil {
		return out.since, out.reason, true
	}
	return time.Time{}, "", false
}

// OnChange lets fn know when Redis goes away and when it is back, and at once if it is away now. fn must be quick and
// must not use the client.
func (c *Client) OnChange(fn func(away bool, reason string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fn)
	if out := c.out.Load(); out != nil {
		fn(true, out.reason)
	}
}

// failed takes note of an error of a call that began after so many changes. A call that began in an earlier time says
// nothing about this one.
func (c *Client) failed(changes int64, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil || c.changes.Load() != changes {
		return fmt.Errorf("redis failed: %w", err)
	}
	if !isAway(err) {
		if time.Since(c.refused) > time.Minute {
			c.refused = time.Now()
			c.log.Error("Redis refused a command", "redis", c.url, "error", err)
		}
		return fmt.Errorf("redis refused: %w", err)
	}
	reason := err.Error()
	var network net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() {
		reason = fmt.Sprintf("no answer within %s", c.timeout)
	}
	c.out.Store(&outage{since: time.Now(), reason: reason})
	c.changes.Add(1)
	c.log.Warn("Redis is away: this process goes on by itself", "redis", c.url, "error", reason)
	for _, fn := range c.told {
		fn(true, reason)
	}
	c.search.Go(c.lookForIt)
	return fmt.Errorf("redis failed: %w", err)
}

// lookForIt tries Redis until it answers.
func (c *Client) lookForIt() {
	wait := time.NewTicker(again)
	defer wait.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-wait.C:
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
		err := c.probe(ctx)
		cancel()
		if err == nil {
			c.back()
			return
		}
	}
}

func (c *Client) back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.out.Load().since
	c.out.Store(nil)
	c.changes.Add(1)
	c.log.Info("Redis is back", "redis", c.url, "away", time.Since(since).Round(time.Millisecond).String())
	for _, fn := range c.told {
		fn(false, "")
	}
}

// probeScript does what the users of this package do: it writes several keys, which a replica, a full memory, missing
// rights or a cluster refuse though they answer a ping.
var probeScript = goredis.NewScript(`
for _, key in ipairs(KEYS) do redis.call('SET', key, '1', 'PX', 1000) end
return redis.call('TIME')`)

func (c *Client) probe(ctx context.Context) error {
	return probeScript.Run(ctx, c.driver, []string{c.prefix + "probe:a", c.prefix + "probe:b"}).Err()
}

// unable are the answers of a Redis that is there but of no use now.
var unable = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "MISCONF", "OOM", "BUSY", "TRYAGAIN", "CROSSSLOT", "MOVED",
	"NOAUTH", "WRONGPASS", "NOPERM", "ERR max number of clients", "ERR AUTH", "ERR invalid password", "ERR DB index",
}

// isAway tells a Redis that cannot be used from one that answers and refuses a command.
func isAway(err error) bool {
	var answer goredis.Error
	if !errors.As(err, &answer) {
		return true
	}
	for _, prefix := range unable {
		if strings.HasPrefix(answer.Error(), prefix) {
			return true
		}
	}
	return false
}
