package ingest

import (
	"context"
	"time"
)

// SweepAt is Sweep as of another time.
func (p *Pipeline) SweepAt(ctx context.Context, now time.Time) error {
	return p.sweep(asSystem(ctx), now)
}
