package db

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/klauspost/compress/zstd"

	"airfield/internal/fault"
)

// A backup is a folder: for every table that our migrations create a file of rows, one JSON array a line, compressed;
// and a manifest, written last, so that a backup without one is not whole. It names no engine's own types, so that an
// embedded backup can be restored into PostgreSQL and the other way round. Not in it: what is derived and rebuilt (a
// vector extension's tables), and the job queue's tables: runs are woken again from their rows.
const (
	backupFormat   = 1
	backupManifest = "manifest.json"
)

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

type manifest struct {
	Format    int       `json:"format"`
	Schema    int64     `json:"schema"` // the newest migration
	CreatedAt time.Time `json:"created_at"`
	Tables    []table   `json:"tables"`
}

type table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	SHA256  string   `json:"sha256"` // of the compressed file
}

func (t table) file(dir string) string { return filepath.Join(dir, t.Name+".jsonl.zst") }

// Backup writes the database as it is at one moment into dir, which must be new or empty. Others read and write on.
func (d *DB) Backup(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the backup's folder: %w", err)
	}
	switch entries, err := os.ReadDir(dir); {
	case err != nil:
		return fmt.Errorf("read the backup's folder: %w", err)
	case len(entries) > 0:
		return fault.New(fault.Conflict, "backup_folder_used", "the folder %s is not empty", dir).Hinted("name a new folder for the backup")
	}
	names, err := ownTables(ctx)
	if err != nil {
		return err
	}
	provider, err := d.migrations()
	if err != nil {
		return err
	}
	m := manifest{Format: backupFormat, CreatedAt: time.Now().UTC()}
	if m.Schema, err = provider.GetDBVersion(ctx); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	// One read transaction sees one moment: SQLite's of itself, PostgreSQL's at this isolation.
	isolation := &sql.TxOptions{ReadOnly: true}
	if d.engine == Postgres {
		isolation.Isolation = sql.LevelRepeatableRead
	}
	tx, err := d.read.BeginTx(ctx, isolation)
	if err != nil {
		return fmt.Errorf("begin the backup: %w", d.engine.classify(err))
	}
	defer tx.Rollback()
	for _, name := range names {
		t, err := dump(ctx, tx, dir, name)
		if err != nil {
			return fmt.Errorf("back up %s: %w", name, err)
		}
		m.Tables = append(m.Tables, t)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, backupManifest), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// ownTables lists what the migrations create, by applying them to a scratch database.
