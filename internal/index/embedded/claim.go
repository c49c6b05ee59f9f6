package embedded

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"airfield/internal/fault"
	"airfield/internal/index"
)

// claims are the spaces that somebody has claimed. The folder belongs to one process, so that memory is enough.
type claims struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the claim ends
}

// claim is the right to change one space.
type claim struct {
	x     *Index
	space string
	ended atomic.Bool
}

// Claim waits until nobody else has the space.
func (x *Index) Claim(ctx context.Context, space string) (index.Claim, error) {
	timeout := time.NewTimer(index.ClaimWait)
	defer timeout.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x.claims.mu.Lock()
		other := x.claims.held[space]
		if other == nil {
			if x.claims.held == nil {
				x.claims.held = map[string]chan struct{}{}
			}
			x.claims.held[space] = make(chan struct{})
			x.claims.mu.Unlock()
			return &claim{x: x, space: space}, nil
		}
		x.claims.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timeout.C:
			return nil, index.Busy(space)
		}
	}
}

var errReleased = fault.New(fault.Unavailable, "index_claim_lost", "the claim of this space has ended")

func (c *claim) Replace(ctx context.Context, documents []index.Document, sequence int64) error {
	if c.ended.Load() {
		return errReleased
	}
	return c.x.replace(ctx, c.space, documents, sequence)
}

func (c *claim) Drop(ctx context.Context) error {
	if c.ended.Load() {
		return errReleased
	}
	return c.x.drop(ctx, c.space)
}

func (c *claim) Release() {
	if c.ended.Swap(true) {
		return
	}
	c.x.claims.mu.Lock()
	defer c.x.claims.mu.Unlock()
	close(c.x.claims.held[c.space])
	delete(c.x.claims.held, c.space)
}
