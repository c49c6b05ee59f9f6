package folder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"airfield/internal/caller"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

// Library is what the runner needs of the pipeline; ingest.Pipeline satisfies it.
type Library interface {
	source.Library
	ListSources(ctx context.Context, collection string) ([]ingest.Source, error)
}

// Runner watches every configured folder.
type Runner struct {
	library Library
	reload  chan struct{}
	log     *slog.Logger
}

// NewRunner makes a runner; nothing is watched before Run.
func NewRunner(library Library, log *slog.Logger) *Runner {
	return &Runner{library: library, reload: make(chan struct{}, 1), log: log.With("part", "source")}
}

// Reload has the runner look at the configuration again, after it was synced to the database. It never blocks.
func (r *Runner) Reload() {
	select {
	case r.reload <- struct{}{}:
	default:
	}
}

// watched is one folder being watched.
type watched struct {
	config string
	stop   context.CancelFunc
	ended  chan struct{}
}

func (w watched) end() { w.stop(); <-w.ended }

// Run watches until ctx ends, and returns when every watch has ended.
func (r *Runner) Run(ctx context.Context) error {
	ctx = caller.With(ctx, &caller.Caller{Role: caller.System, KeyName: "source", Clearance: caller.Restricted})
	running := map[string]watched{}
	defer func() {
		for _, w := range running {
			w.end()
		}
	}()
	for {
		again := time.Duration(0)
		if err := r.apply(ctx, running); err != nil && ctx.Err() == nil {
			r.log.Error("the sources cannot be looked up", "err", err)
			again = afterFailure
		}
		var retry <-chan time.Time
		if again > 0 {
			retry = time.After(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.reload:
		case <-retry:
		}
	}
}

// apply starts what is new, and ends what is gone or configured otherwise.
func (r *Runner) apply(ctx context.Context, running map[string]watched) error {
	sources, err := r.library.ListSources(ctx, "")
	if err != nil {
		return err
	}
	want := map[string]ingest.Source{}
	configs := map[string]string{}
	for _, s := range sources {
		if s.Config.Folder == "" {
			continue
		}
		raw, err := json.Marshal(s.Config)
		if err != nil {
			return fmt.Errorf("read the configuration of source %s: %w", s.Name, err)
		}
		want[s.ID], configs[s.ID] = s, string(raw)
	}
	for id, w := range running {
		if configs[id] != w.config {
			w.end()
			delete(running, id)
		}
	}
	for id, s := range want {
		if _, on := running[id]; on {
			continue
		}
		watching, stop := context.WithCancelCause(ctx)
		w := watched{config: configs[id], stop: func() { stop(errors.New("the source is watched no more")) }, ended: make(chan struct{})}
		running[id] = w
		go func() {
			defer close(w.ended)
			Run(watching, r.library, s, r.log)
		}()
	}
	return nil
}
