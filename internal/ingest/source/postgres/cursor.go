package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"airfield/internal/ingest/source"
)

// The overlap where none is configured.
const (
	defaultOverlap      = time.Minute
	defaultOverlapCount = 1000
)

// shape is short for what a mark was made with: after a change of the configuration it counts no more.
func (t *Table) shape() string {
	c := t.config
	slot := ""
	if c.Replication != nil {
		slot = c.Replication.Slot + "\n" + c.Replication.Publication
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%q\n%s\n%q\n%s", c.URL.Ref(), c.Table, c.Query, c.Key, c.Cursor, c.Metadata, slot))
	return hex.EncodeToString(sum[:6])
}

// mark is what is remembered of how far the table was read: a cursor, or a place in the log.
func (t *Table) mark(at string) string { return t.shape() + ":" + at }

// marked is the cursor or the place of a source's cursor; false where it is of another configuration.
func (t *Table) marked(cursor string) (root, at string, ok bool) {
	root, mark := source.Remembered(cursor)
	shape, at, ok := strings.Cut(mark, ":")
	return root, at, ok && shape == t.shape()
}

// newest is the mark of the largest cursor now; that of an empty table is valid too.
func (t *Table) newest(ctx context.Context) (string, error) {
	c := "q." + quote(t.config.Cursor)
	row, found, err := t.one(ctx, "read the newest cursor", "SELECT "+c+"::text FROM "+t.from+" WHERE "+c+" IS NOT NULL ORDER BY "+c+" DESC LIMIT 1")
	if err != nil {
		return "", err
	}
	if !found {
		return t.mark(""), nil
	}
	return t.mark(row[0]), nil
}

// since is the condition that a row's cursor is at most an overlap before another, and its parameters.
func (t *Table) since(oid uint32, at string) (where string, args []string) {
	c := "q." + quote(t.config.Cursor)
	if at == "" {
		return c + " IS NOT NULL", nil
	}
	overlap, _ := time.ParseDuration(cmp.Or(t.config.Overlap, defaultOverlap.String()))
	back := "'" + strconv.FormatInt(overlap.Milliseconds(), 10) + " milliseconds'::interval"
	switch oid {
	case pgtype.TimestamptzOID:
		return c + " >= $1::timestamptz - " + back, []string{at}
	case pgtype.TimestampOID, pgtype.DateOID:
		return c + " >= $1::timestamp - " + back, []string{at}
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		if n, ok := new(big.Int).SetString(at, 10); ok {
			less, ok := new(big.Int).SetString(t.config.Overlap, 10)
			if !ok {
				less = big.NewInt(defaultOverlapCount)
			}
			return c + " >= $1::numeric::bigint", []string{n.Sub(n, less).String()}
		}
	}
	return c + " >= $1", []string{at}
}

// recent gives the rows whose cursor is not long before at, oldest first and page by page, and returns the newest cursor.
func (t *Table) recent(ctx context.Context, oid uint32, at string, page func([]source.Entry) error) (newest string, err error) {
	newest = at
	where, args := t.since(oid, at)
	sort := columns(t.config.Cursor) + ", " + t.keys
	var after []string
	for {
		sql, all := "SELECT "+columns(t.config.Cursor)+"::text AS airfield_cursor, q.* FROM "+t.from+" WHERE "+where, args
		if after != nil {
			sql += " AND (" + sort + ") > (" + params(len(args)+1, len(after)) + ")"
			all = append(args[:len(args):len(args)], after...)
		}
		sql += " ORDER BY " + sort + " LIMIT " + strconv.Itoa(pageRows)
		var entries []source.Entry
		n := 0
		err := t.ask(ctx, "read the rows that are new", sql, all, func(fields []pgconn.FieldDescription, values [][]byte) error {
			n++
			r, key, ok := t.read(fields[1:], values[1:])
			if ok {
				entries = append(entries, r.entry)
				newest = string(values[0])
				after = append([]string{newest}, key...)
			}
			return nil
		})
		if err != nil {
			return at, err
		}
		if err := page(entries); err != nil {
			return at, err
		}
		if n < pageRows || len(entries) == 0 {
			return newest, nil
		}
	}
}
