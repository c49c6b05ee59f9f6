// Package pgvector is the index in PostgreSQL, shared by all processes of an installation: vectors in pgvector, keywords
// in an inverted index over text search vectors. It makes its tables itself, in a schema of its own: they are derived,
// and can be dropped at any time. app opens it.
package pgvector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"airfield/internal/fault"
	"airfield/internal/index"
	"airfield/internal/index/analyze"
	"airfield/internal/secret"
)

// Index is one process's way to the index.
type Index struct {
	config   index.Config
	log      *slog.Logger
	analyzer analysis.Analyzer
	read     *pgxpool.Pool // searches
	write    *pgxpool.Pool // claims and what is built in the background, so that they never wait for searches

	graphAt    int64 // vectors from which a space has a graph
	settleTime time.Duration
	tender     chan struct{} // holds whoever tends a space

	background context.Context
	stop       context.CancelFunc
	work       sync.WaitGroup
	mu         sync.Mutex
	closed     bool
	tending    map[string]time.Time // spaces that are being tended, or not to be before
}

var _ index.Index = (*Index)(nil)

const (
	writers      = 4
	writeTimeout = 5 * time.Minute  // of one statement of a change
	lockTimeout  = 20 * time.Second // for searches to let go of a table that is dropped
	claimIdle    = time.Minute      // after which a claim whose owner hangs is lost
	graphVectors = 10_000           // below it every vector is compared, in a few milliseconds
)

// Open connects and makes what is missing.
func Open(ctx context.Context, c index.Config, log *slog.Logger) (*Index, error) {
	if _, err := c.Check(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	analyzer, err := analyze.New()
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	x := &Index{config: c, log: log.With("part", "index"), analyzer: analyzer, graphAt: graphVectors, settleTime: settleTime, tender: make(chan struct{}, 1), tending: map[string]time.Time{}}
	x.background, x.stop = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the index did not get ready in time"))
	defer cancel()
	place, err := x.prepare(ctx)
	if err == nil {
		x.read, err = x.pool(c.MaxConnections, c.Timeout, place)
	}
	if err == nil {
		x.write, err = x.pool(writers, writeTimeout, place)
	}
	if err == nil {
		err = x.tendAll(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the index at %s: %w", secret.RedactURL(c.URL), x.classify(err)), x.Close())
	}
	return x, nil
}

// settings are those of an address.
func (x *Index) settings() (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(x.config.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "index_url", "index.url %s is not an address of PostgreSQL", secret.RedactURL(x.config.URL)).
			Hinted("postgres://USER@HOST/DATABASE; what is special in a name is written %%XX")
	}
	switch {
	case !x.config.Password.Empty():
		config.ConnConfig.Password = x.config.Password.Reveal()
	case x.config.Password.Ref() != "":
		return nil, fault.New(fault.Invalid, "index_password", "the index's password %s is not set or empty", x.config.Password.Ref())
	}
	config.ConnConfig.ConnectTimeout = x.config.Timeout
	// Plans are made for the values at hand: how many documents a filter leaves decides which is good.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "airfield-index"
	}
	return config, nil
}

// pool opens connections whose every statement has an end. place is the schema of the extension.
func (x *Index) pool(most int, timeout time.Duration, place string) (*pgxpool.Pool, error) {
	config, err := x.settings()
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(most)
	config.MaxConnIdleTime = 5 * time.Minute
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		// The extension's own settings are known once its library is loaded, which its first use does.
		_, err := c.Exec(ctx, "SELECT '[1]'::"+pgx.Identifier{place, "vector"}.Sanitize())
		if err != nil {
			return err
		}
		// A comparison of vectors or of words costs more than PostgreSQL thinks of an operator.
		_, err = c.Exec(ctx, `SELECT set_config('search_path', $1, false), set_config('statement_timeout', $2, false), set_config('lock_timeout', $3, false),
			set_config('idle_in_transaction_session_timeout', '60000', false), set_config('plan_cache_mode', 'force_custom_plan', false), set_config('jit', 'off', false),
			set_config('random_page_cost', '1.1', false), set_config('cpu_operator_cost', '0.02', false),
			set_config('hnsw.iterative_scan', 'relaxed_order', false), set_config('hnsw.ef_search', '100', false)`,
			pgx.Identifier{x.config.Schema}.Sanitize()+", "+pgx.Identifier{place}.Sanitize(), millis(timeout), millis(lockTimeout))
		return err
	}
	return pgxpool.NewWithConfig(context.Background(), config)
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// classify turns what users can act on into faults.
func (x *Index) classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if f := (*fault.Fault)(nil); errors.As(err, &f) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		var connect *pgconn.ConnectError
		if errors.As(err, &connect) || strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF") {
			return fault.New(fault.Unavailable, "index_away", "the PostgreSQL of the index does not answer: %w", err)
		}
		return err
	}
	switch {
	case pg.Code == "57014" || pg.Code == "55P03":
		return fault.New(fault.Unavailable, "index_slow", "the index did not answer in time: %w", err).Hinted("index.timeout bounds each statement of a search")
	case pg.Code == "53100":
		return fault.New(fault.Unavailable, "disk_full", "the disk of the index's PostgreSQL is full: %w", err)
	case pg.Code == "3F000" || pg.Code == "42P01":
		return fault.New(fault.Unavailable, "index_gone", "the schema %s of the index was dropped: %w", x.config.Schema, err).Hinted("restart: it is made and fed again")
	case strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08") || pg.Code == "53300" || pg.Code == "25P03":
		return fault.New(fault.Unavailable, "index_away", "the PostgreSQL of the index is not available: %w", err)
	}
	return err
}

