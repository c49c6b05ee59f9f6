package folder

import (
	"context"
	"log/slog"
	"time"

	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

const (
	defaultInterval = 5 * time.Minute
	afterFailure    = 10 * time.Second
	whileHeld       = 2 * time.Second // between two looks for a confirmation
	share           = 20              // a scan that changes caused comes after this many times its own duration: 5 % of a core at most
)

// Run keeps a collection in line with a folder until ctx ends: a scan at once, at every change, and at every interval.
func Run(ctx context.Context, library source.Library, s ingest.Source, log *slog.Logger) {
	log = log.With("collection", s.Collection, "source", s.Name)
	f, err := New(s.Config)
	if err != nil {
		log.Error("a source cannot be read", "err", err)
		return
	}
	w, err := NewWatch(f)
	var changed chan struct{}
	if err != nil {
		log.Warn("a folder cannot be watched; it is compared at every interval only", "err", err)
	} else {
		changed = w.Changed
		watching, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(watching)
		}()
		defer func() { stop(); <-ended }()
	}
	interval := s.Config.Interval
	if interval <= 0 {
		interval = defaultInterval
	}
	loop{library: library, folder: f, watch: w, changed: changed, source: s, interval: interval, log: log}.run(ctx)
}

type loop struct {
	library  source.Library
	folder   *Folder
	watch    *Watch
	changed  chan struct{}
	source   ingest.Source
	interval time.Duration
	log      *slog.Logger
}

func (l loop) run(ctx context.Context) {
	warned := false
	for {
		began := time.Now()
		report, err := source.Scan(ctx, l.library, l.folder, l.source.CollectionID, l.source.Name)
		if ctx.Err() != nil {
			return
		}
		took := time.Since(began)
		l.tell(report, err, took)
		if l.watch != nil {
			if err := l.watch.Follow(); err != nil && !warned {
				warned = true
				l.log.Warn("some folders are not watched; changes in them are found at the next interval", "err", err)
			}
		}
		wait := l.interval
		switch {
		case err != nil:
			wait = min(wait, afterFailure)
		case report.Unsettled > 0:
			wait = settle + 50*time.Millisecond
		case report.State == ingest.SourceHeld:
			wait = l.interval // the look for a confirmation is in pause
		}
		if !l.pause(ctx, wait, max(settle, share*took), report.State == ingest.SourceHeld) {
			return
		}
	}
}

// pause waits for the time of the next scan: the interval, or a change and then the quiet after it.
func (l loop) pause(ctx context.Context, wait, quiet time.Duration, held bool) bool {
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
		case <-l.changed:
			end.Reset(min(wait, quiet))
			select {
			case <-ctx.Done():
				return false
			case <-end.C:
				drain(l.changed)
				return true
			}
		case <-look:
			if s, err := l.library.GetSource(ctx, l.source.CollectionID, l.source.Name); err == nil && s.Held.Confirmed {
				return true
			}
		}
	}
}

// drain forgets changes that the scan to come will see anyway.
func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

func (l loop) tell(r source.Report, err error, took time.Duration) {
	switch {
	case err != nil:
		l.log.Error("a scan failed", "err", err)
	case r.State != ingest.SourceOK:
		l.log.Warn("a source needs attention", "state", r.State, "message", r.Message)
	}
	if r.Added+r.Changed+r.Renamed+r.Removed > 0 {
		l.log.Info("a source changed", "added", r.Added, "changed", r.Changed, "renamed", r.Renamed, "removed", r.Removed, "took", took.Round(time.Millisecond))
	}
}
