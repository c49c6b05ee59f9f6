package source

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"airfield/internal/ingest"
)

const (
	defaultInterval = 5 * time.Minute
	afterFailure    = 10 * time.Second
	whileHeld       = 2 * time.Second // between two looks for a confirmation
	share           = 20              // a scan that changes caused comes after this many times its own duration: 5 % of a core at most
)

// Loop scans a source at once, soon after every change, and at every interval.
type Loop struct {
	Library Library
	Backend Backend
	Source  ingest.Source
	Changed <-chan struct{} // nil: at the interval alone
	Settle  time.Duration   // how long a change is left to settle
	Default time.Duration   // the interval where none is configured; 5 minutes where 0
	Retry   time.Duration   // when something that could not be read is tried again at the earliest; at the interval where 0
	Scanned func()          // called after each scan, where it is there
	Log     *slog.Logger
}

// Run goes on until ctx ends.
func (l Loop) Run(ctx context.Context) {
	interval := l.Source.Config.Interval
	if interval <= 0 {
		interval = cmp.Or(l.Default, defaultInterval)
	}
	for {
		began := time.Now()
		report, err := Scan(ctx, l.Library, l.Backend, l.Source.CollectionID, l.Source.Name)
		if ctx.Err() != nil {
			return
		}
		took := time.Since(began)
		l.tell(report, err, took)
		if l.Scanned != nil {
			l.Scanned()
		}
		wait := interval
		switch {
		case err != nil:
			wait = min(wait, afterFailure)
		case report.Unsettled > 0:
			wait = l.Settle + 50*time.Millisecond
		case report.Missed && l.Retry > 0:
			wait = min(wait, max(l.Retry, share*took)) // a long reading is no work of every hour because of one page
		}
		if !l.pause(ctx, wait, max(l.Settle, share*took), report.State == ingest.SourceHeld) {
			return
		}
	}
}

// pause waits for the time of the next scan: the interval, or a change and then the quiet after it.
func (l Loop) pause(ctx context.Context, wait, quiet time.Duration, held bool) bool {
	end := time.NewTimer(wait)
	defer end.Stop()
	var look <-chan time.Time
	if held {
		tick := time.NewTicker(whileHeld)
		defer tick.Stop()
		look = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end.C:
			return true
		case <-l.Changed:
			end.Reset(min(wait, quiet))
			select {
			case <-ctx.Done():
				return false
			case <-end.C:
				drain(l.Changed)
				return true
			}
		case <-look:
			if s, err := l.Library.GetSource(ctx, l.Source.CollectionID, l.Source.Name); err == nil && s.Held.Confirmed {
				return true
			}
		}
	}
}

// drain forgets changes that the scan to come will see anyway.
func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

func (l Loop) tell(r Report, err error, took time.Duration) {
	switch {
	case err != nil:
		l.Log.Error("a scan failed", "err", err)
	case r.State != ingest.SourceOK:
		l.Log.Warn("a source needs attention", "state", r.State, "message", r.Message)
	}
	if r.Added+r.Changed+r.Renamed+r.Removed > 0 {
		l.Log.Info("a source changed", "added", r.Added, "changed", r.Changed, "renamed", r.Renamed, "removed", r.Removed, "took", took.Round(time.Millisecond))
	}
}
