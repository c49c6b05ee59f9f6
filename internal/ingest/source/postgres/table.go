// Package postgres is the source that is a table or a query of a PostgreSQL database: every row is a document, named
// after its key. It compares all rows, reads those with a new cursor, or follows what is committed by logical replication.
package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"airfield/internal/fault"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

const (
	pageRows = 1000    // that one question brings
	atOnce   = 32      // rows that are held in memory with their bytes
	jsonType = ".json" // ends the name of every document
)

// Table is a source.Backend: the rows of a table or of a query.
type Table struct {
	config  ingest.SQLConfig
	timeout time.Duration
	from    string // what stands after FROM
	keys    string // the key's columns, for ORDER BY

	mu   sync.Mutex // a session answers one question at a time
	conn *pgconn.PgConn

	gathered sync.Mutex
	rows     map[string]row // those that were asked for last
}

// row is a row as a document.
type row struct {
	entry    source.Entry
	bytes    []byte
	metadata []byte // nil where no column says any
}

// New makes a table of its configuration. It asks nothing of the database.
func New(c ingest.SourceConfig) *Table {
	t := &Table{config: *c.SQL, timeout: c.SQL.Timeout}
	if t.timeout <= 0 {
		t.timeout = defaultTimeout
	}
	t.from = "(" + strings.TrimRight(t.config.Query, "; \t\r\n") + "\n) AS q"
	if t.config.Table != "" {
		t.from = tableName(t.config.Table) + " AS q"
	}
	t.keys = columns(t.config.Key...)
	return t
}

// columns are names of columns of q, with commas.
func columns(names ...string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = "q." + quote(name)
	}
	return strings.Join(list, ", ")
}

// params are $FIRST, and as many more as it takes to be n, with commas.
func params(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(first+i)
	}
	return strings.Join(list, ", ")
}

// itemKey names the document of a row. Commas within a value are escaped, so that no two keys are equal.
func itemKey(values []string) string {
	escaped := make([]string, len(values))
	for i, v := range values {
		escaped[i] = url.PathEscape(v)
	}
	return strings.Join(escaped, ",") + jsonType
}

// keyValues are what itemKey was given.
func keyValues(key string) ([]string, error) {
	list := strings.Split(strings.TrimSuffix(key, jsonType), ",")
	for i, v := range list {
		var err error
		if list[i], err = url.PathUnescape(v); err != nil {
			return nil, fmt.Errorf("%q is no key of a row: %w", key, err)
		}
	}
	return list, nil
}

// check asks for the columns, and reports which are missing.
func (t *Table) check(ctx context.Context) (map[string]uint32, error) {
	found := map[string]uint32{}
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, t.timeout+grace)
	defer cancel()
	if err := t.connected(ctx); err != nil {
		return nil, err
	}
	said, err := t.conn.Prepare(ctx, "", "SELECT * FROM "+t.from, nil)
	if err != nil {
		return nil, explain("read the columns", err)
	}
	for _, f := range said.Fields {
		if _, twice := found[f.Name]; twice {
			return nil, fault.New(fault.Invalid, "sql_columns", "the query has two columns named %s: name them apart with AS", f.Name)
		}
		found[f.Name] = f.DataTypeOID
	}
	wanted := slices.Concat(t.config.Key, slices.Sorted(maps.Values(t.config.Metadata)))
	if t.config.Cursor != "" {
		wanted = append(wanted, t.config.Cursor)
	}
	for _, name := range wanted {
		if _, ok := found[name]; !ok {
			return nil, fault.New(fault.Invalid, "sql_columns", "there is no column %s; there are %s", name, strings.Join(slices.Sorted(maps.Keys(found)), ", "))
		}
	}
	return found, nil
}

// read makes a document of a row; found is false where its key is NULL.
func (t *Table) read(fields []pgconn.FieldDescription, values [][]byte) (r row, key []string, found bool) {
	record := make([]column, len(fields))
	at := map[string]int{}
	for i, f := range fields {
		record[i] = column{f.Name, f.DataTypeOID, values[i]}
		at[f.Name] = i
	}
	for _, name := range t.config.Key {
		i, ok := at[name]
		if !ok || values[i] == nil {
			return r, nil, false
		}
		key = append(key, string(values[i]))
	}
	r.bytes = encode(record)
	sum := sha256.Sum256(r.bytes)
	r.entry = source.Entry{Key: itemKey(key), Size: int64(len(r.bytes)), Fingerprint: strconv.Itoa(len(r.bytes)) + ":" + hex.EncodeToString(sum[:])}
	if r.metadata = t.metadata(record, at); r.metadata != nil {
		sum := sha256.Sum256(r.metadata)
		r.entry.Sidecar = hex.EncodeToString(sum[:8])
	}
	return r, key, true
}