var validSpace = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$`)

// Close ends what runs in the background and the connections.
func (x *Index) Close() error {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.stop()
	x.work.Wait()
	for _, p := range []*pgxpool.Pool{x.read, x.write} {
		if p != nil {
			p.Close()
		}
	}
	return nil
}

// Probe reports whether the index answers.
func (x *Index) Probe(ctx context.Context) error { return x.classify(x.read.Ping(ctx)) }

func (x *Index) Sequence(ctx context.Context, name string) (n int64, err error) {
	err = x.read.QueryRow(ctx, "SELECT sequence FROM spaces WHERE name = $1", name).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return n, x.classify(err)
}

func (x *Index) Count(ctx context.Context, name, documentID string) (n int, err error) {
	err = x.inside(ctx, name, func(tx pgx.Tx, s *space) error {
		return tx.QueryRow(ctx, s.sql("SELECT COUNT(*) FROM {c} c JOIN {d} d ON d.n = c.doc WHERE d.id = $1"), keep(documentID)).Scan(&n)
	})
	return n, err
}

const page = 1000

func (x *Index) Documents(ctx context.Context, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for after := int64(0); ; {
			var ids []string
			err := x.inside(ctx, name, func(tx pgx.Tx, s *space) error {
				ids = ids[:0]
				rows, err := tx.Query(ctx, s.sql("SELECT n, id FROM {d} WHERE n > $1 ORDER BY n LIMIT $2"), after, page)
				if err != nil {
					return err
				}
				var id string
				_, err = pgx.ForEachRow(rows, []any{&after, &id}, func() error { ids = append(ids, given(id)); return nil })
				return err
			})
			if err != nil {
				yield("", err)
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
			if len(ids) < page {
				return
			}
		}
	}
}

func (x *Index) Spaces(ctx context.Context) ([]string, error) {
	rows, err := x.read.Query(ctx, `SELECT name FROM spaces ORDER BY name COLLATE "C"`)
	if err != nil {
		return nil, x.classify(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, x.classify(err)
}

func (x *Index) Stats(ctx context.Context, name string) (out index.Stats, err error) {
	err = x.inside(ctx, name, func(tx pgx.Tx, s *space) error {
		out = index.Stats{Documents: int(s.documents), Chunks: int(s.chunks), Vectors: int(s.vectors)}
		if s.vectors > 0 {
			out.Dimensions = s.dimensions
		}
		return tx.QueryRow(ctx, s.sql(`SELECT pg_total_relation_size('{d}') + pg_total_relation_size('{c}') + pg_total_relation_size('{v}') + pg_total_relation_size('{t}')`)).Scan(&out.Bytes)
	})
	return out, err
}

// Compact lets PostgreSQL reuse the room of what was removed. What a page held before may stay in it until the room is
// used again, as everywhere in PostgreSQL.
func (x *Index) Compact(ctx context.Context, name string) error {
	var tables []string
	err := x.inside(ctx, name, func(_ pgx.Tx, s *space) error {
		tables = strings.Fields(s.sql("{d} {c} {v} {t}"))
		return nil
	})
	for _, table := range tables {
		if err == nil {
			_, err = x.write.Exec(ctx, "VACUUM "+table)
		}
		if undefined(err) { // dropped meanwhile
			return nil
		}
	}
	return x.classify(err)
}
