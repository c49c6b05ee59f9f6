package app

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"airfield/internal/api/admin"
	"airfield/internal/fault"
	"airfield/internal/index/pgvector"
	"airfield/internal/ingest/source"
)

// flushBodies is how long a backup waits for the bodies of calls to be where it finds them.
const flushBodies = time.Minute

// probeTime is how long a part may take to say how it is.
const probeTime = 2 * time.Second

// Status says how the process and each of its parts are.
func (s *server) Status(ctx context.Context) admin.ServerStatus {
	st := admin.ServerStatus{Environment: s.config.Load().Environment, Version: s.options.Version, Role: s.options.Role, Started: s.started, Uptime: time.Since(s.started), Ready: true}
	note := func(name, detail string, err error) {
		part := admin.Part{Name: name, OK: err == nil, Detail: detail}
		if err != nil {
			part.Detail = fault.As(err).Text
			st.Ready = false
		}
		st.Parts = append(st.Parts, part)
	}
	note("database", string(s.parts.db.Engine()), waitAtMost(ctx, probeTime, s.parts.db.Ping))
	note("bucket", "", waitAtMost(ctx, probeTime, s.parts.bucket.Probe))
	if x, ok := s.parts.index.(*pgvector.Index); ok { // calls do without it
		part := admin.Part{Name: "index", OK: true, Detail: "pgvector"}
		if err := waitAtMost(ctx, probeTime, x.Probe); err != nil {
			part.OK, part.Detail = false, fault.As(err).Text
		}
		st.Parts = append(st.Parts, part)
	}
	lag := s.parts.drain.Lag()
	var full error
	if lag.Limit > 0 && lag.Bytes >= lag.Limit {
		full = fault.New(fault.Unavailable, "journal_full", "the journal is full: calls are refused until the database takes what waits")
	}
	detail := fmt.Sprintf("%d records wait for the database", lag.Records)
	if lag.Failing != "" {
		detail += ": " + lag.Failing
	}
	note("call log", detail, full)
	if s.parts.redis != nil {
		text := "limits and cached answers are shared"
		if since, reason, away := s.parts.redis.Away(); away { // which is no reason to serve nothing
			text = fmt.Sprintf("away since %s (%s): every process keeps the limits for itself and caches nothing", since.Format(time.RFC3339), reason)
		}
		note("redis", text, nil)
	}
	return st
}

// readyz is for load balancers: whether this process can serve. Which part is not well is told to those who have a key.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	if st := s.Status(r.Context()); !st.Ready {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// Flush waits until every call that ended before is in the database.
func (s *server) Flush(ctx context.Context) error {
	s.parts.recorder.Retry()
	return s.parts.drain.Flush(ctx)
}

// Scan compares a source with what is there, now.
func (s *server) Scan(ctx context.Context, collection, name string) error {
	if !s.options.does("worker") {
		return fault.New(fault.Conflict, "role", "this process is no worker: ask one that is")
	}
	known, err := s.parts.ingest.GetSource(ctx, collection, name)
	if err != nil {
		return err
	}
	f, done, err := openSource(ctx, known, filepath.Join(s.config.Load().Data, "tmp"))
	if err != nil {
		return err
	}
	defer done()
	report, err := source.Scan(ctx, s.parts.ingest, f, known.CollectionID, known.Name)
	s.log.Info("a source was scanned on demand", "collection", collection, "source", name, "report", report)
	return err
}

// Wake has a source looked at soon, because somebody says that something there has changed.
func (s *server) Wake(ctx context.Context, collection, name string) error {
	known, err := s.parts.ingest.GetSource(ctx, collection, name)
	if err != nil {
		return err
	}
	if !s.parts.sources.Wake(known.ID) {
		return fault.New(fault.Conflict, "role", "this process does not read that source: send events to a worker that does")
	}
	return nil
}

// Backup streams a consistent copy of the installation.
func (s *server) Backup(ctx context.Context, w http.ResponseWriter) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	if err := waitAtMost(ctx, flushBodies, s.parts.bodies.Flush); err != nil {
		return fault.New(fault.Unavailable, "bodies_waiting", "requests and answers are on their way to the bucket and do not get there: %w", err).
			Hinted("a backup without them would be incomplete: see the server's log, and try again")
	}
	return backup(ctx, s.config.Load(), s.parts, s.options.Version, w)
}

// retain removes calls, spans and responses whose time is over, a little at a time.
func (s *server) retain(ctx context.Context) error {
	return every(ctx, time.Hour, func() {
		keep := s.config.Load().Observe
		if _, _, err := s.parts.store.Retain(ctx, time.Now(), keep.KeepCalls, keep.KeepSpans); err != nil && ctx.Err() == nil {
			s.log.Warn("old calls were not removed; it is tried again in an hour", "error", err)
		}
		if _, err := s.parts.response.Sweep(ctx, time.Now(), s.config.Load().Responses.Keep); err != nil && ctx.Err() == nil {
			s.log.Warn("old responses were not removed; it is tried again in an hour", "error", err)
		}
	})
}

// sweepBucket applies the bucket's lifecycle.
func (s *server) sweepBucket(ctx context.Context) error {
	return every(ctx, time.Hour, func() {
		report, err := s.parts.bucket.Sweep(ctx, time.Now())
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("the bucket's lifecycle was not applied; it is tried again in an hour", "error", err)
		case report.Expired+report.Aborted > 0:
			s.log.Info("the bucket's lifecycle was applied", "expired", report.Expired, "expired_bytes", report.ExpiredBytes, "aborted_uploads", report.Aborted)
		}
	})
}

// sweepBodies removes requests and answers whose time is over.
func (s *server) sweepBodies(ctx context.Context) error {
	return every(ctx, time.Hour, func() {
		swept, err := s.parts.bodies.Sweep(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			s.log.Warn("old requests and answers were not removed; it is tried again in an hour", "error", err)
		}
		if swept.Blocks > 0 {
			s.log.Info("requests and answers whose time is over were removed", "blocks", swept.Blocks, "calls", swept.Calls, "bytes", swept.Bytes)
		}
	})
}

// every does something a minute after the start, when that is over, and then again and again until ctx ends.
func every(ctx context.Context, period time.Duration, do func()) error {
	wait := time.NewTimer(time.Minute)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
			do()
			wait.Reset(period)
		}
	}
}

var _ admin.System = (*server)(nil)
