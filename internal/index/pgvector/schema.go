package pgvector

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"airfield/internal/fault"
)

// format is the version of the tables and of what is in them. Where an older one is found, everything is thrown away and
// fed again.
const format = 1

// schemaLock keeps processes apart that start at the same time.
const schemaLock = 7_406_151_204

// prepare makes the extension, the schema and the list of spaces, and returns the schema that the extension is in.
func (x *Index) prepare(ctx context.Context) (place string, err error) {
	config, err := x.settings()
	if err != nil {
		return "", err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true), pg_advisory_xact_lock($2)", millis(lockTimeout), schemaLock); err != nil {
			return err
		}
		if place, err = extension(ctx, tx); err != nil {
			return err
		}
		return x.makeSchema(ctx, tx)
	})
	return place, err
}

// extension finds pgvector, making it where we may, and says which schema it is in.
func extension(ctx context.Context, tx pgx.Tx) (place string, err error) {
	const find = "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
	var version string
	err = tx.QueryRow(ctx, find).Scan(&place, &version)
	if errors.Is(err, pgx.ErrNoRows) {
		if err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "CREATE EXTENSION vector"); return err }); err != nil {
			return "", fault.New(fault.Invalid, "index_extension", "the database of the index has no pgvector: %w", err).
				Hinted("install pgvector 0.8 or newer on the server, then run CREATE EXTENSION vector in this database as a role that may")
		}
		err = tx.QueryRow(ctx, find).Scan(&place, &version)
	}
	if err != nil {
		return "", err
	}
	if !atLeast(version, 0, 8) {
		return "", fault.New(fault.Invalid, "index_extension", "the database of the index has pgvector %s, and 0.8 is needed", version).
			Hinted("install a newer one on the server, then run ALTER EXTENSION vector UPDATE in this database")
	}
	return place, nil
}

func atLeast(version string, major, minor int) bool {
	parts := append(strings.SplitN(version, ".", 3), "0", "0")
	a, err := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return errors.Join(err, err2) == nil && (a > major || a == major && b >= minor)
}

// makeSchema makes what is missing.
func (x *Index) makeSchema(ctx context.Context, tx pgx.Tx) error {
	schema := pgx.Identifier{x.config.Schema}.Sanitize()
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", x.config.Schema).Scan(&there); err != nil {
		return err
	}
	if there {
		var found int
		var empty bool
		err := tx.QueryRow(ctx, `SELECT COALESCE(substring(obj_description(n.oid, 'pg_namespace') FROM '^airfield index ([0-9]{1,6})$')::int, 0),
			NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid) FROM pg_namespace n WHERE nspname = $1`, x.config.Schema).Scan(&found, &empty)
		switch {
		case err != nil:
			return err
		case empty: // made for us, or left half-way by hand
			return x.makeTables(ctx, tx)
		case found == format:
			return nil
		case found == 0:
			return fault.New(fault.Conflict, "index_schema", "the schema %s is there and is not one of an index of Airfield", x.config.Schema).Hinted("give the index another one as index.schema")
		case found > format:
			return fault.New(fault.Conflict, "index_schema", "the index in schema %s was made by a newer Airfield", x.config.Schema).Hinted("drop the schema, or give this installation another one as index.schema")
		}
		x.log.Warn("the index is of an older version and is built anew", "schema", x.config.Schema)
		if _, err := tx.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return fault.New(fault.Invalid, "index_schema", "the schema %s of the index cannot be made: %w", x.config.Schema, err).
			Hinted("the role needs CREATE on the database, or an empty schema of this name that it owns")
	}
	return x.makeTables(ctx, tx)
}

func (x *Index) makeTables(ctx context.Context, tx pgx.Tx) error {
	schema := pgx.Identifier{x.config.Schema}.Sanitize()
	for _, statement := range []string{
		fmt.Sprintf("COMMENT ON SCHEMA %s IS 'airfield index %d'", schema, format),
		// A space's tables are named by its id, which is never used again: what runs on a dropped space's meets no other.
		"CREATE TABLE " + schema + `.spaces (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, sequence bigint NOT NULL DEFAULT 0, next bigint NOT NULL DEFAULT 1,
			dimensions int NOT NULL DEFAULT 0, documents bigint NOT NULL DEFAULT 0, chunks bigint NOT NULL DEFAULT 0, vectors bigint NOT NULL DEFAULT 0,
			terms bigint NOT NULL DEFAULT 0, graph boolean NOT NULL DEFAULT false, analyzed bigint NOT NULL DEFAULT 0)`,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fault.New(fault.Invalid, "index_schema", "the tables of the index cannot be made in schema %s: %w", x.config.Schema, err).Hinted("the schema must be the role's own")
		}
	}
	return nil
}
