package pgvector

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	tendTime    = 4 * time.Hour   // the longest that a graph may take to be built
	tendAgain   = 5 * time.Minute // after it did not work
	settleTime  = 3 * time.Second // in which a space must not grow by much
	settleMost  = time.Hour       // that a space that grows all the time is waited for
	graphLength = 4000            // dimensions that pgvector builds a graph of halves for
)

// tendAll looks after every space once, at the start: a process may have ended before it was done with one.
func (x *Index) tendAll(ctx context.Context) error {
	names, err := x.Spaces(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := x.inside(ctx, name, func(_ pgx.Tx, s *space) error { x.tendIfDue(s); return nil }); err != nil {
			return err
		}
	}
	return nil
}

func (x *Index) wantsGraph(s *space) bool {
	return !s.graph && s.vectors >= x.graphAt && s.dimensions <= graphLength
}

// wantsStatistics is true where a space grew so much that PostgreSQL would plan for another.
func wantsStatistics(s *space) bool { return s.chunks > 2*s.analyzed+500 }

// tendIfDue has a space looked after in the background, where it needs to be and nobody in this process does.
func (x *Index) tendIfDue(s *space) {
	if !x.wantsGraph(s) && !wantsStatistics(s) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || time.Now().Before(x.tending[s.name]) {
		return
	}
	x.tending[s.name] = time.Now().Add(2 * tendTime)
	x.work.Go(func() {
		err := x.tendOne(s)
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.tending, s.name)
		if err != nil && x.background.Err() == nil {
			x.log.Warn("the index works, but not as fast as it could", "space", s.name, "error", err)
			x.tending[s.name] = time.Now().Add(tendAgain)
		}
	})
}

// tendOne does what is due, one space after the other, so that claims always find a connection.
func (x *Index) tendOne(s *space) error {
	if wantsStatistics(s) {
		if err := x.tend(x.background, s.name, false); err != nil {
			return err
		}
	}
	if s.vectors < x.graphAt {
		return nil
	}
	if err := x.settle(x.background, s.name); err != nil {
		return err
	}
	return x.tend(x.background, s.name, true)
}

// settle waits until a space that is being filled is not any more: to build a graph of all vectors takes a fraction of
// putting one after the other into it.
func (x *Index) settle(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, settleMost)
	defer cancel()
	for last := int64(-1); ; {
		var vectors int64
		err := x.read.QueryRow(ctx, "SELECT vectors FROM spaces WHERE name = $1", name).Scan(&vectors)
		if err != nil || vectors < x.graphAt || vectors-last <= last/100 {
			return err
		}
		last = vectors
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(x.settleTime):
		}
	}
}

// tend brings statistics and graph of a space up to date. Searches and changes go on meanwhile. One process does it.
func (x *Index) tend(ctx context.Context, name string, graph bool) error {
	select {
	case x.tender <- struct{}{}:
		defer func() { <-x.tender }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, tendTime)
	defer cancel()
	conn, err := x.claim(ctx, "tend "+name)
	if conn == nil || err != nil {
		return err // somebody else is at it
	}
	defer x.unlock(conn)
	if _, err := conn.Exec(ctx, "SELECT set_config('idle_session_timeout', '0', false), set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)"); err != nil {
		return err
	}
	defer conn.Exec(context.WithoutCancel(ctx), "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false)", millis(writeTimeout), millis(lockTimeout))
	var s *space
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) { s, err = readSpace(ctx, tx, name, ""); return err }); s == nil || err != nil {
		return err
	}
	if wantsStatistics(s) {
		if _, err := conn.Exec(ctx, s.sql("ANALYZE {d}, {c}, {v}, {t}")); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "UPDATE spaces SET analyzed = $2 WHERE id = $1", s.id, s.chunks); err != nil {
			return err
		}
	}
	if !graph || !x.wantsGraph(s) {
		return nil
	}
	start := time.Now()
	if err := x.build(ctx, conn.Conn(), s); err != nil {
		return fmt.Errorf("build the graph of %d vectors: %w", s.vectors, err)
	}
	x.log.Info("built the graph of an index", "space", name, "vectors", s.vectors, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// build makes the graph. What an earlier try left behind goes first.
func (x *Index) build(ctx context.Context, conn *pgx.Conn, s *space) error {
	if _, err := conn.Exec(ctx, s.sql("DROP INDEX CONCURRENTLY IF EXISTS {v}_graph")); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT set_config('maintenance_work_mem', GREATEST(pg_size_bytes(current_setting('maintenance_work_mem')), 256 * 1024 * 1024) / 1024 || 'kB', false)"); err != nil {
		return err
	}
	defer conn.Exec(context.WithoutCancel(ctx), "RESET maintenance_work_mem")
	if _, err := conn.Exec(ctx, s.sql(fmt.Sprintf("CREATE INDEX CONCURRENTLY {v}_graph ON {v} USING hnsw ((v::halfvec(%d)) halfvec_ip_ops)", s.dimensions))); err != nil {
		return err
	}
	// A space that was emptied meanwhile has lost its graph again.
	_, err := conn.Exec(ctx, s.sql("UPDATE spaces SET graph = true WHERE id = $1 AND dimensions = $2 AND EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('{v}_graph') AND indisvalid)"), s.id, s.dimensions)
	return err
}
