package db

import (
	"bufio"
	"context"
	"crypto/sha256"
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

	"github.com/klauspost/compress/zstd"

	"airfield/internal/fault"
)

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

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
