package pgvector

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// space is the row of one.
type space struct {
	id         int64
	name       string
	sequence   int64
	next       int64 // the number of the next chunk
	dimensions int
	documents  int64
	chunks     int64
	vectors    int64
	terms      int64 // words of all chunks, for their mean
	graph      bool
	analyzed   int64 // chunks when PostgreSQL last took its statistics
}

const selectSpace = "SELECT id, name, sequence, next, dimensions, documents, chunks, vectors, terms, graph, analyzed FROM spaces WHERE name = $1"

func (s *space) into() []any {
	return []any{&s.id, &s.name, &s.sequence, &s.next, &s.dimensions, &s.documents, &s.chunks, &s.vectors, &s.terms, &s.graph, &s.analyzed}
}

// readSpace returns nil if there is none.
func readSpace(ctx context.Context, tx pgx.Tx, name, lock string) (*space, error) {
	s := &space{}
	err := tx.QueryRow(ctx, selectSpace+lock, name).Scan(s.into()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return s, err
}

// sql writes the names of a space's tables: documents, chunks, vectors, and in how many chunks a term is.
func (s *space) sql(query string) string {
	return strings.NewReplacer("{d}", fmt.Sprintf("d%d", s.id), "{c}", fmt.Sprintf("c%d", s.id), "{v}", fmt.Sprintf("v%d", s.id), "{t}", fmt.Sprintf("t%d", s.id)).Replace(query)
}

// tables of a space. Vectors have one of their own: it is what a comparison with all of them reads.
var tables = []string{
	"CREATE TABLE {d} (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE \"C\" NOT NULL UNIQUE, tier smallint NOT NULL, attributes jsonb NOT NULL, chunks int NOT NULL)",
	"CREATE INDEX {d}_attributes ON {d} USING gin (attributes jsonb_path_ops)",
	"CREATE TABLE {c} (n bigint PRIMARY KEY, doc bigint NOT NULL, id text COLLATE \"C\" NOT NULL, sum bytea NOT NULL, words tsvector NOT NULL, length int NOT NULL)",
	"CREATE INDEX {c}_doc ON {c} (doc)",
	"CREATE INDEX {c}_words ON {c} USING gin (words)",
	"CREATE TABLE {v} (n bigint PRIMARY KEY, doc bigint NOT NULL, v vector NOT NULL)",
	"CREATE INDEX {v}_doc ON {v} (doc)",
	"CREATE TABLE {t} (term text COLLATE \"C\" PRIMARY KEY, chunks int NOT NULL) WITH (fillfactor = 80)",
}

// makeSpace makes a space and its tables.
func makeSpace(ctx context.Context, tx pgx.Tx, name string) (*space, error) {
	if _, err := tx.Exec(ctx, "INSERT INTO spaces (name) VALUES ($1)", name); err != nil {
		return nil, err
	}
	s, err := readSpace(ctx, tx, name, " FOR UPDATE")
	for i := 0; err == nil && i < len(tables); i++ {
		_, err = tx.Exec(ctx, s.sql(tables[i]))
	}
	return s, err
}

// inside reads a space as of one moment. An unknown one is not read. One that was dropped in between is read again.
func (x *Index) inside(ctx context.Context, name string, f func(tx pgx.Tx, s *space) error) (err error) {
	for range 3 {
		err = pgx.BeginTxFunc(ctx, x.read, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			s, err := readSpace(ctx, tx, name, "")
			if s == nil || err != nil {
				return err
			}
			return f(tx, s)
		})
		if !undefined(err) {
			break
		}
	}
	return x.classify(err)
}

// undefined reports whether an error says that a table is not there.
func undefined(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42P01"
}
