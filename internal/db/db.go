// Package db opens the database of an installation, SQLite or PostgreSQL, behind one door. Every feature's store
// writes its queries once, with ? placeholders, in the SQL that both engines share; what differs is in engine.go.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"airfield/internal/fault"
	"airfield/internal/secret"
)

// DB is an open database. Reads go to a pool; writes go through Tx, one at a time on SQLite.
type DB struct {
	engine Engine
	write  *sql.DB
	read   *sql.DB       // the same as write on PostgreSQL
	pool   *pgxpool.Pool // beneath write on PostgreSQL
	log    *slog.Logger
}

// Querier is what reads and writes share: a DB (reads) and a Tx.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

// Config is the part of airfield.yaml that this package owns.
type Config struct {
	URL            string        `yaml:"url" json:"url" doc:"sqlite:PATH, or postgres://USER@HOST/DATABASE."`
	Password       secret.Value  `yaml:"password" json:"password" doc:"PostgreSQL's password, env:NAME or file:PATH; without it PGPASSWORD or a passfile is used."`
	MaxConnections int           `yaml:"max_connections" json:"max_connections" doc:"Connections to PostgreSQL at the most, or readers of SQLite."`
	Timeout        time.Duration `yaml:"timeout" json:"timeout" doc:"How long a connection or a lock is waited for."`
}

// Default is an embedded database in the data folder; the wiring fills in its path.
func Default() Config { return Config{MaxConnections: 8, Timeout: 10 * time.Second} }

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	switch {
	case c.URL != "" && engineOf(c.URL) == "":
		return nil, fmt.Errorf("url: %q is neither sqlite:PATH nor postgres://…", secret.RedactURL(c.URL))
	case c.MaxConnections < 2:
		return nil, fmt.Errorf("max_connections: at least 2, not %d", c.MaxConnections)
	case c.Timeout < time.Second:
		return nil, fmt.Errorf("timeout: at least 1s, not %s", c.Timeout)
	}
	if secret.InURL(c.URL) {
		warnings = append(warnings, "url: holds a password: it belongs in password, as env:NAME or file:PATH, which never print")
	}
	return warnings, nil
}

// Open connects and brings the schema up to date. A database that is away is an unavailable fault.
func Open(ctx context.Context, c Config, log *slog.Logger) (*DB, error) {
	return open(ctx, c, log, latest)
}

func open(ctx context.Context, c Config, log *slog.Logger, version int64) (*DB, error) {
	if _, err := c.Check(); err != nil {
		return nil, err
	}
	var d *DB
	var err error
	switch engineOf(c.URL) {
	case SQLite:
		d, err = openSQLite(c)
	case Postgres:
		d, err = openPostgres(c)
	default:
		return nil, fault.New(fault.Invalid, "database_url", "no database is configured")
	}
	if err != nil {
		return nil, err
	}
	d.log = log
	ctx, cancel := context.WithTimeoutCause(ctx, 6*c.Timeout, errors.New("the database did not get ready in time"))
	defer cancel()
	if err := d.write.PingContext(ctx); err != nil {
		d.Close()
		return nil, fault.New(fault.Unavailable, "database_away", "the database at %s does not answer: %w", secret.RedactURL(c.URL), err)
	}
	if err := d.migrate(ctx, version); err != nil {
		d.Close()
		return nil, fmt.Errorf("bring the schema of %s up to date: %w", secret.RedactURL(c.URL), err)
	}
	return d, nil
}

// Engine says which of the two this is.
func (d *DB) Engine() Engine { return d.engine }

// SQL gives the pool that writes, for the job queue, which speaks to the driver itself.
func (d *DB) SQL() *sql.DB { return d.write }

// Pool gives the same connections to what speaks PostgreSQL itself, the job queue; nil on SQLite.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return d.read.PingContext(ctx) }

// Close waits for nothing: the caller has stopped all work before.
func (d *DB) Close() error {
	err := d.write.Close()
	if d.read != d.write {
		err = errors.Join(d.read.Close(), err)
	}
	if d.pool != nil {
		d.pool.Close()
	}
	return err
}

// Query reads rows outside a transaction.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.read.QueryContext(ctx, d.engine.bind(query), d.engine.askable(args)...)
}

// QueryRow reads one row outside a transaction.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return d.read.QueryRowContext(ctx, d.engine.bind(query), d.engine.askable(args)...)
}

// Exec is a transaction of one statement.
func (d *DB) Exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = d.Tx(ctx, func(tx *Tx) error {
		n, err = tx.Exec(ctx, query, args...)
		return err
	})
	return n, err
}

// Micros is a time as it is kept in the database; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the time that a column holds; 0 is the zero time.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// Marks returns n placeholders for an IN list: "?,?,?".
func Marks(n int) string {
	if n <= 0 {
		return "NULL"
	}
	return strings.Repeat("?,", n-1) + "?"
}

// Args turns a list into arguments.
func Args[T any](list []T) []any {
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = v
	}
	return args
}
