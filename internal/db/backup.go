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
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"airfield/internal/fault"
)

// A backup is a folder: for every table that our migrations create a file of rows, one JSON array a line, compressed;
// and a manifest, written last, so that a backup without one is not whole. It names no engine's own types, so that an
// embedded backup can be restored into PostgreSQL and the other way round. Not in it: what is derived and rebuilt (a
// vector extension's tables), the job queue's tables: runs are woken again from their rows, and the money that running
// processes hold for their calls: those are not calls of the copy.
const (
	backupFormat   = 1
	backupManifest = "manifest.json"
)

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
	rows, err := d.Query(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT IN ('goose_db_version', 'workers', 'budget_leases') ORDER BY name")
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
