package notify

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	queueSize = 256              // messages that wait for one channel
	drainTime = 5 * time.Second  // for what waits when the process is asked to end
	logEvery  = time.Minute      // a line about what was dropped
	connectIn = 10 * time.Second // TLS as well
)

// Deps are what a notifier works with.
type Deps struct {
	Environment string            // of events that name none
	Log         *slog.Logger      // about deliveries that failed
	Count       func(Outcome)     // of each thing that came of an event, for metrics; it must be quick; may be nil
	Transport   http.RoundTripper // nil for one of its own
}

// Outcome is one thing that came of an event at a channel.
type Outcome struct {
	Channel string
	Result  Result
}

// Result is what came of an event.
type Result string

const (
	Delivered Result = "delivered" // the receiver has it
	Retried   Result = "retried"   // a try failed, and another follows
	Failed    Result = "failed"    // given up
	Held      Result = "held"      // the same was said not long ago
	Dropped   Result = "dropped"   // the queue was full, or the process or the channel ended
)

// Notifier takes events and delivers them. The zero value is not ready: see New.
type Notifier struct {
	deps   Deps
	client *http.Client
	ending chan struct{}
	work   context.Context // of deliveries; nil until Run
	wait   sync.WaitGroup  // for the channels that run

	mu       sync.RWMutex
	channels map[string]*channel
	ended    bool
}

// New returns a notifier for a configuration that was checked. Events may be sent at once; Run delivers them.
func New(c Config, d Deps) *Notifier {
	if d.Count == nil {
		d.Count = func(Outcome) {}
	}
	if d.Transport == nil {
		dialer := &net.Dialer{Timeout: connectIn}
		d.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: connectIn, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 50 * time.Second, MaxResponseHeaderBytes: 64 << 10}
	}
	n := &Notifier{deps: d, client: newClient(d.Transport), ending: make(chan struct{}), channels: map[string]*channel{}}
	for name, config := range c {
		n.channels[name] = newChannel(n, name, config)
	}
	return n
}

// Send hands an event to the channels that are for it. It never waits and keeps nothing of the event's fields.
func (n *Notifier) Send(e Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.Severity == "" {
		e.Severity = Warning
	}
	if e.Environment == "" {
		e.Environment = n.deps.Environment
	}
	e.Fields = maps.Clone(e.Fields)
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, c := range n.channels {
		c.offer(e, n.ended)
	}
}

// Run delivers until ctx is done, then for a few seconds more what waits. Call it once.
func (n *Notifier) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	n.mu.Lock()
	n.work = work
	for _, c := range n.channels {
		n.start(c)
	}
	n.mu.Unlock()
	ticker := time.NewTicker(logEvery)
	defer ticker.Stop()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-ticker.C:
			n.report()
		}
	}
	n.mu.Lock()
	n.ended = true // nothing comes into a queue from here on
	n.mu.Unlock()
	close(n.ending)
	bound := time.AfterFunc(drainTime, stop)
	defer bound.Stop()
	n.wait.Wait()
	n.report()
	n.client.CloseIdleConnections()
	return nil
}

// start runs a channel. The caller holds the lock.
func (n *Notifier) start(c *channel) {
	ctx, cancel := context.WithCancel(n.work)
	c.cancel = cancel
	n.wait.Go(func() {
		defer cancel()
		c.run(ctx)
	})
}

// Reload takes over another configuration. What waits for a channel that stays is delivered as the channel is now; what
// waits for one that is gone is dropped.
func (n *Notifier) Reload(c Config) error {
	if _, err := c.Check(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, old := range n.channels {
		if _, stays := c[name]; !stays {
			delete(n.channels, name)
			if old.cancel != nil {
				old.cancel()
			}
		}
	}
	for name, config := range c {
		if old := n.channels[name]; old != nil {
			old.configure(config)
			continue
		}
		fresh := newChannel(n, name, config)
		n.channels[name] = fresh
		if n.work != nil && !n.ended {
			n.start(fresh)
		}
	}
	return nil
}

// report logs what was dropped since it last did.
func (n *Notifier) report() {
	for _, c := range n.list() {
		c.report()
	}
}

// list are the channels by name.
func (n *Notifier) list() []*channel {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var list []*channel
	for _, name := range slices.Sorted(maps.Keys(n.channels)) {
		list = append(list, n.channels[name])
	}
	return list
}

// Status says how each channel does, by name.
func (n *Notifier) Status() []ChannelStatus {
	list := []ChannelStatus{}
	for _, c := range n.list() {
		list = append(list, c.now())
	}
	return list
}
