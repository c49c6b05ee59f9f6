package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"airfield/internal/fault"
)

// heldLog is how much of the database's log a slot may keep from being dropped before its source says so.
const heldLog = 1 << 30

// slot is a replication slot as the database tells of it.
type slot struct {
	there     bool
	active    bool
	lost      bool   // the database dropped the log that it needs
	confirmed uint64 // up to where its reader has confirmed
	retained  int64  // bytes of the log that it keeps
}

// ready reports what keeps the table from being followed, with what to do about it.
func (t *Table) ready(ctx context.Context) error {
	c := t.config.Replication
	row, _, err := t.one(ctx, "read the settings", `SELECT current_setting('wal_level'), (EXISTS (SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolreplication OR rolsuper)
		OR rolname = 'rds_replication' AND pg_has_role(current_user, oid, 'member')))::text,
		current_user, COALESCE(to_regclass($1)::oid::text, '')`, tableName(t.config.Table))
	if err != nil {
		return err
	}
	switch {
	case row[0] != "logical":
		return fault.New(fault.Conflict, "sql_wal_level", "wal_level of the database is %s, and replication needs logical", row[0]).
			Hinted("ALTER SYSTEM SET wal_level = logical, and restart the database server")
	case row[1] != "true":
		return fault.New(fault.Denied, "sql_replication_right", "the user %s may not replicate", row[2]).Hinted("ALTER ROLE %s REPLICATION", quote(row[2]))
	case row[3] == "":
		return fault.New(fault.NotFound, "sql_table", "there is no table %s, or it cannot be seen", t.config.Table)
	}
	oid := row[3]
	said, found, err := t.one(ctx, "read the publication", "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot FROM pg_publication WHERE pubname = $1", c.Publication)
	switch {
	case err != nil:
		return err
	case !found:
		return fault.New(fault.NotFound, "sql_publication", "there is no publication %s", c.Publication).Hinted("CREATE PUBLICATION %s FOR TABLE %s", quote(c.Publication), tableName(t.config.Table))
	case said[0] != "t":
		return fault.New(fault.Conflict, "sql_publication", "the publication %s does not publish all of insert, update, delete and truncate", c.Publication).
			Hinted("ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", quote(c.Publication))
	}
	viaRoot := said[1] == "t"
	of, _, err := t.one(ctx, "read the publication's tables", `SELECT c.relkind, c.relreplident, c.relname, EXISTS (SELECT 1 FROM pg_publication_tables p
		JOIN pg_namespace n ON n.nspname = p.schemaname WHERE p.pubname = $1 AND p.tablename = c.relname AND n.oid = c.relnamespace)
		FROM pg_class c WHERE c.oid = $2::oid`, c.Publication, oid)
	if err != nil {
		return err
	}
	switch {
	case of[0] == "p" && !viaRoot:
		return fault.New(fault.Conflict, "sql_publication", "%s has partitions, and the publication %s names those", t.config.Table, c.Publication).
			Hinted("ALTER PUBLICATION %s SET (publish_via_partition_root = true)", quote(c.Publication))
	case of[0] != "p" && of[0] != "r":
		return fault.New(fault.Invalid, "sql_table", "%s is no table: what changes in a view cannot be followed", t.config.Table).Hinted("use a cursor instead of replication")
	case of[3] != "t":
		return fault.New(fault.Conflict, "sql_publication", "the publication %s does not hold %s", c.Publication, t.config.Table).
			Hinted("ALTER PUBLICATION %s ADD TABLE %s", quote(c.Publication), tableName(t.config.Table))
	case of[1] == "f":
		return nil
	}
	kind := map[string]string{"d": "indisprimary", "i": "indisreplident"}[of[1]]
	if kind == "" {
		return noIdentity(t.config.Table, t.config.Key[0])
	}
	held := map[string]bool{}
	err = t.ask(ctx, "read the replica identity", "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = $1::oid AND i."+kind,
		[]string{oid}, func(_ []pgconn.FieldDescription, values [][]byte) error {
			held[string(values[0])] = true
			return nil
		})
	if err != nil {
		return err
	}
	for _, name := range t.config.Key {
		if !held[name] {
			return noIdentity(t.config.Table, name)
		}
	}
	return nil
}

// slot looks at the source's slot.
func (t *Table) slot(ctx context.Context) (s slot, err error) {
	name := t.config.Replication.Slot
	row, found, err := t.one(ctx, "look at the slot "+name, `SELECT active::text, COALESCE(wal_status, '') = 'lost', COALESCE(confirmed_flush_lsn, '0/0')::text, COALESCE(plugin, ''),
		COALESCE(database, '') = current_database(), COALESCE(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint::text
		FROM pg_replication_slots WHERE slot_name = $1`, name)
	if err != nil || !found {
		return s, err
	}
	if row[3] != "pgoutput" || row[4] != "t" {
		return s, fault.New(fault.Conflict, "sql_slot", "the slot %s is there for something else: another database, or another plugin than pgoutput", name).Hinted("name another slot")
	}
	s = slot{there: true, active: row[0] == "true", lost: row[1] == "t"}
	if s.retained, err = strconv.ParseInt(row[5], 10, 64); err != nil {
		return s, err
	}
	s.confirmed, err = place(row[2])
	return s, err
}

// makeSlot makes the slot, and drops one that is lost before. What is committed from now on is kept for us.
func (t *Table) makeSlot(ctx context.Context, lost bool) error {
	name := t.config.Replication.Slot
	if lost {
		if _, _, err := t.one(ctx, "drop the lost slot "+name, "SELECT pg_drop_replication_slot($1)", name); err != nil {
			return err
		}
	}
	_, _, err := t.one(ctx, "make the slot "+name, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", name)
	return err
}

// tell is an error as a source's state says it.
func tell(err error) string {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		return strings.Join(strings.Fields(err.Error()), " ")
	}
	if f.Hint != "" {
		return f.Text + ": " + f.Hint
	}
	return f.Text
}

// size is a number of bytes for people.
func size(bytes int64) string {
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
