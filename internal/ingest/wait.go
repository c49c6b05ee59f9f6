package ingest

import (
	"context"
	"time"
)

// Wait blocks until nothing more happens to the versions by itself, and returns them; each, where given, is called
// whenever something changed. The wait is bounded by ctx.
func (p *Pipeline) Wait(ctx context.Context, ids []string, each func([]Version)) ([]Version, error) {
	var seen time.Time
	wait := 20 * time.Millisecond
	for {
		versions, err := p.Versions(ctx, ids)
		if err != nil {
			return nil, err
		}
		ended, newest := true, time.Time{}
		for _, v := range versions {
			ended = ended && v.Ended()
			if v.Run.UpdatedAt.After(newest) {
				newest = v.Run.UpdatedAt
			}
		}
		if newest.After(seen) || seen.IsZero() {
			seen, wait = newest, 20*time.Millisecond
			if each != nil {
				each(versions)
			}
		}
		if ended {
			return versions, nil
		}
		select {
		case <-ctx.Done():
			return versions, context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = min(wait*3/2, time.Second)
	}
}
