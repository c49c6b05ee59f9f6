package db

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"airfield/internal/fault"
)

// Engine is one of the two databases.
type Engine string

const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

func engineOf(u string) Engine {
	switch {
	case strings.HasPrefix(u, "sqlite:") && len(u) > len("sqlite:"):
		return SQLite
	case strings.HasPrefix(u, "postgres://"), strings.HasPrefix(u, "postgresql://"):
		return Postgres
	}
	return ""
}

// bind turns ? into $1, $2 … for PostgreSQL, leaving quoted text alone.
func (e Engine) bind(query string) string {
	if e != Postgres || !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n, quoted := 0, false
	for i := 0; i < len(query); i++ {
		switch c := query[i]; {
		case c == '\'':
			quoted = !quoted
			b.WriteByte(c)
		case c == '?' && !quoted:
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// askable puts what PostgreSQL cannot hold in a text, NUL and what is not UTF-8, in the form in which such a text is kept:
// callers may ask for any name, and one that cannot be there is not found, which is no error of ours.
func (e Engine) askable(args []any) []any {
	if e != Postgres {
		return args
	}
	own := false
	for i, a := range args {
		s, ok := a.(string)
		if !ok || (utf8.ValidString(s) && strings.IndexByte(s, 0) < 0) {
			continue
		}
		if !own {
			args, own = slices.Clone(args), true
		}
		args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	return args
}

// retryable reports whether the whole transaction may be tried again.
func (e Engine) retryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// classify turns what users can act on into faults: a full disk, a database that is away or locked.
func (e Engine) classify(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Fault
	if errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return fault.New(fault.Unavailable, "disk_full", "the disk that holds the database is full: %w", err).Hinted("free some space; work goes on by itself")
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return fault.New(fault.Unavailable, "database_busy", "the database is locked by another process: %w", err)
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fault.New(fault.Internal, "database_damaged", "the database file is damaged: %w", err).Hinted("restore the last backup with airfield restore")
		}
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if pg.Code == "53100" {
			return fault.New(fault.Unavailable, "disk_full", "the database's disk is full: %w", err)
		}
		if strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08") || pg.Code == "53300" {
			return fault.New(fault.Unavailable, "database_away", "the database is not available: %w", err)
		}
		return err
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fault.New(fault.Unavailable, "database_away", "the database does not answer: %w", err)
	}
	return err
}

// IsUnique reports whether err says that a unique row exists already.
func IsUnique(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505"
}

// IsNone reports whether a row was not there.
func IsNone(err error) bool { return errors.Is(err, sql.ErrNoRows) }