// metadata is what the configured columns say, as a sidecar would.
func (t *Table) metadata(record []column, at map[string]int) []byte {
	if len(t.config.Metadata) == 0 {
		return nil
	}
	said := map[string]json.RawMessage{}
	for field, name := range t.config.Metadata {
		i, ok := at[name]
		if !ok || record[i].text == nil {
			continue
		}
		v := value(record[i].oid, record[i].text)
		if day := len("2006-01-02"); field == "date" && len(v) > day+2 && v[day+1] == 'T' {
			v = append(v[:day+1:day+1], '"')
		}
		said[field] = v
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(said) // valid JSON all through: it cannot fail
	return b.Bytes()
}

// List reads all rows, page by page, and keeps of each what names and identifies it.
func (t *Table) List(ctx context.Context) (source.Listing, error) {
	if _, err := t.check(ctx); err != nil {
		return source.Listing{}, err
	}
	listing := source.Listing{Entries: map[string]source.Entry{}}
	var err error
	if listing.Root, err = t.root(ctx); err != nil {
		return source.Listing{}, err
	}
	if t.config.Cursor != "" {
		if listing.Mark, err = t.newest(ctx); err != nil {
			return source.Listing{}, err
		}
	}
	var last []string
	for more := true; more; {
		sql, n := "SELECT * FROM "+t.from, 0
		if last != nil {
			sql += " WHERE (" + t.keys + ") > (" + params(1, len(last)) + ")"
		}
		sql += " ORDER BY " + t.keys + " LIMIT " + strconv.Itoa(pageRows)
		err := t.ask(ctx, "read the rows", sql, last, func(fields []pgconn.FieldDescription, values [][]byte) error {
			n++
			r, key, ok := t.read(fields, values)
			if !ok {
				listing.Missed = []string{"a row whose key is NULL: it cannot be a document, and rows after it may be missed"}
				return nil
			}
			if _, twice := listing.Entries[r.entry.Key]; twice {
				listing.Missed = []string{fmt.Sprintf("the key %s is that of two rows: it must be unique", r.entry.Key)}
			}
			listing.Entries[r.entry.Key] = r.entry
			last = key
			return nil
		})
		if err != nil {
			return source.Listing{}, err
		}
		more = n == pageRows && len(listing.Missed) == 0
	}
	return listing, nil
}

// root identifies the table, so that another one in its stead is noticed.
func (t *Table) root(ctx context.Context) (string, error) {
	sql, args := "SELECT oid::text, '' FROM pg_database WHERE datname = current_database()", []string(nil)
	if t.config.Table != "" {
		sql, args = "SELECT d.oid::text, COALESCE(to_regclass($1)::oid::text, '') FROM pg_database d WHERE datname = current_database()", []string{tableName(t.config.Table)}
	}
	row, found, err := t.one(ctx, "identify the table", sql, args...)
	if err != nil || !found {
		return "", err
	}
	return strings.Join(row, "."), nil
}

// fetch reads the rows of some keys, and keeps them until the next.
func (t *Table) fetch(ctx context.Context, keys []string) (map[string]row, error) {
	var args, sets []string
	for _, key := range keys {
		values, err := keyValues(key)
		if err != nil {
			return nil, err
		}
		if len(values) != len(t.config.Key) { // of another configuration: no row has it
			continue
		}
		sets = append(sets, "("+params(len(args)+1, len(values))+")")
		args = append(args, values...)
	}
	rows := map[string]row{}
	if len(sets) > 0 {
		sql := "SELECT * FROM " + t.from + " WHERE (" + t.keys + ") IN (" + strings.Join(sets, ", ") + ")"
		err := t.ask(ctx, "read some rows", sql, args, func(fields []pgconn.FieldDescription, values [][]byte) error {
			if r, _, ok := t.read(fields, values); ok {
				rows[r.entry.Key] = r
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	t.gathered.Lock()
	t.rows = rows
	t.gathered.Unlock()
	return rows, nil
}

// Gather reads rows that are opened next.
func (t *Table) Gather(ctx context.Context, entries []source.Entry) error {
	keys := make([]string, 0, len(entries))
	all := true
	for _, e := range entries {
		keys = append(keys, e.Key)
		_, there := t.held(e)
		all = all && there
	}
	if all {
		return nil
	}
	_, err := t.fetch(ctx, keys)
	return err
}

// held is a gathered row, if it is as it was listed.
func (t *Table) held(e source.Entry) (row, bool) {
	t.gathered.Lock()
	defer t.gathered.Unlock()
	r, ok := t.rows[e.Key]
	return r, ok && r.entry == e
}

// Open gives a gathered row, or says that it is another by now.
func (t *Table) Open(_ context.Context, e source.Entry) (io.ReadCloser, func() error, error) {
	r, ok := t.held(e)
	if !ok {
		return nil, nil, source.ErrChanging
	}
	return io.NopCloser(bytes.NewReader(r.bytes)), func() error { return nil }, nil
}

// Sidecar gives what the columns say.
func (t *Table) Sidecar(_ context.Context, e source.Entry) ([]byte, error) {
	r, ok := t.held(e)
	if !ok {
		return nil, source.ErrChanging
	}
	return r.metadata, nil
}

// Sum is the SHA-256 of a row's bytes.
func (t *Table) Sum(e source.Entry) string {
	_, sum, _ := strings.Cut(e.Fingerprint, ":")
	return sum
}
