package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"airfield/internal/caller"
	"airfield/internal/ingest"
)

// Sources is what the runner needs of the pipeline; ingest.Pipeline satisfies it.
type Sources interface {
	Library
	ListSources(ctx context.Context, collection string) ([]ingest.Source, error)
}

// Keep keeps a collection in line with one source until ctx ends. Each value of woken is somebody's word that something
// there has changed.
type Keep func(ctx context.Context, library Library, s ingest.Source, woken <-chan struct{}, log *slog.Logger)

// Runner keeps collections in line with every configured source.
type Runner struct {
	library Sources
	kinds   map[string]Keep // by ingest.SourceConfig.Kind
	reload  chan struct{}
	log     *slog.Logger

	mu   sync.Mutex
	wake map[string]chan struct{} // by source id
}

// NewRunner makes a runner of these kinds; nothing is watched before Run.
func NewRunner(library Sources, kinds map[string]Keep, log *slog.Logger) *Runner {
	return &Runner{library: library, kinds: kinds, reload: make(chan struct{}, 1), log: log.With("part", "source"), wake: map[string]chan struct{}{}}
}

// Wake has a source looked at soon. It never blocks, and is false for a source that is not kept here.
func (r *Runner) Wake(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, kept := r.wake[id]
	if kept {
		signal(c)
	}
	return kept
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Reload has the runner look at the configuration again, after it was synced to the database. It never blocks.
func (r *Runner) Reload() { signal(r.reload) }

// watched is one source being kept.
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
		if r.kinds[s.Config.Kind()] == nil {
			continue
		}
		raw, err := json.Marshal([]any{s.Config, s.MaxFileBytes})
		if err != nil {
			return fmt.Errorf("read the configuration of source %s: %w", s.Name, err)
		}
		want[s.ID], configs[s.ID] = s, string(raw)
	}
	for id, w := range running {
		if configs[id] != w.config {
			w.end()
			delete(running, id)
			r.mu.Lock()
			delete(r.wake, id)
			r.mu.Unlock()
		}
	}
	for id, s := range want {
		if _, on := running[id]; on {
			continue
		}
		watching, stop := context.WithCancelCause(ctx)
		w := watched{config: configs[id], stop: func() { stop(errors.New("the source is watched no more")) }, ended: make(chan struct{})}
		running[id] = w
		woken := make(chan struct{}, 1)
		r.mu.Lock()
		r.wake[id] = woken
		r.mu.Unlock()
		go func() {
			defer close(w.ended)
			r.kinds[s.Config.Kind()](watching, r.library, s, woken, r.log)
		}()
	}
	return nil
}
