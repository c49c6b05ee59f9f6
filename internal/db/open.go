package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"airfield/internal/fault"
	"airfield/internal/secret"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are the schema's files, for tests that make a database once and copy it.
func Migrations() fs.FS { return migrations }

// openSQLite opens one connection that writes and a pool of readers that cannot. WAL lets them work at once.
func openSQLite(c Config) (*DB, error) {
	path := strings.TrimPrefix(c.URL, "sqlite:")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the database's folder: %w", err)
	}
	pragmas := []string{"busy_timeout(" + strconv.FormatInt(c.Timeout.Milliseconds(), 10) + ")", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(ON)", "cache_size(-8000)", "secure_delete(ON)"}
	write, err := openCached(sqliteDSN(path, "immediate", pragmas))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := openCached(sqliteDSN(path, "deferred", append(pragmas, "query_only(ON)")))
	if err != nil {
		write.Close()
		return nil, err
	}
	read.SetMaxOpenConns(c.MaxConnections)
	read.SetMaxIdleConns(c.MaxConnections) // a new one reads the schema and plans every statement anew
	read.SetConnMaxIdleTime(time.Minute)   // and an idle one keeps its pages
	return &DB{engine: SQLite, write: write, read: read}, nil
}

func sqliteDSN(path, lock string, pragmas []string) string {
	q := url.Values{"_pragma": pragmas, "_txlock": {lock}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func openPostgres(c Config) (*DB, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "database_url", "database.url %s is not an address of PostgreSQL", secret.RedactURL(c.URL)).
			Hinted("postgres://USER@HOST/DATABASE; what is special in a name is written %%XX")
	}
	switch {
	case !c.Password.Empty():
		config.ConnConfig.Password = c.Password.Reveal()
	case c.Password.Ref() != "":
		return nil, fault.New(fault.Invalid, "database_password", "database.password: %s is not set or empty", c.Password.Ref())
	}
	config.MaxConns = int32(c.MaxConnections)
	config.MaxConnIdleTime = 5 * time.Minute
	config.ConnConfig.ConnectTimeout = c.Timeout
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	shared := sql.OpenDB(reached{stdlib.GetPoolConnector(pool)})
	shared.SetMaxIdleConns(0) // the pool keeps them
	return &DB{engine: Postgres, write: shared, read: shared, pool: pool}, nil
}

// reached says of a PostgreSQL that cannot be reached that it is away, to readers as well as to writers.
type reached struct{ driver.Connector }

func (r reached) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.Connector.Connect(ctx)
	return c, Postgres.classify(err)
}

// latest is the schema of this binary.
const latest int64 = -1

// migrate applies what is missing up to a version. On PostgreSQL a session lock keeps two starting processes apart.
func (d *DB) migrate(ctx context.Context, to int64) error {
	provider, err := d.migrations()
	if err != nil {
		return err
	}
	if to == latest {
		_, err = provider.Up(ctx)
	} else {
		_, err = provider.UpTo(ctx, to)
	}
	return err
}

func (d *DB) migrations() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{}
	if d.engine == Postgres {
		dialect = goose.DialectPostgres
		locker, err := sessionLocker()
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, d.write, files, options...)
}

// newestMigration is the version that this binary's schema has.
func newestMigration() (newest int64, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, err
		}
		newest = max(newest, v)
	}
	return newest, err
}