func ownTables(ctx context.Context) ([]string, error) {
	scratch, err := os.MkdirTemp("", "airfield-schema-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	c := Default()
	c.URL = "sqlite:" + filepath.Join(scratch, "schema.db")
	d, err := Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	rows, err := d.Query(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT IN ('goose_db_version', 'workers') ORDER BY name")
	if err != nil {
		return nil, err
	}
	return collect[string](rows)
}

func collect[T any](rows *sql.Rows) (list []T, err error) {
	defer rows.Close()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// dump writes one table's rows.
func dump(ctx context.Context, tx *sql.Tx, dir, name string) (t table, err error) {
	t.Name = name
	rows, err := tx.QueryContext(ctx, "SELECT * FROM "+name)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	if t.Columns, err = rows.Columns(); err != nil {
		return t, err
	}
	sum := sha256.New()
	err = writeSynced(t.file(dir), func(file io.Writer) error {
		packed, err := zstd.NewWriter(io.MultiWriter(file, sum), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		defer packed.Close()
		lines := bufio.NewWriterSize(packed, 1<<16)
		values, targets := make([]any, len(t.Columns)), make([]any, len(t.Columns))
		for i := range values {
			targets[i] = &values[i]
		}
		for ; rows.Next(); t.Rows++ {
			if err := rows.Scan(targets...); err != nil {
				return err
			}
			line, err := encodeRow(values)
			if err != nil {
				return err
			}
			if _, err := lines.Write(line); err != nil {
				return err
			}
		}
		return errors.Join(rows.Err(), lines.Flush(), packed.Close())
	})
	t.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return t, err
}

// writeSynced writes a new file and does not return before it is on the disk.
func writeSynced(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Sync(), f.Close())
}

// Restore fills the empty database of c from the backup in dir and brings its schema up to date. A database that holds
// anything is refused; a backup that is damaged or incomplete leaves nothing behind.
func Restore(ctx context.Context, c Config, dir string, log *slog.Logger) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	d, err := open(ctx, c, log, m.Schema)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Tx(ctx, func(tx *Tx) error {
		for _, t := range m.Tables {
			var used bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+t.Name+")").Scan(&used); err != nil {
				return err
			}
			if used {
				return fault.New(fault.Conflict, "database_not_empty", "the database holds data already, in the table %s", t.Name).Hinted("restore into a new, empty database")
			}
		}
		for _, t := range m.Tables {
			if err := load(ctx, tx, dir, t); err != nil {
				return fmt.Errorf("restore %s: %w", t.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.migrate(ctx, latest); err != nil {
		return fmt.Errorf("bring the restored schema up to date: %w", err)
	}
	return nil
}

// readManifest refuses what is not a whole backup of a schema this binary knows.
func readManifest(dir string) (m manifest, err error) {
	text, err := os.ReadFile(filepath.Join(dir, backupManifest))
	if errors.Is(err, os.ErrNotExist) {
		return m, fault.New(fault.NotFound, "backup_incomplete", "%s holds no whole backup: %s is missing", dir, backupManifest)
	}
	if err != nil {
		return m, fmt.Errorf("read the backup: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, damaged(backupManifest, err)
	}
	for _, t := range m.Tables {
		for _, name := range append([]string{t.Name}, t.Columns...) {
			if !identifier.MatchString(name) { // it becomes part of a statement and of a path
				return m, damaged(backupManifest, fmt.Errorf("%q is not a name", name))
			}
		}
	}
	newest, err := newestMigration()
	if err != nil {
		return m, err
	}
	if m.Format != backupFormat || m.Schema > newest {
		return m, fault.New(fault.Invalid, "backup_too_new", "the backup was made by a newer Airfield (format %d, schema %d)", m.Format, m.Schema).Hinted("restore it with that version or a later one")
	}
	return m, nil
}

func damaged(file string, err error) error {
	return fault.New(fault.Invalid, "backup_damaged", "the backup's file %s is damaged: %w", file, err)
}

// load inserts one table's rows and checks afterwards that the file was the one that was written.
func load(ctx context.Context, tx *Tx, dir string, t table) error {
	f, err := os.Open(t.file(dir))
	if err != nil {
		return damaged(filepath.Base(t.file(dir)), err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := loadRows(ctx, tx, io.TeeReader(f, sum), t)
	if err != nil {
		return err
	}
	return verify(t, n, sum, f)
}

func verify(t table, n int64, sum hash.Hash, rest io.Reader) error {
	if _, err := io.Copy(sum, rest); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != t.SHA256 || n != t.Rows {
		return damaged(t.file(""), fmt.Errorf("%d of %d rows, checksum %s", n, t.Rows, got))
	}
	return nil
}

func loadRows(ctx context.Context, tx *Tx, file io.Reader, t table) (n int64, err error) {
	unpacked, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	defer unpacked.Close()
	lines := bufio.NewReaderSize(unpacked, 1<<16)
	const batch = 1024
	for rows := make([][]any, 0, batch); ; rows = rows[:0] {
		for len(rows) < batch {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				break
			}
			if err != nil {
				return n, damaged(t.file(""), err)
			}
			row, err := decodeRow(line, len(t.Columns))
			if err != nil {
				return n, damaged(t.file(""), err)
			}
			rows = append(rows, row)
		}
		if len(rows) == 0 {
			return n, nil
		}
		n += int64(len(rows))
		if err := tx.Insert(ctx, t.Name, t.Columns, "", len(rows), func(i int, args []any) []any { return append(args, rows[i]...) }); err != nil {
			return n, err
		}
	}
}
