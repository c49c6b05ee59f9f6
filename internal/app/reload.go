package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"airfield/internal/caller"
	"airfield/internal/config"
	"airfield/internal/fault"
)

// lookEvery is how often the file is looked at for a change.
const lookEvery = 2 * time.Second

// watchConfig loads the configuration again on SIGHUP and when the file's content changes.
func (s *server) watchConfig(ctx context.Context) error {
	path := s.options.ConfigPath
	seen := fingerprint(path)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return nil
		case <-s.options.Hangup:
			asked = true
		case <-tick.C:
		}
		now := fingerprint(path)
		if !asked && (now == seen || now == "") {
			continue
		}
		seen = now
		changes, err := s.Reload(ctx)
		if err != nil {
			s.log.Error("the configuration was not taken over; the old one stays in force", "error", err)
			continue
		}
		s.log.Info("the configuration was taken over", "changes", changes)
	}
}

// fingerprint is of the content, not of the time: editors and volume mounts touch files that did not change.
func fingerprint(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "" // away for a moment, while it is replaced
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// Reload takes over the configuration file as it is now: all of it or none. Everything that can fail is done before
// anything that is in use changes.
func (s *server) Reload(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, warnings, err := config.Load(s.options.ConfigPath)
	if err != nil {
		return nil, fault.New(fault.Invalid, "config_invalid", "the configuration cannot be used: %v", err)
	}
	now := s.config.Load()
	differences := config.Diff(now, next)
	if fixed := config.Restart(differences); len(fixed) > 0 {
		keys := make([]string, len(fixed))
		for i, d := range fixed {
			keys[i] = d.Key
		}
		return nil, fault.New(fault.Conflict, "restart_needed", "%s can only change with a restart", strings.Join(keys, ", "))
	}
	for _, w := range warnings {
		s.log.Warn("configuration", "warning", w)
	}
	if err := s.parts.gateway.Reload(next.Gateway); err != nil {
		return nil, err
	}
	if err := s.syncCollections(ctx, next); err != nil {
		return nil, errors.Join(err, s.parts.gateway.Reload(now.Gateway))
	}
	if err := s.parts.notify.Reload(next.Notify); err != nil { // it was checked
		s.log.Error("the channels of notify were not taken over", "error", err)
	}
	s.parts.keys.SetWorkflows(workflows(next))
	s.parts.budgets.Reload(next.Budgets)
	s.parts.pricer.reload(next.Gateway)
	s.parts.metrics.SetModels(s.parts.modelNames())
	s.parts.keeping.config.Store(next)
	s.config.Store(next)
	changes := make([]string, len(differences))
	for i, d := range differences {
		changes[i] = d.Key
	}
	return changes, nil
}

// syncCollections brings the collections and their sources in line with a configuration.
func (s *server) syncCollections(ctx context.Context, c *config.Config) error {
	ctx = caller.With(ctx, &caller.Caller{Role: caller.System, KeyName: "configuration", Environment: c.Environment, Clearance: caller.Restricted})
	warnings, err := s.parts.ingest.Sync(ctx, collections(c))
	for _, w := range warnings {
		s.log.Warn("collections", "warning", w)
	}
	s.parts.sources.Reload()
	return err
}
