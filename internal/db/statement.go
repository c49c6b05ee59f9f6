package db

import (
	"container/list"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"
)

// SQLite plans a statement anew each time it is given as text, which takes longer than to run most of ours. The
// connections that openSQLite makes keep what they planned, beneath database/sql, so that the job queue's statements
// profit as well as our own: a transaction of two updates takes 0.6 of the time, a document's ingestion 0.75 of the CPU.
//
// A statement that runs, or whose rows are open, is not in the cache: nobody else gets it. database/sql gives a
// connection to one goroutine at a time, so none of this needs a lock.
const (
	keptStatements  = 128     // of one connection; some 10 KB each
	keptQueryLength = 4 << 10 // of one statement's text: longer ones are lists of values that do not come again
)

// openCached is sql.Open for SQLite with connections that keep their statements.
func openCached(dsn string) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{c}), nil
}

type connector struct{ driver.Connector }

// Connect opens a connection with an empty cache.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := opened.(driverConn)
	if !ok {
		opened.Close()
		return nil, fmt.Errorf("the driver's connection %T lacks what is built on", opened)
	}
	return &conn{driverConn: inner, kept: map[string]*list.Element{}}, nil
}

// What the driver's types can do and database/sql asks for.
type (
	driverConn interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.ConnBeginTx
		driver.Pinger
		driver.SessionResetter
		driver.Validator
	}
	driverStmt interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
	driverRows interface {
		driver.Rows
		driver.RowsColumnTypeDatabaseTypeName
		driver.RowsColumnTypeLength
		driver.RowsColumnTypeNullable
		driver.RowsColumnTypePrecisionScale
		driver.RowsColumnTypeScanType
	}
)

// conn is a connection with the statements that wait for their next use.
type conn struct {
	driverConn
	kept   map[string]*list.Element // of *statement, by its text
	recent list.List                // the same, latest use first
}

// statement is in use, or kept by its connection.
type statement struct {
	driverStmt
	owner *conn
	query string
	keep  bool // once it is closed
}

// PrepareContext gives a statement that goes back to the cache when it is closed.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.take(ctx, query)
}

// Prepare is for what does not know PrepareContext.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.take(context.Background(), query)
}

// ExecContext runs a statement, or a script of several.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args)
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return result, err
}

// QueryContext runs a statement that is busy until its rows are closed.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	opened, err := s.QueryContext(ctx, args)
	if err != nil {
		s.Close()
		return nil, err
	}
	inner, ok := opened.(driverRows)
	if !ok {
		opened.Close()
		s.Close()
		return nil, fmt.Errorf("the driver's rows %T lack what is built on", opened)
	}
	return &rows{driverRows: inner, statement: s}, nil
}

// Close forgets the statements and closes the connection.
func (c *conn) Close() error {
	for c.recent.Len() > 0 {
		c.drop(c.recent.Back())
	}
	return c.driverConn.Close()
}

// take gives the caller a statement of its own: a kept one, or a new one.
func (c *conn) take(ctx context.Context, query string) (*statement, error) {
	if e := c.kept[query]; e != nil {
		delete(c.kept, query)
		return c.recent.Remove(e).(*statement), nil
	}
	prepared, err := c.driverConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	inner, ok := prepared.(driverStmt)
	if !ok {
		prepared.Close()
		return nil, fmt.Errorf("the driver's statement %T lacks what is built on", prepared)
	}
	return &statement{driverStmt: inner, owner: c, query: query, keep: mayKeep(query)}, nil
}

// drop ends a kept statement. What SQLite says then is about its last run, which was reported.
func (c *conn) drop(e *list.Element) {
	s := c.recent.Remove(e).(*statement)
	delete(c.kept, s.query)
	s.driverStmt.Close()
}

// Close gives the statement back to its connection, or ends it.
func (s *statement) Close() error {
	c := s.owner
	if !s.keep || c.kept[s.query] != nil {
		return s.driverStmt.Close()
	}
	c.kept[s.query] = c.recent.PushFront(s)
	if c.recent.Len() > keptStatements {
		c.drop(c.recent.Back())
	}
	return nil
}

// ExecContext notes a failure: such a statement is not used again.
func (s *statement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	result, err := s.driverStmt.ExecContext(ctx, args)
	s.keep = s.keep && err == nil
	return result, err
}

// QueryContext notes a failure.
func (s *statement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.driverStmt.QueryContext(ctx, args)
	s.keep = s.keep && err == nil
	return rows, err
}

// rows are open on a statement that nobody else prepared.
type rows struct {
	driverRows
	statement *statement
}

// Next notes a failure.
func (r *rows) Next(into []driver.Value) error {
	err := r.driverRows.Next(into)
	r.statement.keep = r.statement.keep && (err == nil || err == io.EOF)
	return err
}

// Close gives the statement back.
func (r *rows) Close() error {
	err := r.driverRows.Close()
	r.statement.keep = r.statement.keep && err == nil
	if closeErr := r.statement.Close(); err == nil {
		err = closeErr
	}
	return err
}

// mayKeep admits what reads and writes rows. Not the rest: some pragmas act when they are planned, not when they run,
// and what changes the schema does not come again.
func mayKeep(query string) bool {
	if len(query) > keptQueryLength {
		return false
	}
	for {
		query = strings.TrimLeft(query, " \t\r\n")
		switch {
		case strings.HasPrefix(query, "--"):
			_, query, _ = strings.Cut(query, "\n")
		case strings.HasPrefix(query, "/*"):
			_, query, _ = strings.Cut(query, "*/")
		default:
			word, _, _ := strings.Cut(query, " ")
			word, _, _ = strings.Cut(word, "\n")
			switch strings.ToUpper(word) {
			case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
				return true
			}
			return false
		}
	}
}
