package folder

import (
	"context"
	"log/slog"

	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

// Run keeps a collection in line with a folder until ctx ends: a scan at once, at every change, and at every interval.
func Run(ctx context.Context, library source.Library, s ingest.Source, woken <-chan struct{}, log *slog.Logger) {
	log = log.With("collection", s.Collection, "source", s.Name)
	f, err := New(s.Config)
	if err != nil {
		log.Error("a source cannot be read", "err", err)
		return
	}
	l := source.Loop{Library: library, Backend: f, Source: s, Changed: woken, Settle: settle, Log: log}
	w, err := NewWatch(f)
	if err != nil {
		log.Warn("a folder cannot be watched; it is compared at every interval only", "err", err)
	} else {
		l.Changed = w.Changed
		warned := false
		l.Scanned = func() {
			if err := w.Follow(); err != nil && !warned {
				warned = true
				log.Warn("some folders are not watched; changes in them are found at the next interval", "err", err)
			}
		}
		watching, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(watching, woken)
		}()
		defer func() { stop(); <-ended }()
	}
	l.Run(ctx)
}
