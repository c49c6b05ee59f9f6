package notify

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	maxTries    = 6                // of one delivery
	firstWait   = time.Second      // before the second try; doubled from there
	longestWait = 30 * time.Second // between tries, unless the receiver asks for more
	maxPatience = time.Minute      // with a receiver that asks for patience
)

// ChannelStatus is how a channel does.
type ChannelStatus struct {
	Channel     string    `json:"channel"`
	By          string    `json:"by"`     // how it delivers: webhook
	Events      []string  `json:"events"` // the kinds it is for; none for all
	Waiting     int       `json:"waiting"`
	Delivered   int64     `json:"delivered"`
	Failed      int64     `json:"failed"`  // given up
	Held        int64     `json:"held"`    // not said again so soon
	Dropped     int64     `json:"dropped"` // the queue was full, or the channel ended
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastFailure time.Time `json:"last_failure,omitzero"` // of a try
	LastError   string    `json:"last_error,omitempty"`  // of the same try
	Failing     bool      `json:"failing"`               // the last try failed
}

// channel delivers, in order, what its configuration wants.
type channel struct {
	name   string
	owner  *Notifier
	queue  chan *message
	cancel context.CancelFunc // ends it; nil until it runs; guarded by the owner's lock

	mu       sync.Mutex
	config   Channel
	said     memory
	status   ChannelStatus
	reported int64 // of status.Dropped
}

func newChannel(n *Notifier, name string, c Channel) *channel {
	return &channel{name: name, owner: n, queue: make(chan *message, queueSize), config: c.complete(), said: memory{}}
}

func (c *channel) configure(config Channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = config.complete()
}

// offer queues an event, if the channel is for it and it was not said not long ago.
func (c *channel) offer(e Event, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.config.wants(e.Kind) {
		return
	}
	now := time.Now()
	held, again := c.said.again(e, now, c.config.Repeat)
	if again {
		c.count(Held)
		return
	}
	m := newMessage(e, held)
	if !ended {
		select {
		case c.queue <- m:
			c.said.add(m, now, c.config.Repeat)
			return
		default:
		}
	}
	c.count(Dropped)
}

// count notes what came of an event. The caller holds the lock.
func (c *channel) count(r Result) {
	switch r {
	case Delivered:
		c.status.Delivered++
	case Failed:
		c.status.Failed++
	case Held:
		c.status.Held++
	case Dropped:
		c.status.Dropped++
	}
	c.owner.deps.Count(Outcome{c.name, r})
}

// run delivers until ctx is done or the notifier ends and nothing waits any more.
func (c *channel) run(ctx context.Context) {
	ending := false
	for {
		if ending && len(c.queue) == 0 {
			return
		}
		select {
		case m := <-c.queue:
			c.deliver(ctx, m)
		case <-c.owner.ending:
			ending = true
			if len(c.queue) == 0 {
				return
			}
			c.deliver(ctx, <-c.queue) // nobody else takes from it
		case <-ctx.Done():
			for len(c.queue) > 0 {
				c.drop(<-c.queue)
			}
			c.report()
			return
		}
	}
}

// deliver tries until the receiver has it, or it is plain that it will not, or there were enough tries.
func (c *channel) deliver(ctx context.Context, m *message) {
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			c.drop(m)
			return
		}
		c.mu.Lock()
		config := c.config
		c.mu.Unlock()
		f := webhook{c.owner.client, config}.deliver(ctx, m)
		if f != nil && ctx.Err() != nil {
			c.drop(m)
			return
		}
		again := f != nil && !f.final && try < maxTries
		c.tried(m, f, again)
		if !again {
			return
		}
		select {
		case <-time.After(max(backoff(try), min(f.after, maxPatience))):
		case <-ctx.Done():
		}
	}
}

// tried notes what came of a try.
func (c *channel) tried(m *message, f *failure, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.status.Failing = f != nil
	if f == nil {
		c.status.LastSuccess = now
		c.count(Delivered)
		return
	}
	c.status.LastFailure, c.status.LastError = now, f.text
	if again {
		c.count(Retried)
		return
	}
	c.count(Failed)
	c.said.forget(m) // the next of its kind is not held back by one that nobody got
	c.owner.deps.Log.Error("an event could not be delivered", "channel", c.name, "kind", m.Kind, "key", m.Key, "error", f.text)
}

// drop gives up a message that the end came before.
func (c *channel) drop(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said.forget(m)
	c.count(Dropped)
}

// report logs how many events were dropped since it last did.
func (c *channel) report() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if dropped := c.status.Dropped - c.reported; dropped > 0 {
		c.owner.deps.Log.Warn("events were dropped: their channel does not keep up, or ended", "channel", c.name, "dropped", dropped)
	}
	c.reported = c.status.Dropped
}

func (c *channel) now() ChannelStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Channel, s.By, s.Events, s.Waiting = c.name, "webhook", c.config.Events, len(c.queue)
	return s
}

// backoff is how long to wait after a try, counted from 1: doubled each time, half of it by chance, so that what failed
// together does not come back together.
func backoff(try int) time.Duration {
	wait := min(firstWait<<(try-1), longestWait)
	return wait/2 + rand.N(wait/2)
}
