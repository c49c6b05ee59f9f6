package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"airfield/internal/fault"
	"airfield/internal/ingest"
)

const (
	defaultTimeout = time.Minute
	connectTime    = 10 * time.Second
	grace          = 10 * time.Second // that a statement may take longer than its time on the server's side
)

// dial connects. The settings make values read the same in every session, so that equal rows have equal fingerprints.
func dial(ctx context.Context, c ingest.SQLConfig, params map[string]string) (*pgconn.PgConn, error) {
	address := c.URL
	if err := address.Resolve(""); err != nil {
		return nil, fault.New(fault.Invalid, "sql_url", "%s", err)
	}
	text := address.Reveal()
	if text == "" {
		return nil, fault.New(fault.Invalid, "sql_url", "the address %s is not set or empty", c.URL.Ref())
	}
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return nil, fault.New(fault.Invalid, "sql_url", "the address in %s does not begin with postgres://", c.URL.Ref())
	}
	config, err := pgconn.ParseConfig(text)
	if err != nil { // what it says may repeat the address
		return nil, fault.New(fault.Invalid, "sql_url", "the address in %s is none that PostgreSQL understands", c.URL.Ref())
	}
	config.ConnectTimeout = connectTime
	for name, value := range params {
		config.RuntimeParams[name] = value
	}
	for name, value := range map[string]string{"application_name": "airfield", "timezone": "UTC", "datestyle": "ISO,YMD", "intervalstyle": "iso_8601", "bytea_output": "hex", "client_encoding": "UTF8"} {
		config.RuntimeParams[name] = value
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, explain("connect to the database", err)
	}
	return conn, nil
}

// explain makes a fault of what went wrong, with the database's own words.
func explain(what string, err error) error {
	var known *fault.Fault
	if err == nil || errors.As(err, &known) {
		return err
	}
	var said *pgconn.PgError
	if errors.As(err, &said) {
		f := fault.New(fault.Upstream, "sql_refused", "%s: the database says: %s (%s)", what, said.Message, said.Code)
		f.Err = err
		return f
	}
	if pgconn.Timeout(err) {
		return fault.New(fault.Timeout, "sql_slow", "%s: the database does not answer in time", what)
	}
	return fault.New(fault.Unavailable, "sql_away", "%s: %s", what, strings.Join(strings.Fields(err.Error()), " "))
}

// code is the database's code of an error, "" where it said none.
func code(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}

// connected opens the session where there is none. It can only read.
func (t *Table) connected(ctx context.Context) (err error) {
	if t.conn != nil && !t.conn.IsClosed() {
		return nil
	}
	t.conn, err = dial(ctx, t.config, map[string]string{
		"default_transaction_read_only": "on",
		"statement_timeout":             strconv.FormatInt(t.timeout.Milliseconds(), 10),
		"lock_timeout":                  "10000",
	})
	return err
}

// Close ends the session; the next question opens another.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	t.conn.Close(ctx)
	t.conn = nil
}

// ask runs one statement and gives each row to fn, as the database writes its values. The values are valid until fn
// returns.
func (t *Table) ask(ctx context.Context, what, sql string, args []string, fn func(fields []pgconn.FieldDescription, values [][]byte) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, t.timeout+grace)
	defer cancel()
	if err := t.connected(ctx); err != nil {
		return err
	}
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	rows := t.conn.ExecParams(ctx, sql, params, nil, nil, nil)
	var failed error
	for rows.NextRow() {
		if failed == nil && fn != nil {
			failed = fn(rows.FieldDescriptions(), rows.Values())
		}
	}
	if _, err := rows.Close(); err != nil {
		return explain(what, err)
	}
	return failed
}

// one is ask for a single row of texts; found is false where there is none.
func (t *Table) one(ctx context.Context, what, sql string, args ...string) (row []string, found bool, err error) {
	err = t.ask(ctx, what, sql, args, func(_ []pgconn.FieldDescription, values [][]byte) error {
		row, found = nil, true
		for _, v := range values {
			row = append(row, string(v))
		}
		return nil
	})
	return row, found, err
}

// quote makes an identifier of a name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// tableName quotes TABLE or SCHEMA.TABLE.
func tableName(name string) string {
	schema, table, both := strings.Cut(name, ".")
	if !both {
		return quote(name)
	}
	return quote(schema) + "." + quote(table)
}
