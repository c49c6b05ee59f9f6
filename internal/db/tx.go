package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Tx is a write transaction.
type Tx struct {
	*sql.Tx
	conn     *sql.Conn
	engine   Engine
	onCommit []func()
}

// Query reads rows inside the transaction.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(ctx, t.engine.bind(query), t.engine.askable(args)...)
}

// QueryRow reads one row inside the transaction.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(ctx, t.engine.bind(query), t.engine.askable(args)...)
}

// Exec writes, and returns how many rows were affected.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.Tx.ExecContext(ctx, t.engine.bind(query), t.engine.askable(args)...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Prepare readies a statement for many uses inside the transaction.
func (t *Tx) Prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	return t.Tx.PrepareContext(ctx, t.engine.bind(query))
}

// Engine says which of the two the transaction is on.
func (t *Tx) Engine() Engine { return t.engine }

// ForUpdate ends a SELECT that must lock its rows: on SQLite a write transaction already has the whole database.
func (t *Tx) ForUpdate() string {
	if t.engine == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// OnCommit has fn called once the transaction is committed, and not at all if it is not. fn must be quick.
func (t *Tx) OnCommit(fn func()) { t.onCommit = append(t.onCommit, fn) }

// Postgres lends fn the transaction's own connection, for what only the driver itself can do: COPY, the job queue.
// It is an error on SQLite. fn must not begin or end a transaction.
func (t *Tx) Postgres(fn func(conn *pgx.Conn) error) error {
	return t.conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of PostgreSQL was asked of %s", t.engine)
		}
		return fn(c.Conn())
	})
}

const maxTries = 5

// Tx runs fn in a write transaction and commits when it returns nil. PostgreSQL may ask for another try (deadlock,
// serialisation): fn is then run again from the start, so it must not change anything outside the transaction.
func (d *DB) Tx(ctx context.Context, fn func(tx *Tx) error) error {
	for try := 1; ; try++ {
		committed, err := d.once(ctx, fn)
		if err == nil {
			for _, call := range committed {
				call()
			}
			return nil
		}
		if try == maxTries || !d.engine.retryable(err) {
			return d.engine.classify(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try*try) * 5 * time.Millisecond):
		}
	}
}

// once tries the transaction and returns what is to be called after it, when its connection is free again.
func (d *DB) once(ctx context.Context, fn func(tx *Tx) error) (onCommit []func(), err error) {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a connection: %w", err)
	}
	defer conn.Close()
	raw, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer raw.Rollback()
	tx := &Tx{Tx: raw, conn: conn, engine: d.engine}
	if err := fn(tx); err != nil {
		return nil, err
	}
	if err := raw.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return tx.onCommit, nil
}
